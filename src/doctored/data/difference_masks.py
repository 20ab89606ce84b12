"""Masks of forgeries by comparing them with their originals."""

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError, ShapeError
from doctored.data.boxes import outer_contours

_REC_709 = np.array([0.2125, 0.7154, 0.0721])
_SMALLEST_CHANGE = 15
_MEDIAN_PX = 5
_SMALLEST_SHARE, _LARGEST_SHARE = 1 / 400, 0.7


def changed_pixels(forged: NDArray[np.uint8], original: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose grey value differs by more than 15 of 255, after a 5 x 5 median.

    Args:
        forged: (H, W, 3) uint8, RGB.
        original: Of the same size.

    Returns:
        (H, W) bool.

    Raises:
        ShapeError: The sizes differ.
    """
    import cv2

    if forged.shape != original.shape:
        raise ShapeError(
            f"the forgery is {forged.shape} but its original is {original.shape}; they cannot be compared"
        )
    change = np.abs(forged @ _REC_709 - original @ _REC_709)
    return cv2.medianBlur(np.where(change > _SMALLEST_CHANGE, np.uint8(255), np.uint8(0)), _MEDIAN_PX) > 127


def filled_changes(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The changed areas of a plausible size, without their holes.

    Args:
        changed: (H, W) bool, as `changed_pixels` returns it.

    Returns:
        (H, W) bool: the outer contours that enclose more than 1/400 and less than 0.7 of the picture, filled.

    Raises:
        DataError: There are none.
    """
    import cv2

    contours = outer_contours(changed)
    size_px = changed.size
    kept = [c for c in contours if _SMALLEST_SHARE < cv2.contourArea(c) / size_px < _LARGEST_SHARE]
    if not kept:
        raise DataError(
            f"no changed area takes between 1/400 and {_LARGEST_SHARE:.0%} of the picture "
            f"({changed.mean():.2%} of all pixels changed)"
        )
    filled = np.zeros(changed.shape, np.uint8)
    cv2.drawContours(filled, kept, -1, 1, thickness=cv2.FILLED)
    return filled > 0
