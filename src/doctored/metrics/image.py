"""Scores of a set of pictures by one number per picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from doctored.core.errors import ConfigError, UndefinedMetricError
from doctored.metrics.confusion import confusion_at, flat_scores_and_labels
from doctored.metrics.ranking import rank, weighted_auc


def image_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """How well one score per picture tells manipulated pictures from authentic ones.

    Args:
        scores: One number per picture, higher for manipulated; only the order matters.
        labels: One boolean per picture, True = manipulated.

    Returns:
        The AUC in [0, 1], pooled over the set.

    Raises:
        ShapeError: Not one label for each score.
        UndefinedMetricError: All pictures are of one class, or a score is NaN.

    Example:
        >>> image_auc([.9, .2, .6], [True, False, True])
        1.0
    """
    return weighted_auc(scores, labels)


def image_average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """How pure the pictures are that score highest, on average over recall, without interpolation.

    Args:
        scores: One number per picture, higher for manipulated; only the order matters.
        labels: One boolean per picture, True = manipulated.

    Returns:
        The average precision in (0, 1], pooled over the set; a guess scores the share of manipulated pictures.

    Raises:
        ShapeError: Not one label for each score.
        UndefinedMetricError: All pictures are of one class, or a score is NaN.
    """
    return rank(scores, labels).average_precision()


def balanced_accuracy(scores: ArrayLike, labels: ArrayLike, threshold: float) -> float:
    """Mean of the share of manipulated pictures flagged and the share of authentic ones let pass.

    Args:
        scores: One number per picture, higher for manipulated.
        labels: One boolean per picture, True = manipulated.
        threshold: Every picture of this score or more is flagged.

    Returns:
        A number in [0, 1], pooled over the set; .5 for flagging everything, nothing, or at random.

    Raises:
        ShapeError: Not one label for each score.
        UndefinedMetricError: All pictures are of one class, or a score is NaN.
    """
    return confusion_at(scores, labels, threshold).balanced_accuracy


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does to a set of pictures.

    Args:
        threshold: Every picture of this score or more is flagged; infinite if none may be.
        true_positive_rate: Share of the manipulated pictures flagged.
        false_positive_rate: Share of the authentic pictures flagged.
    """

    threshold: float
    true_positive_rate: float
    false_positive_rate: float


def operating_point(scores: ArrayLike, labels: ArrayLike, fpr: float) -> OperatingPoint:
    """The lowest threshold that flags at most a given share of the authentic pictures.

    Pictures of equal score are flagged together or not at all. With n authentic pictures, a share below 1 / n allows
    no false alarm. The threshold is chosen on the pictures it is measured on, which flatters small sets.

    Args:
        scores: One number per picture, higher for manipulated; only the order matters.
        labels: One boolean per picture, True = manipulated.
        fpr: Largest share of authentic pictures at or above the threshold, in [0, 1].

    Raises:
        ConfigError: `fpr` is no share.
        ShapeError: Not one label for each score.
        UndefinedMetricError: All pictures are of one class, or a score is NaN.
    """
    if not 0 <= fpr <= 1:
        raise ConfigError(f"fpr is a share of the authentic pictures, from 0 to 1; got {fpr}")
    ranking = rank(scores, labels)
    positives, negatives = ranking.totals()
    allowed = int(np.count_nonzero(ranking.false_positives / negatives <= fpr))
    if allowed == 0:
        return OperatingPoint(float("inf"), 0.0, 0.0)
    return OperatingPoint(
        float(ranking.thresholds[allowed - 1]),
        float(ranking.true_positives[allowed - 1] / positives),
        float(ranking.false_positives[allowed - 1] / negatives),
    )


def tpr_at_fpr(scores: ArrayLike, labels: ArrayLike, fpr: float) -> float:
    """Share of manipulated pictures found when at most a share `fpr` of the authentic ones is flagged.

    Arguments and errors are those of `operating_point`.

    Returns:
        A share in [0, 1], pooled over the set; a guess scores about `fpr`.

    Example:
        >>> tpr_at_fpr([.9, .7, .7, .3, .2], [True, True, False, True, False], fpr=.01)
        0.3333333333333333
    """
    return operating_point(scores, labels, fpr).true_positive_rate


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures of like predicted probability, and how many of them are manipulated.

    Args:
        low: Probabilities lie above this; the first bin holds 0 too.
        high: And are at most this.
        mean_probability: Mean of what was predicted.
        manipulated_share: What came true.
        count: Number of pictures, 1 or more.
    """

    low: float
    high: float
    mean_probability: float
    manipulated_share: float
    count: int


def reliability_bins(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> list[ReliabilityBin]:
    """Compare predicted probabilities of being manipulated with how often it is so, in bins of equal width.

    Args:
        probabilities: One per picture, in [0, 1], of being manipulated.
        labels: One boolean per picture, True = manipulated.
        bins: How many parts [0, 1] is cut into.

    Returns:
        By rising probability; a bin without pictures is absent.

    Raises:
        ConfigError: No bin.
        ShapeError: Not one label for each probability.
        UndefinedMetricError: There is no picture, or a probability is NaN or outside [0, 1].
    """
    if bins < 1:
        raise ConfigError(f"expected 1 bin or more, got {bins}")
    flat_probabilities, flat_labels = flat_scores_and_labels(probabilities, labels)
    if flat_probabilities.size == 0:
        raise UndefinedMetricError("expected at least one picture, got none")
    if flat_probabilities.min() < 0 or flat_probabilities.max() > 1:
        raise UndefinedMetricError(
            "expected probabilities in [0, 1], got numbers from "
            f"{flat_probabilities.min():g} to {flat_probabilities.max():g}; a raw score is no probability"
        )
    edges = np.linspace(0, 1, bins + 1)
    members = np.searchsorted(edges[1:-1], flat_probabilities)
    return [
        ReliabilityBin(
            float(edges[index]),
            float(edges[index + 1]),
            float(flat_probabilities[members == index].mean(dtype=np.float64)),
            float(flat_labels[members == index].mean()),
            int(np.count_nonzero(members == index)),
        )
        for index in np.unique(members)
    ]


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """How far predicted probabilities of being manipulated are from how often it is so.

    The mean over `reliability_bins`, weighted by their pictures, of the distance between the two. It depends on the
    bins, and on the share of manipulated pictures in the set; small sets show some error by chance.

    Args:
        probabilities: One per picture, in [0, 1], of being manipulated.
        labels: One boolean per picture, True = manipulated; one class alone is allowed.
        bins: How many parts [0, 1] is cut into.

    Returns:
        A number in [0, 1], lower is better.

    Raises:
        ConfigError: No bin.
        ShapeError: Not one label for each probability.
        UndefinedMetricError: There is no picture, or a probability is NaN or outside [0, 1].
    """
    filled = reliability_bins(probabilities, labels, bins)
    pictures = sum(each.count for each in filled)
    return sum(each.count * abs(each.mean_probability - each.manipulated_share) for each in filled) / pictures
