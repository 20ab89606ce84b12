"""Smaller versions of large pictures and maps, and back, made in bands of rows to hold no second copy of them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

_BAND_PX = 1 << 20
_Array = TypeVar("_Array", npt.NDArray[np.uint8], npt.NDArray[np.float32])


def reduction_factor(size_hw: tuple[int, int], longest_px: int) -> int:
    """The smallest whole number by which a picture must be divided so that no side exceeds longest_px."""
    return max(1, -(-max(size_hw) // longest_px))


def reduce_pixels(pixels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """The mean of every block of factor x factor pixels; at the right and lower border of what there is.

    Args:
        pixels: (H, W, 3) uint8.
        factor: 1 or more.

    Returns:
        (ceil(H / factor), ceil(W / factor), 3) uint8.
    """
    if factor == 1:
        return pixels
    bands = [np.asarray(Image.fromarray(band).reduce(factor)) for band in _bands(pixels, factor)]
    return np.concatenate(bands)


def reduce_map(localization_map: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """The largest value of every block of factor x factor pixels, so that small finds do not fade.

    Args:
        localization_map: (H, W) float32.
        factor: 1 or more.

    Returns:
        (ceil(H / factor), ceil(W / factor)) float32.
    """
    if factor == 1:
        return localization_map
    columns = np.arange(0, localization_map.shape[1], factor)
    bands = [
        np.maximum.reduceat(
            np.maximum.reduceat(band, np.arange(0, len(band), factor), axis=0), columns, axis=1
        )
        for band in _bands(localization_map, factor)
    ]
    return np.concatenate(bands)


def add_enlarged(total: npt.NDArray[np.float32], small_map: npt.NDArray[np.float32], factor: int) -> None:
    """Add a map of a reduced picture to one of the picture itself, in place, bilinearly between centres of pixels.

    Args:
        total: (H, W) float32.
        small_map: (ceil(H / factor), ceil(W / factor)) float32.
        factor: 1 or more.
    """
    if factor == 1:
        total += small_map
        return
    height, width = total.shape
    image = Image.fromarray(small_map)
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # What lies beside the box is seen where the filter reaches over it, so bands meet without a seam.
        box = (0, top / factor, width / factor, bottom / factor)
        total[top:bottom] += np.asarray(image.resize((width, bottom - top), Image.Resampling.BILINEAR, box))


def _bands(array: _Array, factor: int) -> list[_Array]:
    rows = factor * max(1, _BAND_PX // (array.shape[1] * factor))
    return [array[top : top + rows] for top in range(0, len(array), rows)]
