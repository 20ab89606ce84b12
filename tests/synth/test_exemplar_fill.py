import cv2
import numpy as np

from doctored.synth.exemplar_fill import exemplar_fill


def stripes(side_px=90, period_px=10):
    columns = (np.arange(side_px) // (period_px // 2)) % 2
    return np.repeat(np.tile(60 + 130 * columns, (side_px, 1))[:, :, None], 3, axis=2).astype(np.uint8)


def hole(side_px=90):
    mask = np.zeros((side_px, side_px), np.uint8)
    cv2.circle(mask, (45, 45), 11, 1, cv2.FILLED)
    return mask > 0


def test_a_pattern_goes_on_through_the_hole():
    mask = hole()
    holed = stripes()
    holed[mask] = 0
    filled = exemplar_fill(holed, mask, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(filled[~mask], holed[~mask])
    wrong = np.abs(filled.astype(int) - stripes())[mask].max(axis=1) > 60
    smooth = cv2.inpaint(holed, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    wrong_when_smooth = np.abs(smooth.astype(int) - stripes())[mask].max(axis=1) > 60
    assert wrong.mean() < 0.15 < wrong_when_smooth.mean()


def test_what_the_hole_showed_does_not_matter():
    mask = hole()
    pictures = [stripes(), stripes()]
    pictures[1][mask] = 255
    first, other = (exemplar_fill(picture, mask, 7, np.random.default_rng(1)) for picture in pictures)
    np.testing.assert_array_equal(first, other)


def test_a_hole_at_the_border_and_one_that_leaves_no_patch():
    mask = np.zeros((40, 40), bool)
    mask[:12, 30:] = True
    filled = exemplar_fill(stripes(40), mask, 7, np.random.default_rng(0))
    assert set(np.unique(filled)) <= {60, 190}
    everywhere = np.ones((20, 20), bool)
    everywhere[::5] = False
    assert exemplar_fill(stripes(20), everywhere, 7, np.random.default_rng(0)).shape == (20, 20, 3)
