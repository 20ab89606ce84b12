import numpy as np
import pytest
from scipy import ndimage

from doctored.data.boxes import BoxRule, boxes_from_mask


def rectangles(*boxes, size_hw=(60, 80)):
    mask = np.zeros(size_hw, bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_boxes_by_hand():
    assert boxes_from_mask(rectangles((3, 4, 9, 8), (0, 0, 1, 1), (70, 50, 80, 60))) == (
        (0, 0, 1, 1), (3, 4, 9, 8), (70, 50, 80, 60),
    )  # fmt: skip
    assert boxes_from_mask(np.zeros((5, 5), bool)) == ()
    assert boxes_from_mask(np.ones((5, 7), bool)) == ((0, 0, 7, 5),)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_those_of_connected_components(seed):
    blobs = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(60, 80)), 3) > 0.1
    filled = ndimage.binary_fill_holes(blobs)  # islands in a hole would be components of their own
    labels, count = ndimage.label(filled, np.ones((3, 3)))
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)}
    assert count > 2
    assert set(boxes_from_mask(blobs)) == expected


def test_rules_choose_among_contours():
    thin, square, dot = (0, 0, 50, 2), (10, 10, 30, 30), (60, 50, 62, 52)  # 100, 76 and 4 boundary points
    mask = rectangles(thin, square, dot)
    assert boxes_from_mask(mask, BoxRule("longest")) == (thin,)
    assert boxes_from_mask(mask, BoxRule("largest")) == (square,)
    assert boxes_from_mask(mask, BoxRule(more_boundary_points_than=75)) == (thin, square)
    assert boxes_from_mask(mask, BoxRule(more_boundary_points_than=76)) == (thin,)
    assert boxes_from_mask(mask, BoxRule(more_boundary_points_than=100)) == (thin,)
