"""Scores of one localization map against its ground truth, per picture."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import UndefinedMetricError
from doctored.metrics.confusion import Confusion, confusion_at
from doctored.metrics.conventions import PLAIN, PixelConvention, counted_pixels, flat_pixels, scored_mask
from doctored.metrics.ranking import Ranking, rank

# Coarser than any mask needs, yet far finer than the spread of positions over a set of pictures.
PRIOR_GRID = 64


@dataclass(frozen=True)
class PixelScores:
    """All scores of one map that one sort gives.

    Args:
        auc: As `pixel_auc`.
        average_precision: As `pixel_average_precision`.
        best_f1: As `best_pixel_f1`.
        best_f1_threshold: Where `best_f1` is reached.
        f1: As `pixel_f1`.
        iou: As `pixel_iou`.
        mcc: As `pixel_mcc`.
    """

    auc: float
    average_precision: float
    best_f1: float
    best_f1_threshold: float
    f1: float
    iou: float
    mcc: float


def pixel_scores(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    threshold: float = 0.5,
    convention: PixelConvention = PLAIN,
) -> PixelScores:
    """All scores of one map at the price of one; each is what the function of its name gives.

    Args:
        localization_map: (H, W), float in [0, 1], higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        threshold: Of `f1`, `iou` and `mcc`; what is this or more is flagged.
        convention: Which pixels count, and in which polarity; each score picks its own better polarity.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.
    """
    rankings = rank_pixels(localization_map, gt_mask, convention)
    confusions = _confusions(localization_map, gt_mask, threshold, convention)
    best_f1, best_f1_threshold = _best_f1(rankings)
    return PixelScores(
        auc=max(ranking.auc() for ranking in rankings),
        average_precision=max(ranking.average_precision() for ranking in rankings),
        best_f1=best_f1,
        best_f1_threshold=best_f1_threshold,
        f1=max(confusion.f1 for confusion in confusions),
        iou=max(confusion.iou for confusion in confusions),
        mcc=max(confusion.mcc for confusion in confusions),
    )


def rank_pixels(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    convention: PixelConvention = PLAIN,
) -> tuple[Ranking, ...]:
    """Sort the pixels of one picture, for scores and curves that need their order.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        convention: Which pixels count, and in which polarity.

    Returns:
        The ranking by the map, and with `polarity_flip` that by its inverse too.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.
    """
    ranking = rank(*_pixels_of_both_classes(localization_map, gt_mask, convention))
    return (ranking, ranking.inverted()) if convention.polarity_flip else (ranking,)


def pixel_auc(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    convention: PixelConvention = PLAIN,
) -> float:
    """How well a map ranks the manipulated pixels of one picture above the others.

    A map that never looks at the picture can score far above .5, because people manipulate the middle;
    read it beside `shuffled_pixel_auc`.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        convention: Which pixels count, and in which polarity.

    Returns:
        The AUC in [0, 1] of this picture; `per_image` averages are means of it.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.

    Example:
        >>> pixel_auc(np.array([[.1, .9]]), np.array([[False, True]]))
        1.0
    """
    return max(ranking.auc() for ranking in rank_pixels(localization_map, gt_mask, convention))


def pixel_average_precision(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    convention: PixelConvention = PLAIN,
) -> float:
    """How pure the flagged pixels of one picture are, on average over recall, without interpolation.

    A map that knows nothing scores the forged share of the picture; compare pictures of like share only.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        convention: Which pixels count, and in which polarity.

    Returns:
        The average precision in (0, 1] of this picture; `per_image` averages are means of it.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.
    """
    rankings = rank_pixels(localization_map, gt_mask, convention)
    return max(ranking.average_precision() for ranking in rankings)


def best_pixel_f1(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    convention: PixelConvention = PLAIN,
) -> tuple[float, float]:
    """The F1 of one picture at the threshold that suits this picture best, which only its mask can tell.

    No detector reaches it on a picture whose truth is unknown; `pixel_f1` is the honest one. As flagging everything
    is among the choices, it is never below 2 p / (1 + p), p being the forged share.

    Args:
        localization_map: (H, W), float, higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        convention: Which pixels count, and in which polarity.

    Returns:
        f1: In (0, 1]; `per_image` averages are means of it.
        threshold: The highest that reaches it, of all values of the map; of 1 - map if that is the better polarity.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.

    Example:
        >>> best_pixel_f1(np.array([[.1, .2, .9]]), np.array([[False, True, True]]))
        (1.0, 0.2)
    """
    return _best_f1(rank_pixels(localization_map, gt_mask, convention))


def pixel_f1(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    threshold: float = 0.5,
    convention: PixelConvention = PLAIN,
) -> float:
    """The F1 of one picture when every pixel of `threshold` or more is flagged.

    Args:
        localization_map: (H, W), float in [0, 1], higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        threshold: The same for all pictures, chosen without looking at them.
        convention: Which pixels count, and in which polarity.

    Returns:
        F1 in [0, 1]; by its definition 0 where no pixel is flagged. `per_image` averages are means of it.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, or the map holds NaN.
    """
    confusions = _confusions(localization_map, gt_mask, threshold, convention)
    return max(confusion.f1 for confusion in confusions)


def pixel_iou(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    threshold: float = 0.5,
    convention: PixelConvention = PLAIN,
) -> float:
    """Overlap over union of mask and flagged pixels of one picture, in [0, 1].

    Arguments, averages and errors are those of `pixel_f1`; it is F1 / (2 - F1).
    """
    confusions = _confusions(localization_map, gt_mask, threshold, convention)
    return max(confusion.iou for confusion in confusions)


def pixel_mcc(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    threshold: float = 0.5,
    convention: PixelConvention = PLAIN,
) -> float:
    """Correlation of mask and flagged pixels of one picture, in [-1, 1], 0 for a guess of any size.

    Arguments, averages and errors are those of `pixel_f1`. It is 0 where every or no pixel is flagged.
    """
    confusions = _confusions(localization_map, gt_mask, threshold, convention)
    return max(confusion.mcc for confusion in confusions)


def flagged_area(localization_map: NDArray[np.floating], threshold: float = 0.5) -> float:
    """Which share of a picture is flagged; on an authentic picture all of it is false alarm.

    Args:
        localization_map: (H, W), float in [0, 1], higher where manipulated.
        threshold: Every pixel of this or more is flagged.

    Returns:
        A share in [0, 1], lower is better; `per_image` averages are means of it.

    Raises:
        ShapeError: The map is no plane.
        UndefinedMetricError: The map holds NaN, or no pixel.
    """
    authentic = np.zeros(localization_map.shape, bool)
    return confusion_at(*flat_pixels(localization_map, authentic), threshold).false_positive_rate


def shuffled_pixel_auc(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    position_prior: NDArray[np.floating],
    convention: PixelConvention = PLAIN,
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
        convention: Which pixels count, and in which polarity; the priors must be made under the same one.

    Returns:
        The weighted AUC in [0, 1] of this picture.

    Raises:
        ShapeError: Map and mask differ in shape.
        UndefinedMetricError: The pixels that count are of one class only, the map holds NaN, or the other masks
            cover no pixel outside this one.
    """
    scores, labels = _pixels_of_both_classes(localization_map, gt_mask, convention)
    height, width = gt_mask.shape
    prior_h, prior_w = position_prior.shape
    prior = _interpolation(prior_h, height) @ position_prior @ _interpolation(prior_w, width).T
    counted = counted_pixels(gt_mask, convention).ravel()
    auc = rank(scores, labels, np.where(labels, 1.0, prior.ravel()[counted])).auc()
    return max(auc, 1.0 - auc) if convention.polarity_flip else auc


