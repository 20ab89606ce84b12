import numpy as np
import pytest

from doctored.core.inspection import Region
from doctored.data.prepared_set import MANIFEST_COLUMNS, ManifestRow
from doctored.data.result_files import table
from doctored.evaluate.benchmark import EvaluateSettings, evaluate
from doctored.evaluate.protocols import make_protocol
from doctored.evaluate.report import write_report
from evaluate.fakes import FakeDetector, brightness, loader, save


@pytest.fixture
def folder(tmp_path):
    """Two forgeries with a box each, told apart by their brightness, and an authentic picture."""
    for name, (top, left), level in (("a", (4, 6), 10), ("b", (10, 20), 20)):
        gt_mask = np.zeros((24, 36), np.uint8)
        gt_mask[top : top + 8, left : left + 10] = 255
        save(tmp_path / "set" / "images" / f"{name}.png", np.full((24, 36, 3), level, np.uint8))
        save(tmp_path / "set" / "masks" / f"{name}.png", gt_mask)
    save(tmp_path / "set" / "authentic" / "c.png", np.full((24, 36, 3), 30, np.uint8))
    return tmp_path / "set"


def regions(picture):
    """Right on a; on b a wrong one that is surer than the right one; one on the authentic picture."""
    level = picture.pixels[0, 0, 0]
    if level == 10:
        return (Region((6, 4, 16, 12), "splicing", 0.9),)
    if level == 20:
        return (Region((0, 0, 5, 5), "removal", 0.8), Region((20, 10, 30, 17), "splicing", 0.7))
    return (Region((1, 1, 4, 4), "removal", 0.2),) if level == 30 else ()


def run(folder, find=regions, **protocol):
    detector = FakeDetector(brightness, find)
    settings = EvaluateSettings(
        ("boxes",), (folder,), make_protocol(**protocol), yardsticks=False, equalised=False
    )
    return evaluate(settings, loader(boxes=detector))


def test_average_precision_by_hand_and_the_original_files(folder, tmp_path):
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: the area under the falling envelope is 1/2 + 2/3 * 1/2."""
    evaluation = run(folder, name="constrained-rcnn")
    row = next(row for row in evaluation.rows if row.metric == "box_average_precision")
    assert row.value == pytest.approx(0.5 + 1 / 3)
    assert (row.average, row.pictures) == ("set", 3)
    write_report(evaluation, tmp_path)
    assert (tmp_path / "tamper.txt").read_text().splitlines() == [
        "a.png 0.900 7.0 5.0 16.0 12.0",
        "b.png 0.800 1.0 1.0 5.0 5.0",
        "b.png 0.700 21.0 11.0 30.0 17.0",
        "c.png 0.200 2.0 2.0 4.0 4.0",
    ]
    assert (tmp_path / "tamper.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_without_a_box_count_and_nothing_found_scores_0(folder):
    """Only pictures with a box were counted, and a model that found nothing had no row."""
    rows = [
        next(row for row in evaluation.rows if row.metric == "box_average_precision")
        for evaluation in (
            run(folder, lambda picture: regions(picture) if picture.pixels[0, 0, 0] == 10 else ()),
            run(folder, lambda picture: ()),
        )
    ]
    assert [(row.value, row.pictures) for row in rows] == [(0.5, 3), (0.0, 3)]


def test_names_with_spaces_are_one_word(folder, tmp_path):
    """Two such pictures counted as one, and their lines had more words than others."""
    for name, new in (("a", "a 1%"), ("b", "a 2")):
        for kind in ("images", "masks"):
            (folder / kind / f"{name}.png").rename(folder / kind / f"{new}.png")
    evaluation = run(folder)
    write_report(evaluation, tmp_path)
    words = [line.split(" ") for line in (tmp_path / "tamper.txt").read_text().splitlines()]
    assert {len(line) for line in words} == {6}
    assert [line[0] for line in words] == ["a%201%25.png", "a%202.png", "a%202.png", "c.png"]
    assert next(row.pictures for row in evaluation.rows if row.metric == "box_average_precision") == 3


def test_the_average_over_predicted_classes_of_the_original(folder):
    """a is taken for splicing and b for removal by their surest boxes; flat maps score AUC .5 and their floor of F1."""
    evaluation = run(folder, name="constrained-rcnn", average="predicted-class")
    rows = {(row.metric, row.average): row for row in evaluation.rows}
    assert rows["pixel_auc", "predicted_class"].value == pytest.approx(0.5)
    share = 80 / (24 * 36)
    assert rows["best_pixel_f1", "predicted_class"].value == pytest.approx(2 * share / (1 + share))
    assert rows["pixel_auc", "predicted_class"].pictures == 2


def test_models_without_boxes_have_no_such_row(folder):
    settings = EvaluateSettings(("plain",), (folder,), yardsticks=False)
    evaluation = evaluate(settings, loader(plain=brightness))
    assert evaluation.boxes == []
    assert not any(row.metric == "box_average_precision" for row in evaluation.rows)


def test_a_prepared_set_of_boxes_needs_no_masks_and_tells_techniques_apart(folder):
    """One true box of each technique, each found by its surest box."""
    for path in (folder / "masks").iterdir():
        path.unlink()
    (folder / "masks").rmdir()
    boxes = {"a": ("splicing", (6, 4, 16, 12)), "b": ("removal", (0, 0, 5, 5))}
    rows = [
        ManifestRow(name, f"images/{name}.png", "", "", technique, "", None, (box,), name, "").to_csv()
        for name, (technique, box) in boxes.items()
    ]
    rows.append(ManifestRow("c", "authentic/c.png", "", "", "authentic", "", None, (), "c", "").to_csv())
    (folder / "manifest.csv").write_bytes(table(MANIFEST_COLUMNS, rows))
    evaluation = run(folder, name="constrained-rcnn")
    assert [case.authentic for case in evaluation.cases] == [False, False, True]
    curves = evaluation.boxes[0].by_technique
    # The splicing of b and the removal of c are wrong, but come after the right ones.
    assert {name: curve.average_precision for name, curve in curves.items()} == {"removal": 1, "splicing": 1}
    auc = next(row for row in evaluation.rows if row.metric == "pixel_auc")
    assert (auc.value, auc.undefined) == (None, 2)
