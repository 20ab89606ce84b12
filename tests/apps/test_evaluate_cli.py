import json
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps import evaluate_cli
from doctored.apps.cli import app
from doctored.apps.progress import ProgressBar
from doctored.core.errors import UnknownModelError
from doctored.models.yardsticks import noise, sharpness
from doctored.predict.combination import Combination, WitnessWeights
from doctored.predict.witnesses import YardstickWitness
from evaluate.fakes import make_folder


def red_witness(name, *, device, precision, tile, threads):
    """Every model's map is the red channel."""
    if name == "missing":
        raise UnknownModelError("there is no model 'missing'; see: doctored models")
    return YardstickWitness(name, lambda pixels: pixels[:, :, 0].astype(np.float32) / 255)


@pytest.fixture(autouse=True)
def red_detectors(monkeypatch):
    evaluate_cli._witness.cache_clear()
    monkeypatch.setattr("doctored.predict.detector.load_witness", red_witness)
    monkeypatch.setattr("doctored.predict.detector.stored_calibration", lambda name: None)
    monkeypatch.setattr("doctored.evaluate.summary.RESAMPLES", 50)
    yield
    evaluate_cli._witness.cache_clear()


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    """Two forgeries whose red channel marks the forged half, and two authentic pictures."""
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "masks", "authentic"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for name, forged in (("a", np.s_[:, 4:]), ("b", np.s_[4:, :])):
        pixels = np.zeros((8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / "authentic" / f"{name}.png")
        pixels[(*forged, 0)] = 255
        Image.fromarray(pixels).save(tmp_path / "set" / "images" / f"{name}.png")
        Image.fromarray(pixels[:, :, 0]).save(tmp_path / "set" / "masks" / f"{name}.png")
    return "set"


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


def rows_of(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_scores_are_printed_per_model_and_metric(benchmark):
    rows = rows_of(run(benchmark, "--json", "--model", "red", "--model", "other", "--no-yardsticks"))
    assert {row["detector"] for row in rows} == {"red", "other"}
    scores = {
        row["metric"]: row["value"] for row in rows if (row["detector"], row["view"]) == ("red", "as_is")
    }
    assert scores["pixel_auc"] == 1
    assert scores["image_auc_of_max"] == 1
    text = run(benchmark, "--model", "red")
    assert text.stdout.startswith("set, as is\n")
    line = r"^red +pixel_auc +1\.0000 +\[1\.0000, 1\.0000\] +2 pictures$"
    assert re.search(line, text.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        # The second mask marks three quarters and is inverted: its map is right then.
        ("mantranet", {"pixel_auc": (2 / 3 + 1) / 2}),
        # Not inverted: the map is upside down there, and all of it flagged is best.
        ("constrained-rcnn", {"pixel_auc": (2 / 3 + 0) / 2, "best_pixel_f1": (2 / 3 + 6 / 7) / 2}),
    ],
)
def test_scores_of_both_protocols_by_hand(tmp_path, monkeypatch, protocol, expected):
    """Two pictures of four flat quarters each; the map is how red they are."""
    monkeypatch.chdir(tmp_path)
    quarters = {"a": ([200, 250, 100, 50], [255, 0, 0, 0]), "b": ([200, 100, 50, 10], [0, 255, 255, 255])}
    for name, (red, mask) in quarters.items():
        for kind, values in (("images", red), ("masks", mask)):
            (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
            grey = np.kron(np.reshape(values, (2, 2)), np.ones((4, 4))).astype(np.uint8)
            shown = np.stack([grey, 0 * grey, 0 * grey], axis=2) if kind == "images" else grey
            Image.fromarray(shown).save(tmp_path / "set" / kind / f"{name}.png")
    rows = rows_of(run("set", "--json", "--model", "red", "--no-yardsticks", "--protocol", protocol))
    scores = {row["metric"]: row["value"] for row in rows if row["view"] == "as_is"}
    for metric, value in expected.items():
        assert scores[metric] == pytest.approx(value), metric


def test_yardsticks_are_added_and_folders_may_be_options(benchmark, tmp_path):
    other = make_folder(tmp_path / "other", count=2)
    rows = rows_of(run(benchmark, "--data", other, "--json", "--model", "red", "--no-equalised"))
    detectors = ["red", "centre", "sharpness", "ela", "noise", "file_facts"]
    assert list(dict.fromkeys(row["detector"] for row in rows)) == detectors
    assert {row["data"] for row in rows} == {"set", "other"}
    assert {row["view"] for row in rows} == {"as_is"}


def test_output_is_filled_and_gone_on_with(benchmark, tmp_path):
    arguments = (benchmark, "--model", "red", "--output", "out", "--protocol", "mantranet", "--limit", "4")
    first = run(*arguments)
    assert first.exit_code == 0, first.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    assert "inverted" in (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert run(*arguments).stdout == first.stdout
    changed = run(*arguments, "--threshold", "0.3")
    assert changed.exit_code == 2
    assert re.fullmatch(r"Error: out was made by another command .*--force\n", changed.stderr)
    assert run(*arguments, "--threshold", "0.3", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("nowhere",), 1, "nowhere"),
        ((), 2, "name at least one folder"),
        (("set", "--model", "missing"), 2, "no model 'missing'"),
        (("set", "--model", "red", "--model", "red"), 2, "named twice"),
        (("set", "--protocol", "mine"), 2, "--protocol is 'mine'"),
        (("set", "--average", "predicted-class"), 2, "belongs to --protocol constrained-rcnn"),
        (("set", "--limit", "1"), 2, "limit must be at least 2"),
        (("set", "--cost"), 2, "leave out folders\n"),
        (("--cost", "--limit", "4", "--protocol", "full"), 2, "leave out --protocol, --limit\n"),
        (("--cost", "--workers", "2", "--no-yardsticks"), 2, "leave out --no-yardsticks, --workers\n"),
        (("set", "--perturb-limit", "4"), 2, "--perturb-limit belongs to --perturb"),
        (("--cost", "--cost-mp", "inf"), 2, "inf megapixels"),
        (("set", "--cost-mp", "1"), 2, "belongs to --cost"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_calls_are_one_sentence(benchmark, arguments, status, sentence):
    result = run(*arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [("pyarrow", ("--output", "out"), "eval"), ("sklearn", (), "eval"), ("cv2", ("--perturb",), "train")],
)
def test_a_missing_package_is_said_before_the_work(benchmark, monkeypatch, package, options, extra):
    monkeypatch.setitem(sys.modules, package, None)
    result = run(benchmark, "--model", "missing", *options)
    assert result.exit_code == 1
    assert result.stderr.endswith(f"run: pip install 'doctored[{extra}]'\n")


def test_another_precision_is_another_command(benchmark, tmp_path):
    """Results in int8 were shown to who asked for fp32; the number of processes decides nothing."""
    arguments = (benchmark, "--model", "red", "--output", "out", "--no-yardsticks")
    assert run(*arguments, "--precision", "int8").exit_code == 0
    changed = run(*arguments, "--precision", "fp32", "--tile", "512")
    assert changed.exit_code == 2
    assert 'precision was "int8", is "fp32", tile was null, is 512' in changed.stderr
    command = json.loads((tmp_path / "out" / "command.json").read_text())
    assert "threads" not in command


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_names_that_are_no_text_are_shown_with_escapes(benchmark, tmp_path):
    """The table of pictures could not be written, after all the measuring."""
    strange = os.fsdecode(b"caf\xe9")
    for kind in ("images", "masks", "authentic"):
        (tmp_path / "set" / kind / "a.png").rename(tmp_path / "set" / kind / f"{strange}.png")
    (tmp_path / "set").rename(tmp_path / strange)
    arguments = (strange, "--model", "red", "--output", "out", "--limit", "4")
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    for name in ("pictures.csv", "records.jsonl"):
        assert r"caf\udce9.png" in (tmp_path / "out" / name).read_text("utf-8").replace(r"\\", "\\")
    assert r"caf\udce9" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert run(*arguments).stdout == first.stdout


def test_a_seed_below_0_is_wrong_usage(benchmark):
    result = run(benchmark, "--seed", "-1")
    assert (result.exit_code, "--seed" in result.stderr, result.stdout) == (2, True, "")


def test_costs_are_one_table(benchmark, tmp_path, monkeypatch):
    measured = []

    def in_new_process(model, megapixels, settings):
        measured.append((model, megapixels, settings["device"]))
        return 2 * megapixels, 100.0

    monkeypatch.setattr("doctored.evaluate.cost._in_new_process", in_new_process)
    monkeypatch.setattr("doctored.evaluate.cost.count_operations", lambda model: (1200, 34.0))
    result = run("--cost", "--model", "ela", "--model", "noise", "--cost-mp", "0.5", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[2] == "| ela | 1,200 | 34 | 0.5 | 2 | 100 |"
    assert measured == [("ela", 0.5, "auto"), ("noise", 0.5, "auto")]
    assert (tmp_path / "out" / "cost.md").read_text("utf-8") == result.stdout
    assert [row["model"] for row in json.loads((tmp_path / "out" / "cost.json").read_text())] == [
        "ela",
        "noise",
    ]
    run("--cost", "--cost-mp", "0.1", "--json")
    assert [model for model, *_ in measured[2:]] == [
        "both",
        "mantranet",
        "constrained-rcnn",
        "copy-search",
        "grid-search",
        "centre",
        "sharpness",
        "ela",
        "noise",
    ]


def test_progress_counts_views_of_pictures(benchmark, monkeypatch):
    shown = []
    monkeypatch.setattr(ProgressBar, "show", lambda self, done, total: shown.append((done, total)))
    run(benchmark, "--model", "red", "--no-yardsticks")
    assert shown == [(number, 8) for number in range(1, 9)]


def test_models_look_once_for_themselves_and_for_what_combines_them(benchmark, tmp_path, monkeypatch):
    looks = []

    class Counting(YardstickWitness):
        def look(self, pixels, on_progress):
            looks.append(self.name)
            return super().look(pixels, on_progress)

    def counting_witness(name, **settings):
        return Counting(name, sharpness if name == "sharpness" else noise)

    monkeypatch.setattr("doctored.predict.detector.load_witness", counting_witness)
    hashes = {name: counting_witness(name).sha256 for name in ("sharpness", "noise")}
    rule = Combination(
        tuple(WitnessWeights(name, sha256, 1.0, 1.0) for name, sha256 in hashes.items()), 0.0, "", {}
    )
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "combination.json").write_bytes(rule.to_bytes())
    models = ("--model", "./both", "--model", "sharpness", "--model", "noise")
    result = CliRunner().invoke(app, ["evaluate", benchmark, *models, "--no-yardsticks", "--no-equalised"])
    assert result.exit_code == 0, result.output
    assert {line.split()[0] for line in result.stdout.splitlines() if "pixel_auc" in line} == {
        "./both",
        "sharpness",
        "noise",
    }
    assert sorted(looks) == ["noise"] * 4 + ["sharpness"] * 4
