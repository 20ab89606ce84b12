"""Finding things in a photograph that could be cut out of it, from its pixels alone."""

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.forgery import Outline

# Objects are looked for on a copy of this size: the segmentations take time by the pixel.
_WORK_SIDE_PX = 320
_AREA_RANGE = (0.008, 0.35)
_MIN_SOLIDITY = 0.55
_MAX_BORDER_SHARE = 0.2
# Mean colours in and around an object differ by so much in Lab, or people would not see a thing there.
_MIN_CONTRAST = 16.0
_MAX_OVERLAP = 0.7
_GRABCUT_BOXES = 6


def find_objects(pixels: NDArray[np.uint8], max_objects: int = 16) -> tuple[Outline, ...]:
    """Outlines of compact, visible things, the clearest first; the same pixels always give the same.

    Segments of three kinds compete: felzenszwalb's graph segments, SLIC superpixels merged by colour, and GrabCut
    within boxes around either.

    Args:
        pixels: (H, W, 3) uint8, RGB.
        max_objects: At most so many; those that mostly repeat a better one are left out.

    Returns:
        Outlines of one closed polygon each, in the photograph's pixels.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _WORK_SIDE_PX / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(pixels), size_wh, interpolation=cv2.INTER_AREA)
    if min(small.shape[:2]) < 16:
        return ()
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    candidates = [*_graph_segments(small), *_merged_superpixels(small)]
    ranked = _ranked(candidates, lab)
    ranked = _ranked([mask for _, mask in ranked] + _grabcut(small, [mask for _, mask in ranked]), lab)
    chosen: list[NDArray[np.bool_]] = []
    for _, mask in ranked:
        if all((mask & other).sum() < _MAX_OVERLAP * (mask | other).sum() for other in chosen):
            chosen.append(mask)
        if len(chosen) == max_objects:
            break
    scale_xy = np.divide((width, height), size_wh)
    return tuple((_outline(mask, scale_xy, (width, height)),) for mask in chosen)


def _graph_segments(small: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    from skimage.segmentation import felzenszwalb

    masks = []
    for coarseness in (150, 500):
        labels = felzenszwalb(
            small, scale=coarseness, sigma=0.8, min_size=small.shape[0] * small.shape[1] // 150
        )
        masks += _masks_of(labels)
    return masks


def _merged_superpixels(small: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    from skimage.graph import cut_threshold, rag_mean_color
    from skimage.segmentation import slic

    superpixels = slic(small, n_segments=180, compactness=12, start_label=0)
    graph = rag_mean_color(small, superpixels)
    return [
        mask
        for limit in (22, 36)
        for mask in _masks_of(cut_threshold(superpixels, graph, limit, in_place=False))
    ]


def _masks_of(labels: NDArray[np.integer]) -> list[NDArray[np.bool_]]:
    counts = np.bincount(labels.ravel())
    low, high = (bound * labels.size for bound in _AREA_RANGE)
    return [labels == label for label in np.flatnonzero((counts >= low) & (counts <= high))]


def _grabcut(small: NDArray[np.uint8], seeds: list[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """What stands out against the rest within boxes somewhat larger than the best segments."""
    masks = []
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    for seed in seeds[:_GRABCUT_BOXES]:
        left, top, width, height = cv2.boundingRect(seed.astype(np.uint8))
        margin_x, margin_y = width // 4 + 3, height // 4 + 3
        labels = np.full(seed.shape, cv2.GC_BGD, np.uint8)
        box = (
            slice(max(0, top - margin_y), top + height + margin_y),
            slice(max(0, left - margin_x), left + width + margin_x),
        )
        labels[box] = cv2.GC_PR_BGD
        labels[seed] = cv2.GC_PR_FGD
        if (labels != cv2.GC_BGD).all():
            continue
        cv2.setRNGSeed(0)  # its colour models start at random
        cv2.grabCut(bgr, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
        masks.append((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))
    return masks


def _ranked(
    candidates: list[NDArray[np.bool_]], lab: NDArray[np.float32]
) -> list[tuple[float, NDArray[np.bool_]]]:
    """The candidates that look like things, cleaned, with a score, best first."""
    scored = []
    for candidate in candidates:
        mask = _cleaned(candidate)
        if mask is None:
            continue
        score = _score(mask, lab)
        if score > 0:
            scored.append((score, mask))
    return sorted(scored, key=lambda entry: -entry[0])


def _cleaned(candidate: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The largest piece without its thin parts, its holes filled."""
    drawn = candidate.astype(np.uint8)
    drawn = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    drawn = cv2.morphologyEx(drawn, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    return cv2.drawContours(np.zeros_like(drawn), [outline], -1, 1, cv2.FILLED) > 0


def _score(mask: NDArray[np.bool_], lab: NDArray[np.float32]) -> float:
    """How much a mask looks like a thing: visible against what is around it, compact, not cut by the border."""
    drawn = mask.astype(np.uint8)
    area = int(drawn.sum())
    if not _AREA_RANGE[0] <= area / mask.size <= _AREA_RANGE[1]:
        return 0.0
    (outline,), _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solidity = cv2.contourArea(outline) / max(1.0, cv2.contourArea(cv2.convexHull(outline)))
    bottom_right = np.subtract(mask.shape[::-1], 1)
    at_border = ((outline[:, 0] <= 1) | (outline[:, 0] >= bottom_right - 1)).any(axis=1).mean()
    if solidity < _MIN_SOLIDITY or at_border > _MAX_BORDER_SHARE:
        return 0.0
    ring = (cv2.dilate(drawn, np.ones((13, 13), np.uint8)) - cv2.dilate(drawn, np.ones((3, 3), np.uint8))) > 0
    contrast = float(np.linalg.norm(lab[mask].mean(axis=0) - lab[ring].mean(axis=0))) if ring.any() else 0.0
    if contrast < _MIN_CONTRAST:
        return 0.0
    return contrast * solidity * (1 - 2 * at_border) * float(np.sqrt(area / mask.size))


def _outline(
    mask: NDArray[np.bool_], scale_xy: NDArray[np.float64], size_wh: tuple[int, int]
) -> NDArray[np.int32]:
    (outline,), _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = outline[:, 0].astype(np.float64)
    # The stairs of the small mask would show as stairs on the photograph.
    for _ in range(2):
        points = (np.roll(points, 1, axis=0) + 2 * points + np.roll(points, -1, axis=0)) / 4
    points = (points + 0.5) * scale_xy - 0.5
    simple = cv2.approxPolyDP(points.astype(np.float32)[:, None], 0.8, True)[:, 0]
    return np.clip(np.rint(simple), 0, np.subtract(size_wh, 1)).astype(np.int32)
