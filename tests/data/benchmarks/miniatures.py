"""Tiny pictures and masks for miniatures of published sets."""

import numpy as np
from PIL import Image


def photo(seed, height=40, width=60):
    """A smooth picture, (H, W, 3) uint8; seeds differ by far more than 15 grey values almost everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 90, (height // 10, width // 10, 3)) + 40 * (seed % 4)
    return coarse.repeat(10, axis=0).repeat(10, axis=1).astype(np.uint8)


def box_mask(left, top, right, bottom, height=40, width=60):
    """(H, W) bool, True in a box whose right and bottom are just outside."""
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def save(path, pixels, **options):
    """Write an array of numbers, or a mask in black and white, and make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    Image.fromarray(values).save(path, **options)
    return path


def load(path):
    with Image.open(path) as image:
        return np.asarray(image)
