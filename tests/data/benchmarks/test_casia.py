from pathlib import Path

import numpy as np
import pytest

from data.benchmarks.miniatures import box_mask, load, photo, save
from doctored.core.errors import ConfigError
from doctored.data.benchmarks.casia import CASIA_V1, CASIA_V2
from doctored.data.benchmarks.entries import Options
from doctored.data.preparation import prepare

BOX = (20, 10, 40, 30)


def forged(pixels, box=BOX):
    """A picture with something bright pasted into a box."""
    made = pixels.copy()
    left, top, right, bottom = box
    made[top:bottom, left:right] = 255 - made[top:bottom, left:right] // 4
    return made


@pytest.fixture
def version_1(tmp_path):
    """Two originals, three forgeries of them, one of an original that is not there, and one that is none."""
    source = tmp_path / "CASIA1"
    for number in (1, 2):
        save(source / "Au" / f"Au_ani_000{number}.jpg", photo(number), quality=95)
    save(source / "Au" / "Au_arc_0009.jpg", photo(3, 60, 40), quality=95)
    for name, original in (
        ("Sp_D_CNN_A_ani0001_ani0002_0101", 1),
        ("Sp_D_NRN_A_ani0001_ani0002_0102", 2),  # the second name is the one that was changed
        ("Sp_S_NNN_R_ani0002_ani0002_0103", 2),
        ("Sp_D_NRN_A_arc0009_ani0002_0104", 2),  # the first is of another size
    ):
        save(source / "Tp" / f"{name}.jpg", forged(photo(original)), quality=95)
    save(source / "Tp" / "Sp_D_NRN_A_nat0007_nat0008_0105.jpg", forged(photo(1)))
    save(source / "Tp" / "Sp_S_NNN_A_ani0001_ani0001_0106.jpg", photo(1), quality=95)
    save(source / "Tp" / "thumbnail.jpg", photo(1))
    return source


def test_masks_by_difference_are_the_pasted_rectangle(version_1, tmp_path):
    made = prepare(CASIA_V1, version_1, tmp_path / "out")
    rows = {row.name: row for row in made.rows if row.technique != "authentic"}
    assert {name[-4:]: row.technique for name, row in rows.items()} == {
        "0101": "splicing", "0102": "splicing", "0103": "copy_move", "0104": "splicing",
    }  # fmt: skip
    for row in rows.values():
        mask = load(tmp_path / "out" / row.mask)
        assert set(np.unique(mask)) == {0, 255}
        # A 5 x 5 median rounds the four corners of a rectangle, and compression moves its sides by a pixel or two.
        inner, outer = box_mask(24, 14, 36, 26), box_mask(17, 7, 43, 33)
        assert (mask[inner] == 255).all()
        assert (mask[~outer] == 0).all()
        (box,) = row.boxes_xyxy
        assert np.abs(np.array(box) - BOX).max() <= 2
        rows_, columns = np.nonzero(mask)
        assert box == (columns.min(), rows_.min(), columns.max() + 1, rows_.max() + 1)
    notes = {name[-4:]: row.note for name, row in rows.items()}
    assert notes["0101"] == "mask by difference from Au_ani_0001.jpg"
    assert notes["0102"] == notes["0104"] == "mask by difference from Au_ani_0002.jpg"
    assert {row.split for row in made.rows} == {"test"}


def test_every_contour_has_a_box_of_its_own(tmp_path):
    """The released script gave all of a picture's contours the rectangle of the last one."""
    source = tmp_path / "CASIA1"
    save(source / "Au_ani_0001.png", photo(1))
    save(
        source / "Sp_S_x_A_ani0001_ani0001_1.png", forged(forged(photo(1), (2, 2, 14, 12)), (30, 20, 50, 36))
    )
    (row,) = (row for row in prepare(CASIA_V1, source, tmp_path / "out").rows if row.mask)
    np.testing.assert_allclose(row.boxes_xyxy, [(2, 2, 14, 12), (30, 20, 50, 36)], atol=1)


