"""Blur: the smoothing filters among the 385 manipulations."""

import cv2
import numpy as np
import pywt

from doctored.synth.operators.arrays import Rgb, UnroundedRgb


def box_blur(image: Rgb, kernel_px: int, rng: np.random.Generator) -> Rgb:
    """Mean over a square of ``kernel_px`` x ``kernel_px`` pixels; the picture is mirrored at its border."""
    return cv2.blur(image, (kernel_px, kernel_px))


def gaussian_blur(image: Rgb, kernel_px: int, rng: np.random.Generator) -> Rgb:
    """Gaussian mean; sigma follows from the side: 0.3 * ((kernel_px - 1) / 2 - 1) + 0.8 pixels.

    The sides up to 7 use OpenCV's short tables of that shape, for instance 1 2 1 and 1 4 6 4 1.
    """
    return cv2.GaussianBlur(image, (kernel_px, kernel_px), 0)


def median_blur(image: Rgb, kernel_px: int, rng: np.random.Generator) -> Rgb:
    """Median over a square, per channel; the border pixel is repeated."""
    return cv2.medianBlur(image, kernel_px)


def wavelet_blur(image: Rgb, sigma_percent: int, rng: np.random.Generator) -> UnroundedRgb:
    """Wavelet denoising (Haar, soft BayesShrink) for noise of ``sigma_percent`` / 100 of full scale.

    Every channel is denoised by itself with log2(shorter side) - 3 levels, at least one.

    Returns:
        (H, W, 3) grey levels, neither rounded nor clipped.

    Paper: Chang, Yu and Vetterli, TIP 2000 (the threshold var / sqrt(band power - var)).
    Differs: the original calls scikit-image 0.14 with its defaults; whether channel by channel is not known.
        On a whole RGB array these defaults take colour for a third axis of space and allow one level only.
    """
    variance = (255.0 * sigma_percent / 100) ** 2
    levels = max(int(np.log2(min(image.shape[:2]))) - 3, 1)
    approximation = image.astype(np.float32)
    shapes, details = [], []
    for _ in range(levels):
        shapes.append(approximation.shape[:2])
        approximation, bands = pywt.dwt2(approximation, "haar", axes=(0, 1))
        details.append(tuple(_bayes_shrink(band, variance) for band in bands))
    for (height, width), bands in zip(reversed(shapes), reversed(details), strict=True):
        # An odd side was extended by one sample on the way down.
        approximation = pywt.idwt2((approximation, bands), "haar", axes=(0, 1))[:height, :width]
    return approximation


def _bayes_shrink(band: UnroundedRgb, variance: float) -> UnroundedRgb:
    power = np.mean(band * band, axis=(0, 1))
    # Where the band holds no more than noise the threshold is beyond every coefficient.
    threshold = np.where(power > variance, variance / np.sqrt(np.maximum(power - variance, 1e-6)), np.inf)
    shrunk = np.sign(band) * np.maximum(np.abs(band) - threshold.astype(np.float32), 0)
    return shrunk.astype(np.float32, copy=False)
