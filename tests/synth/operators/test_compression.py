import io

import numpy as np
import pytest
from PIL import Image

from doctored.synth.operators.compression import jpeg_compress, jpeg_double_compress, webp_compress


def textured_picture(height: int = 72, width: int = 88) -> np.ndarray:
    """Mostly red, so that a swap of channels would show."""
    rng = np.random.default_rng(1)
    cells = rng.integers(-60, 61, (height // 4, width // 4, 1)).repeat(4, axis=0).repeat(4, axis=1)
    return (np.array([180, 90, 70]) + cells + rng.integers(-9, 10, (height, width, 3))).astype(np.uint8)


def through_pillow(image: np.ndarray, file_format: str, **settings: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, file_format, **settings)
    return np.array(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("quality", [36, 70, 100])
def test_jpeg_agrees_with_a_second_library(quality):
    image = textured_picture()
    expected = through_pillow(image, "JPEG", quality=quality, subsampling=2)
    compressed = jpeg_compress(image, quality, np.random.default_rng(0))
    assert np.abs(compressed.astype(int) - expected).mean() < 0.5


@pytest.mark.parametrize("quality", [36, 70, 100])
def test_webp_agrees_with_a_second_library(quality):
    image = textured_picture()
    expected = through_pillow(image, "WEBP", quality=quality, method=4)
    compressed = webp_compress(image, quality, np.random.default_rng(0))
    assert np.abs(compressed.astype(int) - expected).mean() < 0.5
    assert np.any(compressed != image)


def last_jpeg_grid(image: np.ndarray, quality: int) -> tuple[int, int]:
    """Rows and columns that the last 8 x 8 grid begins above and left of the picture.

    A JPEG hardly changes when it is compressed again with the same quality, unless the grid has moved.
    """
    change = np.full((8, 8), np.inf)
    for rows in range(8):
        for columns in range(8):
            inside = image[8 - rows :, 8 - columns :]
            change[rows, columns] = np.abs(
                inside.astype(int) - through_pillow(inside, "JPEG", quality=quality, subsampling=2)
            )[:48, :64].mean()
    rows, columns = np.unravel_index(change.argmin(), change.shape)
    return int(rows), int(columns)


@pytest.mark.parametrize("seed", range(4))
def test_the_two_grids_of_double_jpeg_differ_by_the_drawn_shift(seed):
    grey = textured_picture()[..., :1].repeat(3, axis=2)
    rows, columns = last_jpeg_grid(jpeg_double_compress(grey, (95, 57), np.random.default_rng(seed)), 57)
    assert 1 <= rows <= 7
    assert 1 <= columns <= 7
    assert (rows, columns) == tuple(np.random.default_rng(seed).integers(1, 8, size=2))


def test_single_jpeg_has_its_grid_at_the_corner():
    """Shows that the search above tells an unmoved grid from a moved one."""
    grey = textured_picture()[..., :1].repeat(3, axis=2)
    assert last_jpeg_grid(jpeg_compress(grey, 57, np.random.default_rng(0)), 57) == (0, 0)


def test_the_first_generation_of_double_jpeg_counts():
    image = textured_picture()
    coarse_first = jpeg_double_compress(image, (36, 100), np.random.default_rng(0))
    fine_first = jpeg_double_compress(image, (95, 100), np.random.default_rng(0))
    error_coarse = np.abs(coarse_first.astype(int) - image).mean()
    error_fine = np.abs(fine_first.astype(int) - image).mean()
    assert error_coarse > 1.3 * error_fine
