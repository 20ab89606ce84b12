"""The small picture that cameras put into a file, compared with the picture itself.

A program that changes a picture and leaves the thumbnail alone leaves the earlier picture in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from doctored.core.decoding import as_stored
from doctored.core.picture import Picture
from doctored.core.read_image import decode_image
from doctored.core.reduction import reduce_pixels, reduction_factor

_MAX_MEGAPIXELS = 4
# Both are reduced to this before they are compared: thumbnails are sharpened, and saved at low quality.
_COMPARED_PX = 80
# Sizes are whole numbers, so that shapes of small pictures never agree quite.
_SAME_SHAPE = 0.04
_SMALLEST_SPREAD = 1.0


@dataclass(frozen=True, eq=False)
class ThumbnailComparison:
    """A thumbnail beside its picture.

    Attributes:
        pixels: (h, w, 3) uint8, the thumbnail, turned as the picture is.
        similarity: Correlation of the grey values, -1..1; 1 is the same but for brightness and contrast.
            None where one of them is of a single colour, which has no correlation.
        difference: Mean difference of the grey values, 0..255, once brightness and contrast are fitted.
        same_shape: Whether width and height have the same proportion. If not, the parts that may correspond are
            compared: the thumbnail without bars, or the middle of the picture.
        turned: Degrees, clockwise, by which the thumbnail had to be turned to show the same, beyond the orientation
            that the file states: 90, 180 or 270; 0 if it did not, or if it does not show the same either way.
    """

    pixels: npt.NDArray[np.uint8]
    similarity: float | None
    difference: float
    same_shape: bool
    turned: int

    @property
    def same_picture(self) -> bool | None:
        """True if both clearly show the same, False if they clearly do not, None in between."""
        if self.similarity is None or 0.8 <= self.similarity < 0.95:
            return None
        return self.similarity >= 0.95


def compare_thumbnail(
    picture: Picture, decode: Callable[..., Picture] = decode_image
) -> ThumbnailComparison | None:
    """Compare a picture with the thumbnail in its file.

    Args:
        picture: As it was read from its file.
        decode: What decodes the thumbnail, called as `decode_image` is.

    Returns:
        None if there is no thumbnail.

    Raises:
        ImageReadError: The thumbnail is damaged, or larger than 4 megapixels.
    """
    if picture.exif is None or picture.exif.thumbnail is None:
        return None
    name = f"the thumbnail in {picture.path}"
    stored = decode(name, picture.exif.thumbnail, max_megapixels=_MAX_MEGAPIXELS).pixels
    height, width = stored.shape[:2]
    upright = np.empty((width, height, 3) if picture.orientation >= 5 else (height, width, 3), np.uint8)
    as_stored(upright, picture.orientation)[...] = stored
    reduced = reduce_pixels(picture.pixels, reduction_factor(picture.size_hw, 8 * _COMPARED_PX))
    comparison = _compare(upright, reduced, 0)
    if comparison.same_picture:
        return comparison
    for quarters in (1, 2, 3):
        turned = _compare(np.ascontiguousarray(np.rot90(upright, -quarters)), reduced, 90 * quarters)
        if turned.same_picture:
            return turned
    return comparison


def _compare(
    thumbnail: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8], turned: int
) -> ThumbnailComparison:
    shape, wanted = thumbnail.shape[1] / thumbnail.shape[0], picture.shape[1] / picture.shape[0]
    same_shape = abs(shape / wanted - 1) <= _SAME_SHAPE
    pairs = [(thumbnail, picture)]
    if not same_shape:
        pairs = [(_middle(thumbnail, wanted), picture), (thumbnail, _middle(picture, shape))]
    similarity, difference = max(
        (_likeness(*pair) for pair in pairs), key=lambda likeness: (likeness[0] is not None, likeness[0])
    )
    return ThumbnailComparison(thumbnail, similarity, difference, same_shape, turned)


def _middle(pixels: npt.NDArray[np.uint8], proportion: float) -> npt.NDArray[np.uint8]:
    """The largest part in the middle whose width is so many times its height."""
    height, width = pixels.shape[:2]
    new_width = max(1, min(width, round(height * proportion)))
    new_height = max(1, min(height, round(width / proportion)))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return pixels[top : top + new_height, left : left + new_width]


def _likeness(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> tuple[float | None, float]:
    """Correlation and mean difference of two pictures that are brought to the same small size."""
    height, width = first.shape[:2]
    scale = min(1, _COMPARED_PX / max(height, width))
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    a, b = (
        np.asarray(Image.fromarray(pixels).convert("L").resize(size_wh, Image.Resampling.BOX), np.float64)
        for pixels in (first, second)
    )
    if min(a.std(), b.std()) < _SMALLEST_SPREAD:
        return None, float(np.abs(a - b).mean())
    correlation = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    fitted = b.mean() + correlation * b.std() / a.std() * (a - a.mean())
    return correlation, float(np.abs(fitted - b).mean())
