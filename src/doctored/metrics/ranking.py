"""Labelled scores from the highest down, once sorted, and every score that only needs their order."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.confusion import Confusion, flat_scores_and_labels

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Points of a receiver operating characteristic, from (0, 0) to (1, 1).

    Args:
        false_positive_rate: (P,), share of the negatives flagged, rising.
        true_positive_rate: (P,), share of the positives flagged, rising.
        thresholds: (P,), what is this or higher is flagged; falling, the first is infinite.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


@dataclass(frozen=True, eq=False)
class PrCurve:
    """Points of a precision-recall curve, from the highest threshold that flags anything to the lowest.

    Args:
        recall: (P,), share of the positives flagged, rising to 1.
        precision: (P,), share of the flagged that is positive; ends at the share of positives.
        thresholds: (P,), what is this or higher is flagged; falling.
    """

    recall: Floats
    precision: Floats
    thresholds: Floats


@dataclass(frozen=True, eq=False)
class Ranking:
    """How much of either class lies at each score: all that a score of the order needs.

    Every method but `confusion` raises UndefinedMetricError where one class is absent or weighs nothing.

    Args:
        thresholds: (K,), distinct scores, falling.
        positives_at: (K,), float64, count or weight of the positives at exactly this score.
        negatives_at: (K,), float64, the same of the negatives; never 0 where `positives_at` is.
    """

    thresholds: NDArray[np.number]
    positives_at: Floats
    negatives_at: Floats

    @cached_property
    def true_positives(self) -> Floats:
        """(K,), positives at this threshold or above."""
        return np.cumsum(self.positives_at)

    @cached_property
    def false_positives(self) -> Floats:
        """(K,), negatives at this threshold or above."""
        return np.cumsum(self.negatives_at)

    def totals(self) -> tuple[float, float]:
        """Count or weight of all positives, and of all negatives; neither is 0.

        Raises:
            UndefinedMetricError: One of them is.
        """
        positives, negatives = float(self.true_positives[-1]), float(self.false_positives[-1])
        if positives == 0 or negatives == 0:
            raise UndefinedMetricError(
                "this score needs both classes, each with some weight; only one is here"
            )
        return positives, negatives

    def auc(self) -> float:
        """Chance that a positive scores higher than a negative, a tie counting half, in [0, 1]; .5 for a guess."""
        positives, negatives = self.totals()
        negatives_below = negatives - self.false_positives
        won = (self.positives_at * (negatives_below + self.negatives_at / 2)).sum()
        return float(won / (positives * negatives))

    def average_precision(self) -> float:
        """Mean of the precision at each step of recall, without interpolation, in (0, 1].

        A guess scores the share of the positives.
        """
        positives, _ = self.totals()
        return float((self.positives_at * self._precision()).sum() / positives)

    def best_f1(self) -> tuple[float, float]:
        """The highest F1 that a threshold reaches, and that threshold; the highest one of several.

        To flag everything is allowed, so that the F1 is never below 2 p / (1 + p), p being the share of positives.
        """
        positives, _ = self.totals()
        half_f1 = self.true_positives / (self.true_positives + self.false_positives + positives)
        threshold = float(self.thresholds[int(half_f1.argmax())])
        return self.confusion(threshold).f1, threshold

    def confusion(self, threshold: float) -> Confusion:
        """What is flagged when every score of `threshold` or more is."""
        flagging = int(np.count_nonzero(self.thresholds >= float(threshold)))
        true_positives = float(self.true_positives[flagging - 1]) if flagging else 0.0
        false_positives = float(self.false_positives[flagging - 1]) if flagging else 0.0
        return Confusion(
            true_positives,
            false_positives,
            float(self.true_positives[-1]) - true_positives,
            float(self.false_positives[-1]) - false_positives,
        )

    def roc_curve(self, points: int = 1000) -> RocCurve:
        """At most `points` points of the ROC curve, evenly along its length, both ends included.

        Raises:
            ConfigError: Fewer than two points.
        """
        positives, negatives = self.totals()
        true_positive_rate = np.concatenate(([0.0], self.true_positives / positives))
        false_positive_rate = np.concatenate(([0.0], self.false_positives / negatives))
        kept = _evenly_spaced(true_positive_rate + false_positive_rate, points)
        thresholds = np.concatenate(([np.inf], self.thresholds))
        return RocCurve(false_positive_rate[kept], true_positive_rate[kept], thresholds[kept])

    def pr_curve(self, points: int = 1000) -> PrCurve:
        """At most `points` points of the precision-recall curve, evenly in recall, both ends included.

        Raises:
            ConfigError: Fewer than two points.
        """
        positives, _ = self.totals()
        recall = self.true_positives / positives
        kept = _evenly_spaced(recall, points)
        return PrCurve(recall[kept], self._precision()[kept], self.thresholds[kept].astype(np.float64))

    def inverted(self) -> "Ranking":
        """The ranking of 1 - score."""
        return Ranking(
            1.0 - self.thresholds[::-1].astype(np.float64), self.positives_at[::-1], self.negatives_at[::-1]
        )

    def _precision(self) -> Floats:
        return self.true_positives / (self.true_positives + self.false_positives)


def rank(scores: ArrayLike, positives: ArrayLike, weights: NDArray[np.floating] | None = None) -> Ranking:
    """Sort labelled scores once, for every score that needs their order.

    Args:
        scores: N numbers of any real type; only their order matters.
        positives: N booleans, True for the class that should score high.
        weights: N non-negative weights; None weighs everything 1.

    Raises:
        ShapeError: The arrays do not hold one entry for each score.
        UndefinedMetricError: There is no score, none weighs anything, or a score or weight is not a number.
    """
    flat_scores, flat_positives = flat_scores_and_labels(scores, positives)
    if flat_scores.size == 0:
        raise UndefinedMetricError("expected at least one score to rank, got none")
    if weights is None:
        # Two plain sorts take a third of the time of one that carries the labels along.
        ordered = np.sort(flat_scores)
        starts = _tie_starts(ordered)
        distinct = ordered[starts]
        places = np.searchsorted(distinct, np.sort(flat_scores[flat_positives]))
        positives_at = np.bincount(places, minlength=distinct.size)
        negatives_at = np.diff(starts, append=ordered.size) - positives_at
        return Ranking(
            distinct[::-1], positives_at[::-1].astype(np.float64), negatives_at[::-1].astype(np.float64)
        )

    flat_weights = np.asarray(weights, np.float64).ravel()
    if flat_weights.size != flat_scores.size:
        raise ShapeError(
            f"expected one weight for each of the {flat_scores.size} scores, got {flat_weights.size} weights"
        )
    if not (flat_weights >= 0).all():
        raise UndefinedMetricError("weights must be numbers of 0 or more")
    order = np.argsort(flat_scores)[::-1]
    ordered = flat_scores[order]
    starts = _tie_starts(ordered)
    ordered_weights, is_positive = flat_weights[order], flat_positives[order]
    return ranking_of_masses(
        ordered[starts],
        np.add.reduceat(np.where(is_positive, ordered_weights, 0.0), starts),
        np.add.reduceat(np.where(is_positive, 0.0, ordered_weights), starts),
    )


def ranking_of_masses(thresholds: NDArray[np.number], positives_at: Floats, negatives_at: Floats) -> Ranking:
    """A ranking of what lies at each of the distinct, falling thresholds; those that hold nothing are left out.

    Raises:
        UndefinedMetricError: None holds anything.
    """
    present = (positives_at > 0) | (negatives_at > 0)
    if not present.any():
        raise UndefinedMetricError("a ranking needs scores of some weight; none has any")
    return Ranking(thresholds[present], positives_at[present], negatives_at[present])


def weighted_auc(
    scores: ArrayLike, positives: ArrayLike, weights: NDArray[np.floating] | None = None
) -> float:
    """Chance that a positive drawn by weight scores higher than a negative drawn by weight.

    The Mann-Whitney statistic, exact: equal scores count one half, sums are float64.

    Args:
        scores: N numbers of any real type; only their order matters.
        positives: N booleans, True for the class that should score high.
        weights: N non-negative weights; None weighs everything 1.

    Returns:
        A number in [0, 1]; .5 for a score that knows nothing.

    Raises:
        ShapeError: The arrays do not hold one entry for each score.
        UndefinedMetricError: One class is absent or weighs nothing, or a score or weight is not a number.

    Example:
        >>> weighted_auc([.1, .4, .4, .8], [False, True, False, True])
        0.875
    """
    return rank(scores, positives, weights).auc()


def _tie_starts(ordered: NDArray[np.number]) -> NDArray[np.intp]:
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def _evenly_spaced(position: Floats, points: int) -> NDArray[np.intp]:
    """Indices of at most `points` entries of a rising array, evenly in its values, with the first and the last."""
    if points < 2:
        raise ConfigError(f"a curve has 2 points or more, got {points}")
    if position.size <= points:
        return np.arange(position.size)
    wanted = np.linspace(position[0], position[-1], points)
    kept = np.searchsorted(position, wanted)
    kept[-1] = position.size - 1
    return np.unique(kept)
