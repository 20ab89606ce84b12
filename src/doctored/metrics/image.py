"""Scores of a set of pictures by one number per picture."""

from numpy.typing import ArrayLike

from doctored.metrics.ranking import weighted_auc


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
