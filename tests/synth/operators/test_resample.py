from collections.abc import Callable

import numpy as np
import pytest

from doctored.synth.operators.resample import (
    area_resize,
    cubic_resize,
    lanczos4_resize,
    linear_resize,
    nearest_resize,
)

RNG = np.random.default_rng(0)


def random_picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def triangle(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def lanczos4(distance: float) -> float:
    return float(np.sinc(distance) * np.sinc(distance / 4)) if abs(distance) < 4 else 0.0


def interpolation_matrix(size: int, new_size: int, kernel: Callable[[float], float]) -> np.ndarray:
    """(new_size, size) weights; pixel centres lie at halves and the border pixel is repeated."""
    matrix = np.zeros((new_size, size))
    for target in range(new_size):
        position = (target + 0.5) * size / new_size - 0.5
        taps = range(int(np.floor(position)) - 4, int(np.floor(position)) + 6)
        weights = np.array([kernel(position - tap) for tap in taps])
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            matrix[target, min(max(tap, 0), size - 1)] += weight
    return matrix


def resize(image: np.ndarray, size_hw: tuple[int, int], kernel: Callable[[float], float]) -> np.ndarray:
    rows = interpolation_matrix(image.shape[0], size_hw[0], kernel)
    columns = interpolation_matrix(image.shape[1], size_hw[1], kernel)
    return np.einsum("ih,jw,hwc->ijc", rows, columns, image).clip(0, 255)


@pytest.mark.parametrize(
    ("operator", "kernel"), [(linear_resize, triangle), (cubic_resize, cubic), (lanczos4_resize, lanczos4)]
)
@pytest.mark.parametrize(("percent", "small_hw"), [(25, (10, 13)), (63, (25, 33)), (95, (38, 49))])
def test_interpolation_agrees_with_its_textbook_kernel(operator, kernel, percent, small_hw):
    image = random_picture(40, 52)
    expected = resize(np.rint(resize(image, small_hw, kernel)), (40, 52), kernel)
    # The library works in fixed point and rounds the small picture.
    np.testing.assert_allclose(operator(image, percent, RNG), expected, atol=2.5)


def test_nearest_drops_and_repeats_whole_rows_and_columns():
    image = random_picture(10, 20)
    kept_rows = [int(row * 10 / 5) for row in range(5)]
    kept_columns = [int(column * 20 / 9) for column in range(9)]
    small = image[kept_rows][:, kept_columns]
    restored_rows = [int(row * 5 / 10) for row in range(10)]
    restored_columns = [int(column * 9 / 20) for column in range(20)]
    expected = small[restored_rows][:, restored_columns]
    np.testing.assert_array_equal(nearest_resize(image, 47, RNG), expected)


def test_area_turns_every_block_into_its_mean_when_the_scale_divides_the_picture():
    image = random_picture(20, 30)
    means = image.reshape(4, 5, 6, 5, 3).mean(axis=(1, 3))
    expected = means.repeat(5, axis=0).repeat(5, axis=1)
    np.testing.assert_allclose(area_resize(image, 20, RNG), expected, atol=0.5)
