import numpy as np
import pytest
from scipy import ndimage

from doctored.core import reduction
from doctored.core.reduction import add_enlarged, reduce_map, reduce_pixels, reduction_factor

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def narrow_bands(monkeypatch):
    """As if the pictures were large."""
    monkeypatch.setattr(reduction, "_BAND_PX", 200)


def blocks(array, factor):
    """Every block of an array with its row and column."""
    for row in range(-(-array.shape[0] // factor)):
        for column in range(-(-array.shape[1] // factor)):
            area = np.s_[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            yield row, column, array[area]


@pytest.mark.parametrize("size_hw", [(1, 1), (37, 53), (40, 60), (1, 90), (90, 1)])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_reduction_agrees_with_a_slow_loop(size_hw, factor):
    pixels = RNG.integers(0, 256, (*size_hw, 3), np.uint8)
    localization_map = RNG.random(size_hw).astype(np.float32)
    small, small_map = reduce_pixels(pixels, factor), reduce_map(localization_map, factor)
    assert small.shape[:2] == small_map.shape == (-(-size_hw[0] // factor), -(-size_hw[1] // factor))
    for row, column, block in blocks(pixels, factor):
        assert np.abs(small[row, column] - block.mean(axis=(0, 1))).max() <= 1
    for row, column, block in blocks(localization_map, factor):
        assert small_map[row, column] == block.max()


@pytest.mark.parametrize("size_hw", [(1, 1), (37, 53), (40, 60), (1, 90), (90, 1)])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_enlarging_agrees_with_scipy(size_hw, factor):
    height, width = size_hw
    small = RNG.random((-(-height // factor), -(-width // factor))).astype(np.float32)
    whole = ndimage.zoom(small, factor, order=1, mode="nearest", grid_mode=True)
    before = RNG.random(size_hw).astype(np.float32)
    total = before.copy()
    add_enlarged(total, small, factor)
    np.testing.assert_allclose(total, before + whole[:height, :width], atol=1e-5)


@pytest.mark.parametrize(
    ("size_hw", "factor"), [((700, 1400), 1), ((1401, 10), 2), ((10, 2801), 3), ((1, 1), 1)]
)
def test_the_factor_is_the_smallest_that_fits(size_hw, factor):
    assert reduction_factor(size_hw, 1400) == factor
