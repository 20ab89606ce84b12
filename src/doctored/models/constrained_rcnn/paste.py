"""Putting the masks of regions back where their boxes are; without PyTorch, since detection may run without it."""

import numpy as np
from numpy.typing import NDArray

_BAND_PX = 1 << 20
_UNMASKED_SHARE = np.float32(0.05)  # what a vote counts where no mask says anything


def localization_map(
    masks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    votes: NDArray[np.float32],
    compat: bool,
) -> NDArray[np.float32]:
    """(H, W) float32 in [0, 1]: 1 - exp(-votes x (masks + 0.05)), or with `compat` the masks alone, in whole pixels.

    Masks are weighted by their boxes' scores: unweighted, an authentic picture's map would be as bright as a forged
    one's. They are those of the few regions that are left in the end. All regions of interest together know more: how
    many of them say that a pixel lies in something manipulated.

    Args:
        masks: (M, h, w), in [0, 1].
        boxes: (M, 4), in pixels.
        scores: (M,), in [0, 1].
        votes: (H, W), as `roi_votes` counts them. Overwritten: a large map is made in their place.
        compat: As the released code.
    """
    height, width = votes.shape
    if compat:
        return paste_masks(masks, np.trunc(boxes), (height, width))
    weighted, boxes_xyxy = masks * scores[:, None, None], boxes.astype(np.float64)
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        band = votes[top : top + rows]
        found = paste_masks(weighted, boxes_xyxy - (0, top, 0, top), (len(band), width))
        found += _UNMASKED_SHARE
        band *= found
        np.negative(band, out=band)
        np.expm1(band, out=band)
        np.negative(band, out=band)
    return votes


def roi_votes(
    rois: NDArray[np.float32], logits: NDArray[np.float32], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """(H, W): the probabilities of the regions of interest that cover each pixel, added up.

    Args:
        rois: (R, 4), in pixels.
        logits: (R,), of being manipulated.
        size_hw: Of the picture.
    """
    votes = np.zeros(size_hw, np.float32)
    for pixels, logit in zip(roi_pixels(rois, size_hw), logits, strict=True):
        votes[pixels] += 0.5 * np.tanh(0.5 * logit) + 0.5
    return votes


def roi_pixels(rois: NDArray[np.float32], size_hw: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Rows and columns that each region of interest (R, 4) covers; one without area covers the pixel where it is."""
    height, width = size_hw
    starts = np.clip(np.floor(rois[:, :2]), 0, (width - 1, height - 1)).astype(int)
    ends = np.clip(np.ceil(rois[:, 2:]), starts + 1, (width, height)).astype(int)
    return [
        (slice(top, bottom), slice(left, right))
        for (left, top), (right, bottom) in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def paste_masks(
    masks: NDArray[np.float32], boxes: NDArray[np.floating], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """The pixel-wise maximum of masks, each stretched over its box.

    Args:
        masks: (M, h, w), in [0, 1].
        boxes: (M, 4), in pixels, right and bottom just outside; one without area leaves nothing.
        size_hw: Of the picture.

    Returns:
        (H, W), float32; 0 outside all boxes, which are the pixels whose middle is in none.
    """
    height, width = size_hw
    pasted = np.zeros((height, width), np.float32)
    for mask, (left, top, right, bottom) in zip(masks, boxes.tolist(), strict=True):
        if right <= left or bottom <= top:
            continue
        first_y, last_y = _pixels_between(top, bottom, height)
        first_x, last_x = _pixels_between(left, right, width)
        # In bands, because the mask of a large box would be as large as the map.
        rows = max(1, _BAND_PX // max(1, last_x - first_x))
        across = mask @ _interpolation(first_x, last_x, left, right, mask.shape[1]).T
        for start in range(first_y, last_y, rows):
            stop = min(last_y, start + rows)
            area = pasted[start:stop, first_x:last_x]
            stretched = _interpolation(start, stop, top, bottom, mask.shape[0]) @ across
            # Weights that sum to 1 but for the last bit would lift it above 1.
            np.minimum(stretched, mask.max(), out=stretched)
            np.maximum(area, stretched, out=area)
    return pasted


def _pixels_between(start: float, end: float, size: int) -> tuple[int, int]:
    """The half-open range of pixels whose middles lie in [start, end)."""
    first = max(0, -int(-(start - 0.5) // 1))
    return first, min(size, max(first, -int(-(end - 0.5) // 1)))


def _interpolation(first: int, last: int, start: float, end: float, cells: int) -> NDArray[np.float32]:
    """(last - first, cells) weights of the cells that divide [start, end), at the middle of each pixel.

    Bilinear between the cells' middles, and the outermost cell beyond them.
    """
    middles = (np.arange(first, last) + 0.5 - start) / (end - start) * cells - 0.5
    away = np.abs(np.clip(middles, 0, cells - 1)[:, None] - np.arange(cells))
    return np.maximum(0, 1 - away).astype(np.float32)
