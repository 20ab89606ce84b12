"""Maps that know nothing of forensics, to hold every model against: whoever does not beat them has detected nothing.

Each is a pure function from pixels to a localization map.
"""

import numpy as np
from numpy.typing import NDArray

SHARPNESS_WINDOW_PX = 15
# |4 p - left - right - up - down| of grey levels 0..255.
_LARGEST_LAPLACIAN = 4 * 255


def centre(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A blob in the middle that never looks at the picture: where people tend to manipulate.

    Args:
        pixels: (H, W, 3) uint8; only the size counts.

    Returns:
        (H, W) float32: exp(-r2 / .08), r2 the squared distance from the middle with both sides taken as 1.
    """
    y, x = ((np.arange(side) + 0.5) / side - 0.5 for side in pixels.shape[:2])
    return np.exp(-(y[:, None] ** 2 + x[None] ** 2) / 0.08).astype(np.float32)


def sharpness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much fine detail there is: the local mean of the absolute Laplacian of the grey picture.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (H, W) float32 in [0, 1]: the mean over 15 x 15 px, in shares of the largest possible value. Borders are
        mirrored.
    """
    grey = np.pad(pixels @ np.array([0.299, 0.587, 0.114]), 1, mode="symmetric")
    middle = grey[1:-1, 1:-1]
    laplacian = np.abs(4 * middle - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:])
    window = SHARPNESS_WINDOW_PX
    padded = np.pad(laplacian, window // 2, mode="symmetric")
    sums = np.pad(padded, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = (
        sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    )
    # The difference of large sums may leave -1e-9 on a flat picture.
    return np.maximum(boxes / (window**2 * _LARGEST_LAPLACIAN), 0).astype(np.float32)
