import cv2
import numpy as np
import pytest

from doctored.models.yardsticks import centre, sharpness


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
