"""Resample: shrink a picture and enlarge it back, both with the same interpolation."""

import cv2
import numpy as np

from doctored.synth.operators.arrays import Rgb


def area_resize(image: Rgb, scale_percent: int, rng: np.random.Generator) -> Rgb:
    """Pixel-area averages down, OpenCV's INTER_AREA up (nearly bilinear)."""
    return _shrink_and_restore(image, scale_percent, cv2.INTER_AREA)


def cubic_resize(image: Rgb, scale_percent: int, rng: np.random.Generator) -> Rgb:
    """Bicubic interpolation, without low-pass filtering before shrinking."""
    return _shrink_and_restore(image, scale_percent, cv2.INTER_CUBIC)


def lanczos4_resize(image: Rgb, scale_percent: int, rng: np.random.Generator) -> Rgb:
    """Lanczos interpolation over 8 x 8 pixels, without low-pass filtering before shrinking."""
    return _shrink_and_restore(image, scale_percent, cv2.INTER_LANCZOS4)


def linear_resize(image: Rgb, scale_percent: int, rng: np.random.Generator) -> Rgb:
    """Bilinear interpolation, without low-pass filtering before shrinking."""
    return _shrink_and_restore(image, scale_percent, cv2.INTER_LINEAR)


def nearest_resize(image: Rgb, scale_percent: int, rng: np.random.Generator) -> Rgb:
    """Nearest neighbour: drops rows and columns, then repeats those that are left."""
    return _shrink_and_restore(image, scale_percent, cv2.INTER_NEAREST)


def _shrink_and_restore(image: Rgb, scale_percent: int, interpolation: int) -> Rgb:
    height, width = image.shape[:2]
    small_wh = (max(1, round(width * scale_percent / 100)), max(1, round(height * scale_percent / 100)))
    small = cv2.resize(image, small_wh, interpolation=interpolation)
    return cv2.resize(small, (width, height), interpolation=interpolation)
