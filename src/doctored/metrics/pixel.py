"""Scores of one localization map against its ground truth, per picture."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.ranking import weighted_auc

# Coarser than any mask needs, yet far finer than the spread of positions over a set of pictures.
PRIOR_GRID = 64


def pixel_auc(localization_map: NDArray[np.floating], gt_mask: NDArray[np.bool_]) -> float:
    """How well a map ranks the manipulated pixels of one picture above the others.

    A map that never looks at the picture can score far above .5, because people manipulate the middle;
    read it beside `shuffled_pixel_auc`.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.

    Returns:
        The AUC in [0, 1] of this picture; `per_image` averages are means of it.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The mask holds one class only, or the map holds NaN.

    Example:
        >>> pixel_auc(np.array([[.1, .9]]), np.array([[False, True]]))
        1.0
    """
    _check_pair(localization_map, gt_mask)
    return weighted_auc(localization_map, gt_mask)


def shuffled_pixel_auc(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    position_prior: NDArray[np.floating],
) -> float:
    """`pixel_auc` in which knowing where people tend to manipulate earns nothing.

    Manipulated pixels weigh 1; every other pixel weighs as often as the masks of the other pictures cover
    its place. The negatives thus lie where the positives of the set lie, so that a map that knows only the
    position scores about .5.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        position_prior: (h, w), float >= 0, this picture's entry of `position_priors`; it is stretched to
            (H, W).

    Returns:
        The weighted AUC in [0, 1] of this picture.

    Raises:
        ShapeError: Map and mask differ in shape.
        UndefinedMetricError: The mask holds one class only, the map holds NaN, or the other masks cover no
            pixel outside this one.
    """
    _check_pair(localization_map, gt_mask)
    height, width = gt_mask.shape
    prior_h, prior_w = position_prior.shape
    prior = _interpolation(prior_h, height) @ position_prior @ _interpolation(prior_w, width).T
    return weighted_auc(localization_map, gt_mask, np.where(gt_mask, 1.0, prior))


def position_priors(gt_masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """For each picture of a set, how often the masks of all the others cover each place.

    Every mask is averaged onto one grid of `PRIOR_GRID` x `PRIOR_GRID` cells spanning the picture, whatever
    its size, so that the masks of a whole set need not be in memory at once.

    Args:
        gt_masks: The masks of the set, each (H, W), bool; sizes may differ. Read once.

    Returns:
        (number of masks, PRIOR_GRID, PRIOR_GRID), in [0, 1]: leave-one-out means, in the order of the masks.

    Raises:
        UndefinedMetricError: Fewer than two masks, so that there is no other picture.
    """
    coverages = np.array(
        [
            _area_mean(mask.shape[0], PRIOR_GRID)
            @ mask.astype(np.float32)
            @ _area_mean(mask.shape[1], PRIOR_GRID).T
            for mask in gt_masks
        ],
        dtype=np.float64,
    )
    if len(coverages) < 2:
        raise UndefinedMetricError(
            f"a position prior is made of the other pictures' masks; expected 2 or more, got {len(coverages)}"
        )
    # The subtraction may leave -1e-17 where no other mask reaches.
    priors: NDArray[np.float64] = np.maximum((coverages.sum(axis=0) - coverages) / (len(coverages) - 1), 0.0)
    return priors


def _check_pair(localization_map: NDArray[np.floating], gt_mask: NDArray[np.bool_]) -> None:
    if localization_map.ndim != 2 or localization_map.shape != gt_mask.shape:
        raise ShapeError(
            f"localization_map is {localization_map.shape} but gt_mask is {gt_mask.shape}; "
            "bring the map to the size of the picture first"
        )
    if gt_mask.all() or not gt_mask.any():
        raise UndefinedMetricError("gt_mask holds one class only; a pixel AUC needs both")


def _area_mean(length: int, cells: int) -> NDArray[np.float32]:
    """(cells, length) matrix of means over `cells` equal parts of `length` pixels, edge pixels by share."""
    edges = np.arange(cells + 1) * (length / cells)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    matrix: NDArray[np.float32] = (np.maximum(overlap, 0) * (cells / length)).astype(np.float32)
    return matrix


def _interpolation(cells: int, length: int) -> NDArray[np.float64]:
    """(length, cells) matrix of linear interpolation from cell to pixel centres, constant beyond the ends."""
    position = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    matrix: NDArray[np.float64] = np.maximum(1 - np.abs(position[:, None] - np.arange(cells)), 0.0)
    return matrix
