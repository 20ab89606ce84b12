"""Parts of pictures, against SciPy."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from doctored.models.places import box_mean, connected, place_of

LUMINANCE = data.camera()[100:260, 180:380].astype(np.float32)


@pytest.mark.parametrize("side_px", [3, 5, 9])
def test_a_box_mean_is_that_of_scipy(side_px):
    expected = ndimage.uniform_filter(LUMINANCE.astype(np.float64), side_px, mode="nearest")
    np.testing.assert_allclose(box_mean(LUMINANCE, side_px), expected, atol=1e-3)


def test_connected_areas_are_those_of_scipy():
    rng = np.random.default_rng(6)
    for share in (0.4, 0.6, 0.7):
        solid, seeds = rng.random((60, 80)) < share, rng.random((60, 80)) < 0.003
        labels, _ = ndimage.label(solid)
        expected = np.isin(labels, np.unique(labels[seeds & solid])) & solid
        np.testing.assert_array_equal(connected(solid, seeds), expected)


def test_a_place_at_full_size_ends_with_the_picture():
    mask = np.zeros((4, 5), bool)
    mask[1:4, 2] = mask[3, 2:5] = True
    place = place_of(mask, (31, 38), 8)
    assert place.box_xyxy == (16, 8, 38, 31)
    whole = np.zeros((31, 38), bool)
    whole[8:31, 16:38] = place.mask
    np.testing.assert_array_equal(whole, np.kron(mask, np.ones((8, 8), bool))[:31, :38])
