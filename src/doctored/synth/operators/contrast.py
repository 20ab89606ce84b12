"""Contrast: histograms stretched or equalised, per channel."""

import cv2
import numpy as np
from PIL import Image, ImageOps

from doctored.synth.operators.arrays import Rgb


def auto_contrast(image: Rgb, cutoff_percent: int, rng: np.random.Generator) -> Rgb:
    """Stretches every channel to 0..255, ignoring ``cutoff_percent`` of its darkest and brightest pixels."""
    return np.array(ImageOps.autocontrast(Image.fromarray(image), cutoff=cutoff_percent))


def hist_eq(image: Rgb, channel_bits: int, rng: np.random.Generator) -> Rgb:
    """Equalises the histogram of the chosen channels: bit 4 is red, bit 2 green, bit 1 blue.

    Differs: the original numbers first, second and third channel; whether its pictures were in RGB order at
        that point is not known. Here they are.
    """
    equalised = image.copy()
    for channel, bit in enumerate((4, 2, 1)):
        if channel_bits & bit:
            equalised[..., channel] = cv2.equalizeHist(np.ascontiguousarray(image[..., channel]))
    return equalised
