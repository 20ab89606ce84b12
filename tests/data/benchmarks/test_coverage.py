import numpy as np

from data.benchmarks.miniatures import box_mask, load, photo, save
from doctored.data.benchmarks.coverage import COVERAGE
from doctored.data.hash_split import split_pictures
from doctored.data.preparation import prepare


def miniature(folder, count=8):
    for number in range(1, count + 1):
        save(folder / "image" / f"{number}.tif", photo(number))
        save(folder / "image" / f"{number}t.tif", photo(number + 1))
        save(folder / "mask" / f"{number}forged.tif", box_mask(5, 6, 20, 17))
        save(folder / "mask" / f"{number}copy.tif", box_mask(30, 6, 45, 17))
        save(folder / "mask" / f"{number}paste.tif", box_mask(5, 6, 20, 17))
    return folder


def test_pictures_masks_and_a_split_that_keeps_original_and_forgery_together(tmp_path):
    made = prepare(COVERAGE, miniature(tmp_path / "COVERAGE"), tmp_path / "out")
    forged = {row.name: row for row in made.rows if row.technique == "copy_move"}
    originals = {row.name: row for row in made.rows if row.technique == "authentic"}
    assert set(forged) == {f"{number}t" for number in range(1, 9)}
    assert not made.left_out
    assert all(row.boxes_xyxy == ((5, 6, 20, 17),) for row in forged.values())
    expected = split_pictures([str(number) for number in range(1, 9)], 0.25)
    assert {name[:-1]: row.split for name, row in forged.items()} == expected
    assert {name: row.split for name, row in originals.items()} == expected
    assert sum(side == "test" for side in expected.values()) == 2
    assert (tmp_path / "out" / "lists" / "train.txt").read_text().count(" 5 6 20 17 tamper\n") == 6


def test_of_several_areas_the_longest_contour_has_the_box(tmp_path):
    source = miniature(tmp_path / "COVERAGE", 1)
    save(
        source / "mask" / "1forged.tif", box_mask(0, 0, 12, 12) | box_mask(20, 20, 55, 23)
    )  # 44 and 72 points
    row = next(row for row in prepare(COVERAGE, source, tmp_path / "out").rows if row.mask)
    assert row.boxes_xyxy == ((20, 20, 55, 23),)


def test_a_mask_of_another_size_is_scaled_and_one_of_another_shape_is_left_out(tmp_path):
    source = miniature(tmp_path / "COVERAGE", 2)
    save(source / "mask" / "1forged.tif", box_mask(10, 20, 40, 60, 80, 120))
    save(source / "mask" / "2forged.tif", box_mask(10, 20, 40, 60, 80, 90))
    made = prepare(COVERAGE, source, tmp_path / "out")
    (row,) = (row for row in made.rows if row.mask)
    assert row.name == "1t"
    assert row.note == "the mask is 120 x 80 and its picture 60 x 40: scaled to the picture"
    np.testing.assert_array_equal(load(tmp_path / "out" / row.mask) > 0, box_mask(5, 10, 20, 30))
    (left_out,) = made.left_out
    assert left_out.file == "image/2t.tif"
    assert left_out.reason.endswith("2forged.tif: the mask is 90 x 80 and its picture 60 x 40")


def test_files_without_partner_or_with_other_names_are_named(tmp_path):
    source = miniature(tmp_path / "COVERAGE", 3)
    (source / "mask" / "2forged.tif").unlink()
    (source / "image" / "3t.tif").unlink()
    save(source / "image" / "sheet.png", photo(0))
    reasons = {one.file: one.reason for one in prepare(COVERAGE, source, tmp_path / "out").left_out}
    assert reasons == {
        "image/2t.tif": "has no mask 2forged",
        "mask/3forged.tif": "is a mask without a picture 3t",
        "image/sheet.png": "its name is not that of a picture or mask of COVERAGE",
    }
