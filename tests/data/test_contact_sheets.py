import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ConfigError, ImageReadError
from doctored.core.forgery import Source
from doctored.data.contact_sheets import contact_sheet, write_contact_sheet
from doctored.synth.imc385 import Manipulation, Manipulations


def pixels(seed, size_hw=(104, 128)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (size_hw[0] // 8, size_hw[1] // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(coarse + rng.normal(0, 5, coarse.shape), 0, 255).astype(np.uint8)


HOST, DONOR = Source("host.png", "0" * 64, pixels(1)), Source("donor.png", "1" * 64, pixels(2))
# The largest tile for a side of 104 px: 80 px, with room for any phase of the JPEG grid.
TILE, ROW, COLUMN, MARGIN = 80, 80 + 18 + 6, 80 + 6, 110


def tile(sheet, row, column):
    left, top = MARGIN + column * COLUMN, 6 + row * ROW
    return np.asarray(sheet.crop((left, top, left + TILE, top + TILE)))


def test_there_is_a_row_for_every_kind_and_every_family():
    sheet = contact_sheet(HOST, DONOR)
    assert sheet.size == (MARGIN + 6 * COLUMN + 6, 12 * ROW + 6)
    for row in range(12):
        assert tile(sheet, row, 0).std() > 5, row
    # Lossless and authentic is a piece of the photograph as it is.
    untouched = tile(sheet, 0, 2)
    found = [
        np.array_equal(HOST.pixels[top : top + TILE, left : left + TILE], untouched)
        for top in range(104 - TILE + 1)
        for left in range(128 - TILE + 1)
    ]
    assert sum(found) == 1


def test_forged_rows_show_the_truth_beside_the_picture_and_the_authentic_row_has_none():
    sheet = contact_sheet(HOST, DONOR)
    red = np.array((255, 40, 40))
    for row in range(5):
        outlined = [(tile(sheet, row, column) == red).all(axis=2).any() for column in (1, 3, 5)]
        assert outlined == [row > 0] * 3, row


def test_manipulations_are_shown_on_the_middle_of_the_photograph():
    def mark(image, level, rng):
        return np.full_like(image, level)

    added = Manipulations([Manipulation("Mark", "tone", mark, (10, 20, 30))])
    sheet = contact_sheet(HOST, DONOR, manipulations=added)
    assert [int(tile(sheet, 12, column).max()) for column in range(3)] == [10, 20, 30]
    middle = HOST.pixels[12 : 12 + TILE, 24 : 24 + TILE]
    compressed = tile(sheet, 7, 0)
    assert np.abs(compressed.astype(int) - middle).mean() < 15


def test_a_seed_gives_the_same_sheet_twice_and_another_another():
    first, again, other = (np.asarray(contact_sheet(HOST, DONOR, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_a_sheet_is_written_for_one_photograph_or_with_a_donor(tmp_path):
    for name in ("host", "donor"):
        Image.fromarray(pixels(len(name))).save(tmp_path / f"{name}.png")
    write_contact_sheet(tmp_path / "host.png", tmp_path / "alone.png")
    write_contact_sheet(tmp_path / "host.png", tmp_path / "both.png", tmp_path / "donor.png")
    with Image.open(tmp_path / "alone.png") as alone, Image.open(tmp_path / "both.png") as both:
        assert alone.format == "PNG"
        same = [np.array_equal(tile(alone, row, 0), tile(both, row, 0)) for row in range(12)]
    assert same == [row != 1 for row in range(12)]  # only splices take from the donor


def test_what_cannot_be_shown_is_said(tmp_path):
    small = Source("small.png", "2" * 64, pixels(3, (72, 200)))
    with pytest.raises(ConfigError, match="at least 80 px on both sides; the smallest has 72"):
        contact_sheet(HOST, small)
    with pytest.raises(ImageReadError, match=r"gone\.jpg"):
        write_contact_sheet(tmp_path / "gone.jpg", tmp_path / "sheet.png")
