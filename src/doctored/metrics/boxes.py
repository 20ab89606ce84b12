"""Average precision of boxes, as PASCAL VOC counts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError

BoxXyxy = tuple[float, float, float, float]
"""Left, top, right, bottom in px, half-open: a box of one pixel at the corner is (0, 0, 1, 1)."""


@dataclass(frozen=True)
class TrueBox:
    """A manipulated region.

    Args:
        picture: Name of the picture it is in.
        box_xyxy: Where.
        technique: Its class, such as "splicing".
    """

    picture: str
    box_xyxy: BoxXyxy
    technique: str


@dataclass(frozen=True)
class ScoredBox:
    """A region that a detector proposes.

    Args:
        picture: Name of the picture it is in.
        box_xyxy: Where.
        technique: The class that it is proposed as.
        score: Higher for surer; only the order matters.
    """

    picture: str
    box_xyxy: BoxXyxy
    technique: str
    score: float


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """How precision falls while more boxes are accepted, one point for each distinct score.

    Args:
        average_precision: In [0, 1], over all pictures of the set.
        precision: (P,), share of the accepted boxes that are right.
        recall: (P,), share of the true boxes found, rising.
        scores: (P,), what is this or higher is accepted, falling.
    """

    average_precision: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    scores: NDArray[np.float64]


def box_iou(a: ArrayLike, b: ArrayLike, inclusive_pixels: bool = False) -> NDArray[np.float64]:
    """Area that boxes share over the area that they cover together.

    Args:
        a: (N, 4), or one box, columns left, top, right, bottom in px.
        b: (M, 4), or one box.
        inclusive_pixels: Right and bottom name the last pixel inside, as in the VOC toolkit, rather than the edge
            behind it.

    Returns:
        (N, M), in [0, 1].

    Raises:
        ShapeError: Not four numbers to a box.
        UndefinedMetricError: A box has no area, or a number is NaN.

    Example:
        >>> box_iou((0, 0, 2, 2), [(1, 0, 3, 2), (0, 0, 2, 2)])
        array([[0.33333333, 1.        ]])
    """
    end = 1.0 if inclusive_pixels else 0.0
    boxes_a, boxes_b = _checked_boxes(a, end), _checked_boxes(b, end)
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    shared = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (boxes_a, boxes_b))
    overlap: NDArray[np.float64] = shared / (area_a[:, None] + area_b[None] - shared)
    return overlap


def voc_average_precision(
    predictions: Sequence[ScoredBox],
    truths: Sequence[TrueBox],
    iou: float = 0.5,
    eleven_points: bool = False,
    inclusive_pixels: bool = False,
) -> PrecisionRecall:
    """How right the boxes of one class are, over all pictures of a set.

    From the highest score down, a box is right if the true box of its picture that it overlaps most is overlapped
    by more than `iou` and was not found before; a second box on it is wrong. The area is that under precision made
    falling from the right. Boxes of equal score are accepted together, so that their order does not matter.

    Args:
        predictions: Boxes of all pictures, those of authentic pictures too; their technique is not looked at, see
            `voc_by_technique`.
        truths: All true boxes.
        iou: Overlap in (0, 1) that must be exceeded.
        eleven_points: Mean of the precision at recalls 0, .1, ... 1, as VOC did before 2010, instead of the area.
        inclusive_pixels: As in `box_iou`.

    Returns:
        Average precision and curve; without predictions 0 and an empty curve, as nothing is found.

    Raises:
        ConfigError: `iou` is no share.
        UndefinedMetricError: There is no true box, a box has no area, or a number is NaN.
    """
    if not 0 < iou < 1:
        raise ConfigError(f"iou must lie between 0 and 1, got {iou}")
    if not truths:
        raise UndefinedMetricError("average precision needs at least one true box; there is none")
    scores = np.array([prediction.score for prediction in predictions], np.float64)
    if np.isnan(scores).any():
        raise UndefinedMetricError("some boxes score NaN, which has no rank; find out where they come from")
    order = np.argsort(-scores, kind="stable")
    right = _right_boxes([predictions[index] for index in order], truths, iou, inclusive_pixels)
    ordered = scores[order]
    tie_ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: ordered.size])
    found = np.cumsum(right)[tie_ends]
    recall, precision = found / len(truths), found / (tie_ends + 1)
    summarise = _eleven_point_mean if eleven_points else _area_under_envelope
    return PrecisionRecall(summarise(precision, recall), precision, recall, ordered[tie_ends])


def voc_by_technique(
    predictions: Sequence[ScoredBox],
    truths: Sequence[TrueBox],
    iou: float = 0.5,
    eleven_points: bool = False,
    inclusive_pixels: bool = False,
) -> dict[str, PrecisionRecall]:
    """`voc_average_precision` of each technique on its own; arguments and errors are the same.

    Returns:
        By technique, sorted by name. One that no true box has is absent, as its average precision is undefined; what
        was predicted as such counts nowhere.
    """
    return {
        technique: voc_average_precision(
            [prediction for prediction in predictions if prediction.technique == technique],
            [truth for truth in truths if truth.technique == technique],
            iou,
            eleven_points,
            inclusive_pixels,
        )
        for technique in sorted({truth.technique for truth in truths})
    }


def mean_average_precision(by_technique: Mapping[str, PrecisionRecall]) -> float:
    """The plain mean over techniques, in [0, 1], each counting the same however rare it is.

    Raises:
        UndefinedMetricError: There is no technique.
    """
    if not by_technique:
        raise UndefinedMetricError(
            "a mean average precision needs at least one technique with a true box; there is none"
        )
    return float(np.mean([curve.average_precision for curve in by_technique.values()]))


def _checked_boxes(boxes: ArrayLike, end: float) -> NDArray[np.float64]:
    array = np.array(boxes, np.float64)
    if array.ndim == 1 and array.size == 4:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise ShapeError(f"expected boxes of four numbers each, (N, 4), got {array.shape}")
    array[:, 2:] += end
    # Written so that NaN fails too.
    if not (array[:, 2:] > array[:, :2]).all():
        raise UndefinedMetricError(
            "expected boxes whose right and bottom lie beyond their left and top; one has no area"
        )
    return array


def _right_boxes(
    ordered: Sequence[ScoredBox], truths: Sequence[TrueBox], iou: float, inclusive_pixels: bool
) -> NDArray[np.bool_]:
    """Which predictions, from the surest down, find a true box that none before them found."""
    truths_of: dict[str, list[BoxXyxy]] = {}
    for truth in truths:
        truths_of.setdefault(truth.picture, []).append(truth.box_xyxy)
    found: set[tuple[str, int]] = set()
    right = np.zeros(len(ordered), bool)
    for index, prediction in enumerate(ordered):
        candidates = truths_of.get(prediction.picture, np.empty((0, 4)))
        overlaps = box_iou(prediction.box_xyxy, candidates, inclusive_pixels)[0]
        if overlaps.size == 0:
            continue
        best = int(overlaps.argmax())
        if overlaps[best] > iou and (prediction.picture, best) not in found:
            found.add((prediction.picture, best))
            right[index] = True
    return right


def _area_under_envelope(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best_from_here).sum())


def _eleven_point_mean(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    levels = np.arange(11) / 10
    return float(np.mean([precision[recall >= level].max(initial=0.0) for level in levels]))
