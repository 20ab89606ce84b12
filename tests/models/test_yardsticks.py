import io
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from doctored.models.yardsticks import centre, ela, noise, sharpness


def test_centre_follows_its_formula_and_ignores_the_picture():
    rng = np.random.default_rng(0)
    blob = centre(rng.integers(0, 256, (5, 8, 3), np.uint8))
    expected = [
        [np.exp(-(((y + 0.5) / 5 - 0.5) ** 2 + ((x + 0.5) / 8 - 0.5) ** 2) / 0.08) for x in range(8)]
        for y in range(5)
    ]
    np.testing.assert_allclose(blob, expected, rtol=1e-6)
    assert blob.dtype == np.float32
    np.testing.assert_array_equal(blob, centre(np.zeros((5, 8, 3), np.uint8)))


@pytest.mark.parametrize("size_hw", [(40, 53), (1, 1), (3, 30)])
def test_sharpness_agrees_with_opencv(size_hw):
    pixels = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    laplacian = np.abs(cv2.Laplacian(grey, cv2.CV_64F, borderType=cv2.BORDER_REFLECT))
    expected = cv2.blur(np.pad(laplacian, 7, mode="symmetric"), (15, 15))[7:-7, 7:-7] / 1020
    result = sharpness(pixels)
    assert result.shape == size_hw
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_sharpness_spans_nothing_to_a_checkerboard():
    assert sharpness(np.full((20, 20, 3), 200, np.uint8)).max() == 0
    board = np.indices((40, 40)).sum(0) % 2 * 255
    # Mirroring repeats the border pixel, so only the interior alternates everywhere.
    assert sharpness(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))[20, 20] == pytest.approx(1)


@pytest.mark.parametrize("yardstick", [sharpness, ela, noise])
def test_bands_leave_no_seam(yardstick, monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 256, (200, 31, 3), np.uint8)
    whole = yardstick(pixels)
    monkeypatch.setattr("doctored.models.yardsticks._BAND_PIXELS", 1)  # the narrowest bands
    monkeypatch.setattr("doctored.models.yardsticks._JPEG_PIECE_PX", 16)
    np.testing.assert_allclose(yardstick(pixels), whole, atol=1e-6)


@pytest.mark.parametrize("size_hw", [(41, 53), (1, 1), (3, 30)])
def test_ela_agrees_with_a_whole_file_and_opencv(size_hw):
    pixels = np.random.default_rng(3).integers(0, 256, (*size_hw, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling="4:4:4")
    error = np.abs(np.asarray(Image.open(file)).astype(float) - pixels).mean(axis=2)
    means = cv2.blur(np.pad(error, 7, mode="symmetric"), (15, 15))[7:-7, 7:-7]
    np.testing.assert_allclose(ela(pixels), means / (means + 2), atol=1e-6)


def test_ela_shows_what_was_not_saved_before():
    rng = np.random.default_rng(4)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3)).astype(np.uint8), (0, 0), 1.5)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=90, subsampling=0)
    pixels = np.array(Image.open(file))
    pixels[32:64, 32:64] = smooth[32:64, 32:64]
    localization_map = ela(pixels)
    assert localization_map[48, 48] > 3 * localization_map[48, 8]


@pytest.mark.parametrize("size_hw", [(41, 53), (1, 1), (3, 30)])
def test_noise_agrees_with_opencv(size_hw):
    pixels = np.random.default_rng(5).integers(100, 140, (*size_hw, 3), np.uint8)
    pixels[: size_hw[0] // 3] = 120
    laplacian = cv2.Laplacian(
        pixels @ np.array([0.299, 0.587, 0.114]), cv2.CV_64F, borderType=cv2.BORDER_REFLECT
    )
    padded = np.pad(laplacian, 7, mode="symmetric")
    mean, power = (cv2.blur(values, (15, 15))[7:-7, 7:-7] for values in (padded, padded**2))
    level = np.sqrt(np.maximum(power - mean**2, 1 / 16))
    expected = abs(level - np.median(level)) / (level + np.median(level))
    np.testing.assert_allclose(noise(pixels), expected, atol=1e-5)


def test_noise_says_nothing_of_an_even_picture_and_marks_both_kinds_of_deviation():
    assert noise(np.full((20, 20, 3), 200, np.uint8)).max() == 0
    rng = np.random.default_rng(6)
    sigma = np.full((120, 120, 1), 6.0)
    sigma[:40, :40], sigma[80:, 80:] = 0.5, 24
    marked = noise(np.clip(128 + sigma * rng.normal(size=(120, 120, 3)), 0, 255).astype(np.uint8))
    assert marked[20, 20] > 0.5
    assert marked[100, 100] > 0.5
    assert marked[60, 60] < 0.15


@pytest.mark.parametrize("yardstick", [sharpness, ela, noise])
def test_memory_does_not_grow_beyond_the_map(yardstick):
    """Running sums over whole pictures took 40 bytes a pixel: 4 GB at 100 MP."""
    pixels = np.zeros((4000, 2500, 3), np.uint8)
    tracemalloc.start()
    try:
        yardstick(pixels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * pixels.shape[0] * pixels.shape[1] + 120e6
