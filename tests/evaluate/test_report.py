import csv
import io
import json
import re

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from doctored.evaluate.benchmark import OUTPUTS, EvaluateSettings, evaluate
from doctored.evaluate.contact_sheet import SheetCase, contact_sheet
from doctored.evaluate.report import write_report
from doctored.evaluate.tables import readable
from evaluate.fakes import brightness, constant, loader, make_folder, save


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An evaluation with everything but boxes, and its folder."""
    folder = tmp_path_factory.mktemp("report")
    settings = EvaluateSettings(
        ("brightness", "<b>constant</b>"),
        (make_folder(folder / "set"),),
        yardsticks=False,
        perturbations=("webp",),
        perturb_limit=4,
    )
    load = loader(**{"brightness": brightness, "<b>constant</b>": constant})
    evaluation = evaluate(settings, load, folder / "out")
    write_report(evaluation, folder / "out")
    return evaluation, folder / "out"


def test_every_file_is_written_and_no_other(made):
    _, output = made
    names = {path.name for path in output.iterdir()}
    assert names == {*OUTPUTS, "command.json"} - {"tamper.png", "tamper.txt"}


def test_both_tables_of_pictures_hold_the_records(made):
    evaluation, output = made
    lines = list(csv.DictReader(io.StringIO((output / "pictures.csv").read_text("utf-8"))))
    table = pyarrow.parquet.read_table(output / "pictures.parquet").to_pylist()
    assert len(lines) == len(table) == len(evaluation.records) == 2 * (24 + 3 * 4)
    for line, row, record in zip(lines, table, evaluation.records, strict=True):
        for name, value in row.items():
            assert value == record[name]
            assert line[name] == ("" if value is None else str(value))


def test_summaries_agree_and_state_the_conventions(made):
    evaluation, output = made
    summary = json.loads((output / "summary.json").read_text("utf-8"))
    auc = next(row for row in summary["rows"] if row["metric"] == "pixel_auc")
    assert auc["value"] == next(row.value for row in evaluation.rows if row.metric == "pixel_auc")
    assert summary["pictures"] == {"set": {"manipulated": 6, "authentic": 6}}
    text = (output / "summary.md").read_text("utf-8")
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in text
    assert all(sentence in text for sentence in summary["conventions"])
    assert "Images, equalised" in text
    assert "brightness minus each other detector" in text
    assert {row["family"] for row in summary["robustness"]} == {"none", "webp"}


def test_the_page_needs_nothing_from_outside_and_escapes_names(made):
    _, output = made
    page = (output / "report.html").read_text("utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4  # ROC, precision and recall, cases, robustness
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "<script" not in page
    assert "&lt;b&gt;constant" in page
    assert "<b>" not in page


def test_a_second_report_is_the_same(made, tmp_path):
    evaluation, output = made
    write_report(evaluation, tmp_path)
    for name in ("pictures.csv", "summary.json", "roc.png", "cases.png", "report.html"):
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes(), name


def test_a_contact_sheet_shows_picture_truth_and_map(tmp_path):
    pixels = np.zeros((50, 100, 3), np.uint8)
    pixels[..., 0] = 200
    save(tmp_path / "a.png", pixels)
    save(tmp_path / "mask.png", np.full((50, 100), 255, np.uint8))
    save(tmp_path / "map.png", np.full((25, 50), 77, np.uint8))
    cases = [SheetCase("a\nb", tmp_path / "a.png", tmp_path / "mask.png", tmp_path / "map.png")]
    sheet = np.asarray(contact_sheet([("empty", []), ("cases", cases)]))
    colours = {tuple(colour) for colour in sheet.reshape(-1, 3)}
    assert {(200, 0, 0), (255, 255, 255), (77, 77, 77)} <= colours
    assert sheet.shape[0] < 300
    assert Image.fromarray(sheet).size[0] > 1000


def test_names_of_scores_are_readable():
    assert readable("image_tpr_at_1_percent_fpr") == "image TPR at 1 % FPR"
    assert readable("best_pixel_f1") == "best pixel F1"