def position_priors(
    gt_masks: Iterable[NDArray[np.bool_]], convention: PixelConvention = PLAIN
) -> NDArray[np.float64]:
    """For each picture of a set, how often the masks of all the others cover each place.

    Every mask is averaged onto one grid of `PRIOR_GRID` x `PRIOR_GRID` cells spanning the picture, whatever
    its size, so that the masks of a whole set need not be in memory at once.

    Args:
        gt_masks: The masks of the set, each (H, W), bool; sizes may differ. Read once.
        convention: Whether large masks are inverted; an ignored border leaves the priors as they are.

    Returns:
        (number of masks, PRIOR_GRID, PRIOR_GRID), in [0, 1]: leave-one-out means, in the order of the masks.

    Raises:
        UndefinedMetricError: Fewer than two masks, so that there is no other picture.
    """
    coverages = np.array(
        [
            _area_mean(mask.shape[0], PRIOR_GRID)
            @ scored_mask(mask, convention).astype(np.float32)
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


def _pixels_of_both_classes(
    localization_map: NDArray[np.floating], gt_mask: NDArray[np.bool_], convention: PixelConvention
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    scores, labels = flat_pixels(localization_map, gt_mask, convention)
    if labels.all() or not labels.any():
        ignored = f" once {convention.ignored_border_px} px along its boundary are ignored"
        raise UndefinedMetricError(
            f"gt_mask holds one class only{ignored if convention.ignored_border_px else ''}; "
            "the pixels of a picture are scored by how the two differ"
        )
    return scores, labels


def _confusions(
    localization_map: NDArray[np.floating],
    gt_mask: NDArray[np.bool_],
    threshold: float,
    convention: PixelConvention,
) -> tuple[Confusion, ...]:
    """What the map flags, and with `polarity_flip` what its inverse flags too."""
    scores, labels = _pixels_of_both_classes(localization_map, gt_mask, convention)
    confusion = confusion_at(scores, labels, threshold)
    if not convention.polarity_flip:
        return (confusion,)
    return confusion, confusion_at(1.0 - scores.astype(np.float64), labels, threshold)


def _best_f1(rankings: tuple[Ranking, ...]) -> tuple[float, float]:
    # Of equal ones the first, which is the map as it is.
    return max((ranking.best_f1() for ranking in rankings), key=lambda best: best[0])


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