def test_what_cannot_be_used_is_named_with_the_reason(version_1, tmp_path):
    made = prepare(CASIA_V1, version_1, tmp_path / "out")
    reasons = {one.file: one.reason for one in made.left_out}
    assert sorted(reasons) == [
        "Tp/Sp_D_NRN_A_nat0007_nat0008_0105.jpg",
        "Tp/Sp_S_NNN_A_ani0001_ani0001_0106.jpg",
        "Tp/thumbnail.jpg",
    ]
    assert "nat0007 and nat0008, which is not there" in reasons["Tp/Sp_D_NRN_A_nat0007_nat0008_0105.jpg"]
    assert "(0.00% of all pixels changed)" in reasons["Tp/Sp_S_NNN_A_ani0001_ani0001_0106.jpg"]
    assert made.warnings == [
        "casia-v1: 4 manipulated pictures prepared, 921 published",
        "casia-v1: 3 authentic pictures prepared, 800 published",
    ]


def test_given_masks_are_taken_as_they_are(version_1, tmp_path):
    masks = tmp_path / "gt"
    for name in ("Sp_D_CNN_A_ani0001_ani0002_0101", "Sp_S_NNN_R_ani0002_ani0002_0103", "Sp_D_gone_1"):
        save(masks / f"{name}_gt.png", box_mask(3, 4, 9, 8))
    save(masks / "Sp_D_NRN_A_ani0001_ani0002_0102.png", box_mask(3, 4, 9, 8).astype(np.uint8))  # of 0 and 1
    save(masks / "Sp_D_NRN_A_arc0009_ani0002_0104.png", box_mask(3, 4, 9, 8, 41, 60))
    made = prepare(CASIA_V1, version_1, tmp_path / "out", Options(masks=masks))
    rows = [row for row in made.rows if row.mask]
    assert len(rows) == 3
    assert all(row.boxes_xyxy == ((3, 4, 9, 8),) for row in rows)
    assert all(row.manipulated_fraction == 0.01 for row in rows)  # 24 of 2400 pixels
    reasons = " ".join(f"{one.file} {one.reason}" for one in made.left_out)
    assert "the mask is 60 x 41 and its picture 60 x 40" in reasons
    assert "Sp_D_gone_1_gt.png is a mask without a picture" in reasons
    assert "Sp_D_NRN_A_nat0007_nat0008_0105.jpg has no mask in" in reasons


def test_masks_may_lie_in_the_source_and_hidden_files_count_nowhere(version_1, tmp_path, monkeypatch):
    name = "Sp_D_CNN_A_ani0001_ani0002_0101"
    save(version_1 / "masks" / f"{name}.png", box_mask(3, 4, 9, 8))
    save(version_1 / "__MACOSX" / "Tp" / f"{name}.jpg", photo(1))
    save(version_1 / "Tp" / f"._{name}.jpg", photo(1))
    monkeypatch.chdir(tmp_path)
    made = prepare(CASIA_V1, version_1, tmp_path / "out", Options(masks=Path("CASIA1/masks")))
    assert [row.name for row in made.rows if row.mask] == [name]


def test_lists_count_from_one_as_the_released_reader_expects(version_1, tmp_path):
    made = prepare(CASIA_V1, version_1, tmp_path / "out")
    lines = (tmp_path / "out" / "lists" / "test.txt").read_text().splitlines()
    row = next(row for row in made.rows if row.name.endswith("0103"))
    left, top, right, bottom = row.boxes_xyxy[0]
    assert f"{row.name} {left + 1} {top + 1} {right} {bottom} tamper" in lines
    assert len(lines) == 4


def test_version_2_is_for_training_and_notes_names_that_contradict_themselves(tmp_path):
    source = tmp_path / "CASIA2"
    save(source / "Au_ani_00001.png", photo(1))
    save(source / "Tp_D_CRN_S_N_ani00001_ani00001_11818.tif", forged(photo(1)))
    made = prepare(CASIA_V2, source, tmp_path / "out")
    (row,) = (row for row in made.rows if row.mask)
    assert (row.technique, row.split) == ("splicing", "train")
    assert row.note.startswith("the name says D but the pictures it names say otherwise; mask by difference")
    assert (tmp_path / "out" / row.file).read_bytes() == next(source.glob("Tp*")).read_bytes()
    with pytest.raises(ConfigError, match="casia-v2 has no split 'test'; it has train"):
        prepare(CASIA_V2, source, tmp_path / "other", split="test")
