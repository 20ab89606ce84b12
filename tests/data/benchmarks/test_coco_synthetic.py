import numpy as np
import pytest

from data.benchmarks.miniatures import box_mask, load, photo, save
from doctored.core.errors import DataError
from doctored.data.benchmarks.coco_synthetic import COCO_SYNTHETIC
from doctored.data.preparation import prepare
from doctored.data.prepared_set import PreparedSet


def miniature(folder):
    for name in ("Tp_1_2_dog", "Tp_3_4_bed", "original", "unlisted"):
        save(folder / f"{name}.png", photo(len(name)))
    (folder / "train_filter_single.txt").write_text(
        "Tp_1_2_dog.png 11 6 17 9 tamper\noriginal\ngone 1 1 2 2 tamper\n"
    )
    (folder / "test_filter_single.txt").write_text("Tp_3_4_bed 0 5 70 12 tamper 21 21 30 30 tamper\n")
    return folder


def test_lists_become_boxes_without_masks(tmp_path):
    made = prepare(COCO_SYNTHETIC, miniature(tmp_path / "coco"), tmp_path / "out")
    rows = {row.name: row for row in made.rows}
    assert rows["Tp_1_2_dog"].boxes_xyxy == ((10, 5, 17, 9),)
    # Left begins at 0 and right is cut at the border, 60 pixels wide.
    assert rows["Tp_3_4_bed"].boxes_xyxy == ((0, 4, 60, 12), (20, 20, 30, 30))
    assert rows["Tp_3_4_bed"].note == "boxes cut at the border of the picture"
    assert {name: row.split for name, row in rows.items()} == {
        "Tp_1_2_dog": "train", "original": "train", "Tp_3_4_bed": "test",
    }  # fmt: skip
    reasons = {one.file: one.reason for one in made.left_out}
    assert reasons == {
        "gone": "train_filter_single.txt lists it but it is not there",
        "unlisted.png": "is in none of the lists",
    }
    samples = {sample.name: sample for sample in PreparedSet(tmp_path / "out")}
    assert samples["Tp_1_2_dog"].gt_mask is None
    np.testing.assert_array_equal(samples["Tp_1_2_dog"].boxes_xyxy, [(10, 5, 17, 9)])
    assert not samples["original"].gt_mask.any()


def test_masks_beside_the_lists_are_taken(tmp_path):
    source = miniature(tmp_path / "coco")
    save(source / "mask" / "Tp_1_2_dog.png", box_mask(10, 5, 17, 9))
    rows = {row.name: row for row in prepare(COCO_SYNTHETIC, source, tmp_path / "out").rows}
    assert (load(tmp_path / "out" / rows["Tp_1_2_dog"].mask) > 0).sum() == 28
    assert rows["Tp_3_4_bed"].mask == ""


def test_a_picture_on_both_sides_is_an_error(tmp_path):
    source = miniature(tmp_path / "coco")
    with (source / "test_filter_single.txt").open("a") as lines:
        lines.write("tp_1_2_DOG 1 1 2 2 tamper\n")
    with pytest.raises(DataError, match="lists tp_1_2_DOG for training and for testing"):
        prepare(COCO_SYNTHETIC, source, tmp_path / "out")
