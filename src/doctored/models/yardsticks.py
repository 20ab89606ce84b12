"""Maps that any network should beat: one that never looks, and three that know one old trick each.

Each is a pure function from pixels to a localization map. Pictures are worked through in bands of rows, so that
little more than the picture and its map is in memory.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHARPNESS_WINDOW_PX = 15
NOISE_WINDOW_PX = 15
ELA_WINDOW_PX = 15
ELA_JPEG_QUALITY = 90

_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
# |4 p - left - right - up - down| of grey levels 0..255.
_LARGEST_LAPLACIAN = 4 * 255
# A mean error of so many grey levels is shown as one half.
_ELA_HALF_LEVELS = 2.0
# Residuals weaker than rounding to whole grey levels makes them are no sign of anything.
_LEAST_NOISE_LEVELS = 0.25
_BAND_PIXELS = 1 << 20
_JPEG_BLOCK_PX = 8
# A JPEG file cannot have a side above 65500 px.
_JPEG_PIECE_PX = 8192


def centre(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A blob in the middle that never looks at the picture: where people tend to manipulate.

    Args:
        pixels: (H, W, 3) uint8; only the size counts.

    Returns:
        (H, W) float32: exp(-r2 / .08), r2 the squared distance from the middle with both sides taken as 1.
    """
    y, x = (((np.arange(side) + 0.5) / side - 0.5).astype(np.float32) for side in pixels.shape[:2])
    # The blob is a product, which needs no array of distances.
    return np.exp(-(y**2) / np.float32(0.08))[:, None] * np.exp(-(x**2) / np.float32(0.08))


def sharpness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much fine detail there is: the local mean of the absolute Laplacian of the grey picture.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (H, W) float32 in [0, 1]: the mean over 15 x 15 px, in shares of the largest possible value. Borders are
        mirrored.
    """
    localization_map = np.empty(pixels.shape[:2], np.float32)
    for rows in _bands(pixels):
        detail = np.abs(_on_rows_around(rows, pixels, SHARPNESS_WINDOW_PX, _laplacian))
        # The subtraction of running sums may leave -1e-9 on a flat picture.
        means = np.maximum(_box_means(detail, SHARPNESS_WINDOW_PX), 0)
        localization_map[rows] = means / _LARGEST_LAPLACIAN
    return localization_map


def ela(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Error level analysis: how much a picture changes where it is saved once more as JPEG.

    What was saved before at a like quality changes little, fresh content and fine detail change much.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (H, W) float32 in [0, 1): e / (e + 2), where e is the absolute change in grey levels at quality 90 and
        4:4:4, averaged over the channels and over 15 x 15 px. Borders are mirrored.
    """
    localization_map = np.empty(pixels.shape[:2], np.float32)
    for rows in _bands(pixels):
        error = _on_rows_around(rows, pixels, ELA_WINDOW_PX, _resaving_error)
        means = np.maximum(_box_means(error, ELA_WINDOW_PX), 0)
        localization_map[rows] = means / (means + _ELA_HALF_LEVELS)
    return localization_map


def noise(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where the noise level is not that of the rest: foreign content comes with the noise of its own camera.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (H, W) float32 in [0, 1): |s - m| / (s + m), where s is the standard deviation of the grey picture's
        Laplacian over 15 x 15 px, at least a quarter of a grey level, and m the median of s over the picture.
        Borders are mirrored.
    """
    level = np.empty(pixels.shape[:2], np.float32)
    for rows in _bands(pixels):
        residual = _on_rows_around(rows, pixels, NOISE_WINDOW_PX, _laplacian)
        mean, power = (_box_means(values, NOISE_WINDOW_PX) for values in (residual, residual**2))
        level[rows] = np.sqrt(np.maximum(power - mean**2, _LEAST_NOISE_LEVELS**2))
    usual = np.median(level)
    for rows in _bands(pixels):
        level[rows] = np.abs(level[rows] - usual) / (level[rows] + usual)
    return level


def _bands(pixels: NDArray[np.uint8]) -> Iterator[slice]:
    height, width = pixels.shape[:2]
    each = max(64, _BAND_PIXELS // width)
    return (slice(top, min(top + each, height)) for top in range(0, height, each))


def _on_rows_around(
    rows: slice,
    pixels: NDArray[np.uint8],
    window_px: int,
    function: Callable[[NDArray[np.uint8], slice], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """What a function says of a band and of half a window above and below it, mirrored at the picture's border."""
    height, half = pixels.shape[0], window_px // 2
    wanted = _mirrored(np.arange(rows.start - half, rows.stop + half), height)
    first = int(wanted.min())
    return function(pixels, slice(first, int(wanted.max()) + 1))[wanted - first]


def _mirrored(indices: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Indices beyond an axis turned back into it, as often as needed; the border is repeated."""
    turned = indices % (2 * length)
    return np.where(turned < length, turned, 2 * length - 1 - turned)


def _laplacian(pixels: NDArray[np.uint8], rows: slice) -> NDArray[np.float64]:
    around = _mirrored(np.arange(rows.start - 1, rows.stop + 1), pixels.shape[0])
    grey = np.pad(pixels[around] @ _GREY_WEIGHTS, ((0, 0), (1, 1)), mode="symmetric")
    return 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]


def _resaving_error(pixels: NDArray[np.uint8], rows: slice) -> NDArray[np.float64]:
    # Blocks of a 4:4:4 file do not know each other, so pieces of whole blocks change as the whole file would.
    top = rows.start - rows.start % _JPEG_BLOCK_PX
    bottom = min(pixels.shape[0], rows.stop + -rows.stop % _JPEG_BLOCK_PX)
    error = np.empty((bottom - top, pixels.shape[1]))
    for left in range(0, pixels.shape[1], _JPEG_PIECE_PX):
        piece = np.ascontiguousarray(pixels[top:bottom, left : left + _JPEG_PIECE_PX])
        file = io.BytesIO()
        Image.fromarray(piece).save(file, "JPEG", quality=ELA_JPEG_QUALITY, subsampling=0)
        saved = np.asarray(Image.open(file)).astype(np.int16)
        error[:, left : left + _JPEG_PIECE_PX] = np.abs(saved - piece).mean(axis=2)
    return error[rows.start - top : rows.stop - top]


def _box_means(values: NDArray[np.float64], window_px: int) -> NDArray[np.float64]:
    """Means over a square window: (h + window_px - 1, W) to (h, W), with columns mirrored at the border."""
    half = window_px // 2
    columns = _mirrored(np.arange(-half, values.shape[1] + half), values.shape[1])
    down = np.pad(values, ((1, 0), (0, 0))).cumsum(axis=0)
    down = (down[window_px:] - down[:-window_px])[:, columns]
    across = np.pad(down, ((0, 0), (1, 0))).cumsum(axis=1)
    return (across[:, window_px:] - across[:, :-window_px]) / window_px**2
