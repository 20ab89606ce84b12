import numpy as np
import pytest

from doctored.core.errors import ShapeError
from doctored.core.sample import Sample

IMAGE = np.zeros((4, 6, 3), np.uint8)
NO_BOXES = np.zeros((0, 4), np.int64)


def test_masks_are_of_the_size_of_the_picture():
    mask = np.zeros((4, 6), bool)
    assert Sample(IMAGE, mask, None, NO_BOXES, "splicing", "p").gt_mask is mask
    assert Sample(IMAGE, None, mask, np.array([[0, 0, 2, 2]]), "splicing", "p").ignore_mask is mask
    with pytest.raises(ShapeError, match=r"gt_mask of p is \(6, 4\) but its picture is \(4, 6\)"):
        Sample(IMAGE, mask.T, None, NO_BOXES, "splicing", "p")
    with pytest.raises(ShapeError, match="ignore_mask of p"):
        Sample(IMAGE, mask, mask.T, NO_BOXES, "splicing", "p")


def test_boxes_have_four_columns():
    with pytest.raises(ShapeError, match=r"boxes_xyxy of p must be \(N, 4\), got \(4,\)"):
        Sample(IMAGE, None, None, np.array([0, 0, 2, 2]), "splicing", "p")
