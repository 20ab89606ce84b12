import numpy as np
import pytest

from doctored.core.errors import DataError, ShapeError
from doctored.data.difference_masks import changed_pixels, filled_changes


def pair(change, box=(10, 10, 30, 25)):
    original = np.full((40, 60, 3), 100, np.uint8)
    forged = original.copy()
    left, top, right, bottom = box
    forged[top:bottom, left:right] += np.uint8(change)
    return forged, original


def test_a_change_above_15_is_marked_but_for_the_corners_that_the_median_rounds():
    changed = changed_pixels(*pair(16))
    expected = np.zeros((40, 60), bool)
    expected[10:25, 10:30] = True
    # Within two pixels of a corner a 5 x 5 window holds up to 9, 12, 12, 12 or more of its 25 pixels: below half.
    wrong = np.argwhere(changed != expected)
    assert {(row, column) for row, column in wrong} == {
        (row + down, column + right)
        for row, down_sign in ((10, 1), (24, -1))
        for column, right_sign in ((10, 1), (29, -1))
        for down, right in ((0, 0), (0, right_sign), (down_sign, 0))
    }
    assert not changed_pixels(*pair(15)).any()


def test_grey_is_weighted_by_rec_709():
    forged = np.zeros((9, 9, 3), np.uint8)
    forged[..., 0] = 71  # .2125 x 71 = 15.09
    assert changed_pixels(forged, np.zeros_like(forged)).all()
    forged[..., 0] = 70  # 14.9
    assert not changed_pixels(forged, np.zeros_like(forged)).any()


def test_single_pixels_are_noise():
    forged, original = pair(0)
    forged[::7, ::7] = 255
    assert not changed_pixels(forged, original).any()


def test_small_and_large_changes_are_dropped_and_holes_filled():
    changed = np.zeros((40, 60), bool)
    changed[2:5, 2:5] = True  # its outline encloses 4 square pixels; 1/400 of the picture are 6
    changed[10:30, 10:30] = True
    changed[15:20, 15:20] = False
    expected = np.zeros((40, 60), bool)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(filled_changes(changed), expected)
    with pytest.raises(
        DataError, match=r"between 1/400 and 70% of the picture \(100.00% of all pixels changed"
    ):
        filled_changes(np.ones((40, 60), bool))
    with pytest.raises(DataError, match="no changed area"):
        filled_changes(np.zeros((40, 60), bool))


def test_pictures_of_different_sizes_cannot_be_compared():
    forged, original = pair(20)
    with pytest.raises(ShapeError, match="cannot be compared"):
        changed_pixels(forged, original[:-1])
