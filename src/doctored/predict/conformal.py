"""What a raw score means, given the scores of authentic pictures like this one.

Split-conformal: if the picture is authentic and exchangeable with the n others, its false-alarm rate
(k + 1) / (n + 1) is at or below any level with at most that probability, whatever the scores' distribution.
"""

import math

import numpy as np
from numpy.typing import NDArray


def false_alarm_rate(raw_score: float, authentic_scores: NDArray[np.float64]) -> float:
    """Share of authentic pictures that score at least as high, the picture itself counted among them.

    Args:
        raw_score: Of the picture.
        authentic_scores: (N,), of authentic pictures like it, in any order; may be empty.

    Returns:
        (k + 1) / (N + 1), in (0, 1], where k of the scores are at least raw_score.

    Example:
        >>> false_alarm_rate(2.5, np.array([1.0, 2.0, 3.0]))
        0.5
    """
    return (int(np.count_nonzero(authentic_scores >= raw_score)) + 1) / (len(authentic_scores) + 1)


def detection_score(raw_score: float, authentic_scores: NDArray[np.float64], operating_point: float) -> float:
    """The raw score on a scale where 0.5 is the operating point.

    A smooth stand-in p for the false-alarm rate falls strictly with the raw score: at each authentic score it is the
    rate of what scores just above, between two of them its logarithm runs linearly, and beyond the last ones at
    either end it goes on changing, by a factor of two over the range of all scores. The result is
    p0 / (p0 + p), where p0 is p at the operating point, that is at the highest score that is not yet flagged.

    Args:
        raw_score: Of the picture.
        authentic_scores: (N,), at least one, of authentic pictures like it, in any order.
        operating_point: The accepted false-alarm rate, in (0, 1).

    Returns:
        In (0, 1), strictly increasing in raw_score (to the accuracy of a float), at least 0.5 if and only if
        `false_alarm_rate` is at most the operating point. If no rate that low can be had with so few pictures, 0.5
        lies above the highest of them, where p falls to the operating point.
    """
    knots, counts = np.unique(authentic_scores, return_counts=True)
    n = len(authentic_scores)
    # The rate of what scores just above each knot: the knots above it count, and the picture itself.
    rates = (n - np.cumsum(counts) + 1) / (n + 1)
    reachable = rates <= operating_point
    # knots rise and rates fall, so the first that is low enough is the lowest score with that right.
    at_operating_point = float(rates[np.argmax(reachable)]) if reachable.any() else operating_point
    score = at_operating_point / (at_operating_point + _smooth_rate(raw_score, knots, rates))
    # A score within rounding of the threshold must not land on its other side.
    if false_alarm_rate(raw_score, authentic_scores) <= operating_point:
        return max(score, 0.5)
    return min(score, math.nextafter(0.5, 0)) if reachable.any() else score


def _smooth_rate(raw_score: float, knots: NDArray[np.float64], rates: NDArray[np.float64]) -> float:
    spread = float(knots[-1] - knots[0]) or max(1.0, abs(float(knots[0])))
    if raw_score > knots[-1]:
        return float(rates[-1] / (1 + (raw_score - knots[-1]) / spread))
    if raw_score < knots[0]:
        # Past 1, so that no two scores share a value here either.
        return float(rates[0] * (1 + (knots[0] - raw_score) / spread))
    return math.exp(np.interp(raw_score, knots, np.log(rates)))
