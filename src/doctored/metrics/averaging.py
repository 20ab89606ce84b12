"""One score of a set out of one score per picture, where there is more than one way to do it."""

from collections.abc import Sequence

import numpy as np

from doctored.core.errors import ShapeError, UndefinedMetricError


def mean_per_image(scores: Sequence[float]) -> float:
    """The plain mean, every picture counting the same; it has the range and polarity of the scores.

    Args:
        scores: One per picture; one that is undefined is left out by the caller, who says how many these are.

    Raises:
        UndefinedMetricError: There is no score, or one is NaN.
    """
    if len(scores) == 0:
        raise UndefinedMetricError("a mean per image needs at least one score; there is none")
    if np.isnan(scores).any():
        raise UndefinedMetricError("some scores are NaN; leave out pictures that have none, and count them")
    return float(np.mean(scores))


def mean_over_predicted_classes(
    scores: Sequence[float], predicted: Sequence[str], classes: Sequence[str]
) -> float:
    """The mean over classes of the mean score of the pictures that the model took for this class.

    The training program of the original Constrained R-CNN averages F1 and AUC so. It depends on what the model
    predicts, not on what the pictures are, and passes over scores of 0; `mean_per_image` is what to compare by.

    Args:
        scores: One per picture, 0 or more; those of 0 are left out.
        predicted: The class that the model named for each picture.
        classes: All classes it can name.

    Raises:
        ShapeError: Not one class for each score.
        UndefinedMetricError: A score is NaN, or a class has no picture with a score above 0, where the original gives
            NaN.

    Example:
        >>> mean_over_predicted_classes([.25, .75, 1.], ["removal", "removal", "splicing"], ["removal", "splicing"])
        0.75
    """
    if len(scores) != len(predicted):
        raise ShapeError(
            f"expected one predicted class for each of the {len(scores)} scores, got {len(predicted)}"
        )
    means = []
    for name in classes:
        members = [
            score
            for score, of_class in zip(scores, predicted, strict=True)
            if of_class == name and score != 0
        ]
        if not members:
            raise UndefinedMetricError(
                f"no picture with a score above 0 is predicted as {name}, so this class has no mean to average"
            )
        means.append(mean_per_image(members))
    return mean_per_image(means)
