import numpy as np

from data.benchmarks.miniatures import box_mask, load, photo, save
from doctored.data.benchmarks.columbia import COLUMBIA
from doctored.data.preparation import prepare


def edge_mask(spliced, sides=200):
    """Green where spliced, red elsewhere, brighter along the border between the two."""
    colours = np.zeros((*spliced.shape, 3), np.uint8)
    colours[spliced, 1] = sides
    colours[~spliced, 0] = sides
    edge = spliced & ~np.roll(spliced, 1, axis=1)
    colours[edge, 1] = 255
    return colours


def miniature(folder):
    spliced = box_mask(16, 8, 40, 32)
    for number in (1, 2):  # of the same box: the released script made one picture of them
        name = f"canong3_canonxt_sub_0{number}"
        save(folder / "4cam_splc" / f"{name}.tif", photo(number))
        save(folder / "4cam_splc" / "edgemask" / f"{name}_edgemask.jpg", edge_mask(spliced), quality=95)
    save(folder / "4cam_auth" / "canong3_02_sub_01.tif", photo(3))
    save(folder / "4cam_auth" / "edgemask" / "canong3_02_sub_01_edgemask.jpg", edge_mask(spliced))
    return folder


def test_the_green_side_is_spliced_and_equal_boxes_do_not_collide(tmp_path):
    made = prepare(COLUMBIA, miniature(tmp_path / "Columbia"), tmp_path / "out")
    spliced = [row for row in made.rows if row.technique == "splicing"]
    assert [row.file for row in spliced] == [f"images/canong3_canonxt_sub_0{number}.tif" for number in (1, 2)]
    for row in spliced:
        mask = load(tmp_path / "out" / row.mask) > 0
        wrong = mask != box_mask(16, 8, 40, 32)
        assert wrong.mean() < 0.02  # JPEG blurs colours over the border
        np.testing.assert_allclose(row.boxes_xyxy, [(16, 8, 40, 32)], atol=1)
    assert [row.file for row in made.rows if row.technique == "authentic"] == [
        "authentic/canong3_02_sub_01.tif"
    ]
    assert {row.split for row in made.rows} == {"test"}
    assert made.warnings == [
        "columbia: 2 manipulated pictures prepared, 180 published",
        "columbia: 1 authentic pictures prepared, 183 published",
    ]


def test_files_without_partner_are_named(tmp_path):
    source = miniature(tmp_path / "Columbia")
    (source / "4cam_splc" / "edgemask" / "canong3_canonxt_sub_01_edgemask.jpg").unlink()
    (source / "4cam_splc" / "canong3_canonxt_sub_02.tif").unlink()
    save(source / "cover.jpg", photo(1))
    reasons = {one.file: one.reason for one in prepare(COLUMBIA, source, tmp_path / "out").left_out}
    assert reasons == {
        "4cam_splc/canong3_canonxt_sub_01.tif": "has no mask canong3_canonxt_sub_01_edgemask",
        "4cam_splc/edgemask/canong3_canonxt_sub_02_edgemask.jpg": "is a mask without a picture",
        "cover.jpg": "lies neither in 4cam_splc nor in 4cam_auth",
    }
