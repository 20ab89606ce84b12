"""The area under the ROC curve, weighted, which every ranking score here is made of."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doctored.core.errors import ShapeError, UndefinedMetricError


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
    flat_scores = np.asarray(scores).ravel()
    flat_positives = np.asarray(positives, dtype=bool).ravel()
    flat_weights = np.ones(flat_scores.size) if weights is None else np.asarray(weights, np.float64).ravel()
    if not flat_scores.size == flat_positives.size == flat_weights.size:
        raise ShapeError(
            f"expected one label and one weight for each of the {flat_scores.size} scores, got "
            f"{flat_positives.size} labels and {flat_weights.size} weights"
        )
    if np.isnan(flat_scores).any():
        raise UndefinedMetricError("some scores are NaN, which has no rank; find out where they come from")
    if not (flat_weights >= 0).all():
        raise UndefinedMetricError("weights must be numbers of 0 or more")
    positive_weights = np.where(flat_positives, flat_weights, 0.0)
    negative_weights = np.where(flat_positives, 0.0, flat_weights)
    total = positive_weights.sum() * negative_weights.sum()
    if total == 0:
        raise UndefinedMetricError("an AUC needs both classes, each with some weight; only one is here")

    order = np.argsort(flat_scores)
    ordered = flat_scores[order]
    tie_starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    positive_per_tie = np.add.reduceat(positive_weights[order], tie_starts)
    negative_per_tie = np.add.reduceat(negative_weights[order], tie_starts)
    negative_below = np.cumsum(negative_per_tie) - negative_per_tie
    return float((positive_per_tie * (negative_below + negative_per_tie / 2)).sum() / total)
