"""What a threshold does to labelled scores, counted, and the scores that are made of these four counts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doctored.core.errors import ShapeError, UndefinedMetricError


@dataclass(frozen=True)
class Confusion:
    """How many of each class are flagged as manipulated, and how many are not.

    The counts may be of pixels or of pictures; all scores of them grow with quality.

    Args:
        true_positives: Manipulated and flagged.
        false_positives: Authentic and flagged.
        false_negatives: Manipulated, not flagged.
        true_negatives: Authentic, not flagged.
    """

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def recall(self) -> float:
        """Share of the manipulated that is flagged, in [0, 1]; undefined where nothing is manipulated."""
        return _share(
            self.true_positives, self.true_positives + self.false_negatives, "recall", "manipulated"
        )

    @property
    def false_positive_rate(self) -> float:
        """Share of the authentic that is flagged, in [0, 1]; undefined where nothing is authentic."""
        negatives = self.false_positives + self.true_negatives
        return _share(self.false_positives, negatives, "false positive rate", "authentic")

    @property
    def precision(self) -> float:
        """Share of the flagged that is manipulated, in [0, 1]; undefined where nothing is flagged."""
        flagged = self.true_positives + self.false_positives
        return _share(self.true_positives, flagged, "precision", "flagged")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; 0 where nothing manipulated is flagged."""
        counted = 2 * self.true_positives + self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, counted, "F1", "manipulated or flagged")

    @property
    def iou(self) -> float:
        """Flagged and manipulated over flagged or manipulated, in [0, 1]."""
        union = self.true_positives + self.false_positives + self.false_negatives
        return _share(self.true_positives, union, "IoU", "manipulated or flagged")

    @property
    def mcc(self) -> float:
        """Matthews correlation coefficient, in [-1, 1]; undefined for one class.

        0, what guessing scores, where everything or nothing is flagged: this is the limit of the formula, and to
        leave such pictures out would favour a map that keeps silent.
        """
        tp, fp, fn, tn = self.true_positives, self.false_positives, self.false_negatives, self.true_negatives
        if tp + fn == 0 or fp + tn == 0:
            raise UndefinedMetricError("MCC needs both classes; only one is here")
        if tp + fp == 0 or fn + tn == 0:
            return 0.0
        # Four roots: the product of four counts of pixels would lose integer precision earlier.
        scale = math.sqrt(tp + fp) * math.sqrt(tp + fn) * math.sqrt(tn + fp) * math.sqrt(tn + fn)
        return (tp * tn - fp * fn) / scale

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the shares of either class that are judged rightly, in [0, 1]; .5 for a guess."""
        return (self.recall + 1 - self.false_positive_rate) / 2


def confusion_at(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Confusion:
    """Count what is flagged when every score of `threshold` or more is.

    Args:
        scores: N real numbers, higher for manipulated.
        labels: N booleans, True = manipulated.
        threshold: Compared in the precision of the scores.

    Raises:
        ShapeError: Not one label for each score.
        UndefinedMetricError: A score is NaN.

    Example:
        >>> confusion_at([.9, .5, .2], [True, False, True], threshold=.5)
        Confusion(true_positives=1, false_positives=1, false_negatives=1, true_negatives=0)
    """
    flat_scores, flat_labels = flat_scores_and_labels(scores, labels)
    flagged = flat_scores >= float(threshold)
    positives = int(np.count_nonzero(flat_labels))
    true_positives = int(np.count_nonzero(flagged & flat_labels))
    false_positives = int(np.count_nonzero(flagged)) - true_positives
    return Confusion(
        true_positives,
        false_positives,
        positives - true_positives,
        flat_labels.size - positives - false_positives,
    )


def flat_scores_and_labels(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.number], NDArray[np.bool_]]:
    """Both as flat arrays, after the checks that every score needs.

    Raises:
        ShapeError: Not one label for each score.
        UndefinedMetricError: A score is NaN.
    """
    flat_scores = np.asarray(scores).ravel()
    flat_labels = np.asarray(labels, dtype=bool).ravel()
    if flat_scores.size != flat_labels.size:
        raise ShapeError(
            f"expected one label for each of the {flat_scores.size} scores, got {flat_labels.size} labels"
        )
    if np.isnan(flat_scores).any():
        raise UndefinedMetricError("some scores are NaN, which has no rank; find out where they come from")
    return flat_scores, flat_labels


def _share(part: float, whole: float, score: str, of_what: str) -> float:
    if whole == 0:
        raise UndefinedMetricError(f"{score} is undefined, as nothing is {of_what}")
    return part / whole
