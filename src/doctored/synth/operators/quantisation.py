"""Quantisation: fewer colours or fewer bits."""

import numpy as np
from PIL import Image

from doctored.synth.operators.arrays import Rgb


def quantization(image: Rgb, colors: int, rng: np.random.Generator) -> Rgb:
    """Replaces every colour by the nearest of an adaptive (median cut) palette of ``colors`` entries."""
    picture = Image.fromarray(image).convert("P", palette=Image.Palette.ADAPTIVE, colors=colors)
    return np.array(picture.convert("RGB"))


def dithering(image: Rgb, parameter: None, rng: np.random.Generator) -> Rgb:
    """Floyd-Steinberg dithering to the fixed palette of 216 web colours."""
    return np.array(Image.fromarray(image).convert("P", palette=Image.Palette.WEB).convert("RGB"))


def posterization(image: Rgb, bits: int, rng: np.random.Generator) -> Rgb:
    """Keeps the ``bits`` highest of the 8 bits of every sample and clears the others."""
    return image & np.uint8((0xFF << (8 - bits)) & 0xFF)
