import numpy as np
import pytest
from skimage.restoration import denoise_wavelet

from doctored.synth.operators.blur import box_blur, gaussian_blur, median_blur, wavelet_blur

RNG = np.random.default_rng(0)


def random_picture(height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def windows(image: np.ndarray, kernel_px: int, padding: str) -> np.ndarray:
    """(H, W, 3, K, K) float neighbourhoods."""
    half = kernel_px // 2
    padded = np.pad(image.astype(float), ((half, half), (half, half), (0, 0)), mode=padding)
    return np.lib.stride_tricks.sliding_window_view(padded, (kernel_px, kernel_px), axis=(0, 1))


def weighted_mean(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("hwcij,i,j->hwc", windows(image, len(weights), "reflect"), weights, weights)


@pytest.mark.parametrize("kernel_px", [3, 7, 13, 33])
@pytest.mark.parametrize("size_hw", [(23, 31), (9, 7)])
def test_box_blur_is_the_mean_of_a_mirrored_window(kernel_px, size_hw):
    image = random_picture(*size_hw)
    mean = windows(image, kernel_px, "reflect").mean(axis=(-1, -2))
    np.testing.assert_array_equal(box_blur(image, kernel_px, RNG), np.rint(mean))


@pytest.mark.parametrize("kernel_px", [11, 19, 33])
def test_gaussian_blur_follows_from_the_kernel_side(kernel_px):
    image = random_picture(41, 37)
    sigma = 0.3 * ((kernel_px - 1) * 0.5 - 1) + 0.8
    offsets = np.arange(kernel_px) - kernel_px // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    expected = weighted_mean(image, weights / weights.sum())
    # OpenCV smooths 8-bit pictures in fixed point.
    np.testing.assert_allclose(gaussian_blur(image, kernel_px, RNG), expected, atol=1.5)


@pytest.mark.parametrize("table", [[1, 2, 1], [1, 4, 6, 4, 1], [1, 3.5, 7, 9, 7, 3.5, 1]])
def test_short_gaussians_by_table(table):
    image = random_picture(20, 17)
    expected = weighted_mean(image, np.array(table) / sum(table))
    np.testing.assert_allclose(gaussian_blur(image, len(table), RNG), expected, atol=0.6)


@pytest.mark.parametrize("kernel_px", [3, 5, 7, 33])
def test_median_blur_is_the_median_per_channel_with_repeated_border(kernel_px):
    image = random_picture(19, 26)
    expected = np.median(windows(image, kernel_px, "edge"), axis=(-1, -2))
    np.testing.assert_array_equal(median_blur(image, kernel_px, RNG), expected)


@pytest.mark.parametrize("sigma_percent", [3, 9])
@pytest.mark.parametrize("size_hw", [(64, 64), (37, 90), (128, 33)])
def test_wavelet_blur_agrees_with_scikit_image(sigma_percent, size_hw):
    rng = np.random.default_rng(2)
    ramp = np.linspace(40, 200, size_hw[1])[None, :, None] + np.zeros((*size_hw, 3))
    image = np.rint(ramp + rng.normal(0, 12, ramp.shape)).clip(0, 255).astype(np.uint8)
    settings = {"wavelet": "db1", "method": "BayesShrink", "mode": "soft", "channel_axis": -1}
    expected = 255 * denoise_wavelet(image / 255, sigma=sigma_percent / 100, **settings)
    np.testing.assert_allclose(wavelet_blur(image, sigma_percent, RNG).clip(0, 255), expected, atol=0.01)


def test_wavelet_blur_keeps_a_flat_picture_and_removes_weak_noise():
    flat = np.full((64, 64, 3), 90, np.uint8)
    np.testing.assert_allclose(wavelet_blur(flat, 5, RNG), 90, atol=1e-3)
    noisy = (flat + np.random.default_rng(4).integers(-8, 9, flat.shape)).astype(np.uint8)
    assert wavelet_blur(noisy, 9, RNG).std() < 0.3 * noisy.std()
