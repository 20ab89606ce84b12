import cv2
import numpy as np
import pytest

from doctored.core.errors import ConfigError, ShapeError
from doctored.metrics.conventions import PLAIN, PixelConvention, counted_pixels, flat_pixels, scored_mask


def random_blobs(seed, size_hw=(23, 37)):
    noise = np.random.default_rng(seed).random(size_hw).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2) > 0.52


def test_the_plain_convention_changes_nothing():
    rng = np.random.default_rng(0)
    localization_map, gt_mask = rng.random((5, 7)), rng.random((5, 7)) < 0.9
    scores, labels = flat_pixels(localization_map, gt_mask)
    np.testing.assert_array_equal(scores, localization_map.ravel())
    np.testing.assert_array_equal(labels, gt_mask.ravel())
    assert PixelConvention() == PLAIN


def test_a_border_of_one_pixel_by_hand():
    gt_mask = np.zeros((1, 8), bool)
    gt_mask[0, :3] = True
    counted = counted_pixels(gt_mask, PixelConvention(ignored_border_px=1))
    # one pixel on either side of the edge between 2 and 3; the frame at 0 is no boundary
    assert counted.tolist() == [[True, True, False, False, True, True, True, True]]


@pytest.mark.parametrize("border_px", [1, 2, 5, 40])
@pytest.mark.parametrize("seed", range(4))
def test_the_border_agrees_with_opencv_dilation_and_erosion(seed, border_px):
    gt_mask = random_blobs(seed)
    kernel = np.ones((2 * border_px + 1, 2 * border_px + 1), np.uint8)
    grown = cv2.dilate(gt_mask.astype(np.uint8), kernel) > 0
    shrunk = cv2.erode(gt_mask.astype(np.uint8), kernel) > 0
    expected = ~grown | shrunk
    np.testing.assert_array_equal(
        counted_pixels(gt_mask, PixelConvention(ignored_border_px=border_px)), expected
    )


def test_the_border_is_the_same_on_both_sides_of_the_mask():
    gt_mask = random_blobs(9)
    convention = PixelConvention(ignored_border_px=2)
    np.testing.assert_array_equal(counted_pixels(gt_mask, convention), counted_pixels(~gt_mask, convention))


def test_only_masks_of_more_than_half_are_inverted():
    convention = PixelConvention(invert_large_masks=True)
    half = np.array([[True, True, False, False]])
    np.testing.assert_array_equal(scored_mask(half, convention), half)
    large = np.array([[True, True, False, True]])
    np.testing.assert_array_equal(scored_mask(large, convention), ~large)
    np.testing.assert_array_equal(scored_mask(large), large)


def test_border_and_inversion_together():
    gt_mask = np.array([[True, True, True, True, False, False]])
    localization_map = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    scores, labels = flat_pixels(localization_map, gt_mask, PixelConvention(False, 1, True))
    assert scores.tolist() == [0.1, 0.2, 0.3, 0.6]
    assert labels.tolist() == [False, False, False, True]


def test_wrong_inputs_are_named():
    with pytest.raises(ConfigError, match="-1"):
        PixelConvention(ignored_border_px=-1)
    with pytest.raises(ShapeError, match=r"\(4, 5\).*\(4, 4\)"):
        flat_pixels(np.zeros((4, 5)), np.zeros((4, 4), bool))
    with pytest.raises(ShapeError):
        flat_pixels(np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool))
