"""Pastes from JPEG files that the test makes, and honest pictures with more than one grid."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from doctored.models.grid_search import find_foreign_grids, search
from models.grid_search.foreign_grid import saved

HOST = np.asarray(Image.fromarray(data.coffee()).resize((480, 320)))
DONOR = data.astronaut()[:320, :480]
TOP, LEFT, SIDE = 120, 200, 104


def pasted(host, donor, shift_yx):
    """A square of the donor in the host, its grid shifted by so many pixels against that of the host."""
    picture = host.copy()
    top, left = 40 - shift_yx[0], 160 - shift_yx[1]
    picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = donor[top : top + SIDE, left : left + SIDE]
    return picture


def share_inside(found, shape):
    """Of the find the share inside the square, and of the square the share that is found."""
    left, top, right, bottom = found.place.box_xyxy
    mask = np.zeros(shape[:2], bool)
    mask[top:bottom, left:right] = found.place.mask
    inside = mask[TOP : TOP + SIDE, LEFT : LEFT + SIDE].sum()
    return inside / mask.sum(), inside / SIDE**2


HISTORIES = {
    "lossless host": lambda: pasted(HOST, saved(DONOR, 75), (3, 5)),
    "host from a file": lambda: pasted(saved(HOST, 85), saved(DONOR, 75), (3, 5)),
    "saved after pasting": lambda: saved(pasted(saved(HOST, 85), saved(DONOR, 60), (3, 5)), 92),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_a_paste_on_another_grid_is_found(history):
    picture = HISTORIES[history]()
    first, *_ = find_foreign_grids(picture)
    precision, recall = share_inside(first, picture.shape)
    assert precision > 0.75
    assert recall > 0.4
    assert first.grid_yx == (3, 5)
    assert search.LEAST_SHARE <= first.share <= 1


HONEST = {
    "lossless": lambda: HOST,
    "one file": lambda: saved(HOST, 75),
    "cropped and saved again": lambda: saved(saved(HOST, 70)[3:, 5:], 92),
    "cropped, and no file again": lambda: saved(DONOR, 80)[2:, 7:],
    "saved twice": lambda: saved(saved(DONOR, 60), 90),
    "paste on the same grid": lambda: pasted(saved(HOST, 85), saved(DONOR, 75), (0, 0)),
    "flat": lambda: np.full((200, 200, 3), 77, np.uint8),
}


@pytest.mark.parametrize("history", HONEST)
def test_pictures_without_a_foreign_grid_are_left_alone(history):
    assert find_foreign_grids(HONEST[history]()) == []


def test_a_paste_that_was_scaled_has_lost_its_grid():
    scaled = np.asarray(Image.fromarray(saved(DONOR, 75)).resize((432, 288)))
    assert find_foreign_grids(pasted(saved(HOST, 85), scaled[:, :430], (3, 5))) == []


def test_two_halves_are_told_apart_by_nobody():
    picture = saved(HOST, 80).copy()
    other = saved(DONOR, 80)[3:, 5:245]
    picture[: len(other), 240:] = other
    assert find_foreign_grids(picture) == []


def test_small_pictures_are_not_searched():
    picture = HISTORIES["lossless host"]()[100:195]
    assert picture.shape[0] == search.SMALLEST_PX - 1
    assert find_foreign_grids(picture) == []
