import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import DataError
from doctored.data.prepared_crops import prepared_pictures
from doctored.data.prepared_set import MANIFEST_COLUMNS, ManifestRow


def write_set(folder, techniques, splits=None, size=(80, 90)):
    """A prepared set of noise with a square mask for each forgery; every third picture is authentic."""
    rng = np.random.default_rng(0)
    rows = []
    for number, technique in enumerate(techniques):
        kind = "authentic" if technique == "authentic" else "images"
        file = f"{kind}/p{number}.png"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).save(folder / file)
        row = ManifestRow(f"p{number}", file, "", "", technique, "", None, (), file, "")
        if kind == "images":
            mask = np.zeros(size, np.uint8)
            mask[10:40, 20:60] = 255
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / f"p{number}.png")
            row = dataclasses.replace(
                row, mask=f"masks/p{number}.png", manipulated_fraction=mask.mean() / 255
            )
        rows.append(dataclasses.replace(row, split=splits[number] if splits else ""))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, MANIFEST_COLUMNS)
        lines.writeheader()
        lines.writerows(row.to_csv() for row in rows)
    return folder


MIXED = ["splicing", "removal", "authentic"] * 6


def test_a_tenth_is_held_out_and_what_is_for_testing_is_left_alone(tmp_path):
    splits = ["test" if number % 4 == 3 else "train" for number in range(18)]
    folder = write_set(tmp_path, MIXED, splits)
    learn, held_out, classes, skipped = prepared_pictures(folder, two_classes=False, smallest_side_px=64)
    assert classes == ("authentic", "splicing", "removal")
    assert not skipped
    names = [picture.row.name for picture in (*learn, *held_out)]
    assert sorted(names) == sorted(f"p{number}" for number in range(18) if number % 4 != 3)
    assert len(held_out) == 2
    assert prepared_pictures(folder, False, 64)[1] == held_out


def test_two_classes_take_any_set(tmp_path):
    folder = write_set(tmp_path, ["manipulated", "authentic", "splicing"] * 2)
    *_, classes, _ = prepared_pictures(folder, two_classes=True, smallest_side_px=64)
    assert classes == ("authentic", "manipulated")


def test_a_set_without_techniques_is_refused_unless_two_classes_are_wanted(tmp_path):
    folder = write_set(tmp_path, ["manipulated", "authentic"] * 3)
    with pytest.raises(DataError, match="only which are manipulated; give --set two_classes=true"):
        prepared_pictures(folder, two_classes=False, smallest_side_px=64)


def test_pictures_of_unknown_technique_are_skipped_where_others_tell_theirs(tmp_path):
    folder = write_set(tmp_path, [*MIXED, "manipulated"])
    *_, classes, skipped = prepared_pictures(folder, two_classes=False, smallest_side_px=64)
    assert [skip.reason for skip in skipped] == ["the technique of p18 is not known"]
    assert classes == ("authentic", "splicing", "removal")


def test_small_pictures_are_named(tmp_path):
    folder = write_set(tmp_path, MIXED)
    Image.new("RGB", (50, 200)).save(folder / "images" / "p0.png")
    Image.new("L", (50, 200)).save(folder / "masks" / "p0.png")
    *_, skipped = prepared_pictures(folder, False, 64)
    assert [skip.file for skip in skipped] == ["images/p0.png"]
    assert "50 x 200" in skipped[0].reason
    with pytest.raises(DataError, match="at least 512"):
        prepared_pictures(folder, False, 512)


@pytest.mark.parametrize("damage", [b"no picture", None])
@pytest.mark.parametrize("file", ["images/p0.png", "masks/p0.png"])
def test_what_is_damaged_is_named_and_left_out(tmp_path, file, damage):
    """What was no picture at all ended in a traceback, and what was cut off ended the training later."""
    folder = write_set(tmp_path, MIXED)
    (folder / file).write_bytes(damage or (folder / file).read_bytes()[:-40])
    learn, held_out, _, skipped = prepared_pictures(folder, False, 64)
    assert [skip.file for skip in skipped] == ["images/p0.png"]
    assert str(folder / file) in skipped[0].reason
    assert len(learn) + len(held_out) == len(MIXED) - 1


def test_sets_with_too_little_are_refused(tmp_path):
    testing = write_set(tmp_path / "testing", MIXED, ["test"] * 18)
    with pytest.raises(DataError, match="for testing"):
        prepared_pictures(testing, False, 64)
    lone = write_set(tmp_path / "lone", ["splicing"])
    with pytest.raises(DataError, match="too few"):
        prepared_pictures(lone, False, 64)
    harmless = write_set(tmp_path / "harmless", ["authentic"] * 5)
    with pytest.raises(DataError, match="too few"):
        prepared_pictures(harmless, False, 64)


def test_reading_gives_the_smaller_part_as_manipulated(tmp_path):
    folder = write_set(tmp_path, MIXED)
    mask = np.full((80, 90), 255, np.uint8)
    mask[:20] = 0
    Image.fromarray(mask).save(folder / "masks" / "p0.png")
    learn, held_out, *_ = prepared_pictures(folder, False, 64)
    (first,) = (picture for picture in (*learn, *held_out) if picture.row.name == "p0")
    assert not first.authentic
    sample = first.read()
    np.testing.assert_array_equal(sample.gt_mask, mask == 0)
    assert sample.technique == "splicing"
