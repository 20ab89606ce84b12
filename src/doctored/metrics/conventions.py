"""Which pixels of a picture are scored, and against which truth: where published numbers silently differ."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ShapeError


@dataclass(frozen=True)
class PixelConvention:
    """How a map is compared with its mask; two numbers are comparable only under the same convention.

    Args:
        polarity_flip: The better of the map and of its inverse, 1 - map, is scored. It lifts a map that knows
            nothing above its chance score.
        ignored_border_px: Pixels within so many px of the boundary between manipulated and authentic, on both of
            its sides and diagonally too, are not counted. The frame of the picture is no boundary.
        invert_large_masks: A mask that covers more than half of the picture is inverted first.

    Raises:
        ConfigError: The border is negative.
    """

    polarity_flip: bool = False
    ignored_border_px: int = 0
    invert_large_masks: bool = False

    def __post_init__(self) -> None:
        if self.ignored_border_px < 0:
            raise ConfigError(f"ignored_border_px must be 0 or more, got {self.ignored_border_px}")


PLAIN = PixelConvention()
"""Every pixel counts, against the mask as it is, with the map as it is."""


def scored_mask(gt_mask: NDArray[np.bool_], convention: PixelConvention = PLAIN) -> NDArray[np.bool_]:
    """The mask that pixels are scored against: (H, W), bool, inverted where the convention says so."""
    if convention.invert_large_masks and 2 * np.count_nonzero(gt_mask) > gt_mask.size:
        return ~gt_mask
    return gt_mask


def counted_pixels(gt_mask: NDArray[np.bool_], convention: PixelConvention = PLAIN) -> NDArray[np.bool_]:
    """Which pixels are scored: (H, W), bool, False near the boundary of the mask if the convention ignores it."""
    border = convention.ignored_border_px
    if border == 0:
        return np.ones(gt_mask.shape, bool)
    return ~(_any_within(gt_mask, border) & _any_within(~gt_mask, border))


def flat_pixels(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    convention: PixelConvention = PLAIN,
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """The scores and labels of all pixels that count.

    The polarity is left to the caller, since which of two is better depends on the score.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        convention: Which pixels count, and whether a large mask is inverted.

    Returns:
        scores: (N,), in the order of the rows; N = H x W unless a border is ignored.
        labels: (N,), bool, True = manipulated.

    Raises:
        ShapeError: The two differ in shape, or are no planes.

    Example:
        >>> flat_pixels(np.array([[.1, .9, .8]]), np.array([[False, True, True]]), PixelConvention(False, 1, True))
        (array([0.8]), array([False]))
    """
    if localization_map.ndim != 2 or localization_map.shape != gt_mask.shape:
        raise ShapeError(
            f"localization_map is {localization_map.shape} but gt_mask is {gt_mask.shape}; "
            "bring the map to the size of the picture first"
        )
    gt_mask = scored_mask(gt_mask.astype(bool, copy=False), convention)
    if convention.ignored_border_px == 0:
        return localization_map.ravel(), gt_mask.ravel()
    counted = counted_pixels(gt_mask, convention)
    return localization_map[counted], gt_mask[counted]


def _any_within(mask: NDArray[np.bool_], distance_px: int) -> NDArray[np.bool_]:
    """Whether any pixel of the square window around each pixel is True; windows end at the frame."""
    for axis in (0, 1):
        length = mask.shape[axis]
        ones_before = np.cumsum(mask, axis=axis, dtype=np.int32)
        ones_before = np.concatenate((np.zeros_like(ones_before.take([0], axis)), ones_before), axis=axis)
        places = np.arange(length)
        last = np.minimum(places + distance_px + 1, length)
        first = np.maximum(places - distance_px, 0)
        mask = ones_before.take(last, axis) > ones_before.take(first, axis)
    return mask
