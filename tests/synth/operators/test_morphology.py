from collections.abc import Callable

import numpy as np
import pytest

from doctored.synth.operators.morphology import close_morph, dilate_morph, erode_morph, open_morph

RNG = np.random.default_rng(0)
SIDES = [2, 4, 19, 34]


def random_picture(height: int = 21, width: int = 27) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def over_squares(image: np.ndarray, before: int, after: int, choose: Callable) -> np.ndarray:
    """Minimum or maximum from ``before`` pixels up and left to ``after`` pixels down and right."""
    result = np.empty_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            square = image[max(0, y - before) : y + after + 1, max(0, x - before) : x + after + 1]
            result[y, x] = choose(square, axis=(0, 1))
    return result


@pytest.mark.parametrize("side_px", SIDES)
def test_all_four_agree_with_a_slow_loop(side_px):
    image = random_picture()
    before, after = side_px // 2, (side_px - 1) // 2
    eroded = over_squares(image, before, after, np.min)
    dilated = over_squares(image, before, after, np.max)
    np.testing.assert_array_equal(erode_morph(image, side_px, RNG), eroded)
    np.testing.assert_array_equal(dilate_morph(image, side_px, RNG), dilated)
    np.testing.assert_array_equal(
        open_morph(image, side_px, RNG), over_squares(eroded, after, before, np.max)
    )
    np.testing.assert_array_equal(
        close_morph(image, side_px, RNG), over_squares(dilated, after, before, np.min)
    )


@pytest.mark.parametrize("side_px", SIDES)
def test_opening_never_brightens_closing_never_darkens_and_neither_acts_twice(side_px):
    """OpenCV's own opening and closing break this for even sides."""
    image = random_picture(60, 60)
    opened, closed = open_morph(image, side_px, RNG), close_morph(image, side_px, RNG)
    assert np.all(opened <= image)
    assert np.all(closed >= image)
    np.testing.assert_array_equal(open_morph(opened, side_px, RNG), opened)
    np.testing.assert_array_equal(close_morph(closed, side_px, RNG), closed)
