"""A classifier that sees nothing of a picture but facts about its file.

Where it tells manipulated from authentic pictures, the set was made so that the files give it away, and a model that
scores no better may have learned only that.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import UndefinedMetricError

NAME = "file_facts"
_FOLDS = 5
_NUMBERS = ("bytes_per_pixel", "jpeg_quality", "width", "height")
_KINDS = ("format", "subsampling")


def file_facts_scores(records: Sequence[dict[str, Any]], seed: int = 0) -> NDArray[np.float64]:
    """How likely each file is manipulated, by a logistic regression that was fitted on other files of the set.

    Args:
        records: One for each picture, with the keys "name", "kind", "bytes_per_pixel", "jpeg_quality", "width",
            "height", "format" and "subsampling".
        seed: Of the split into five parts, or as many as the smaller class has pictures. Pictures of the same name,
            such as a forgery and its original, come into the same part: else one would teach the wrong answer
            about the other.

    Returns:
        (N,) probabilities, each from the fit to the parts that the picture is not in.

    Raises:
        UndefinedMetricError: Fewer than two pictures of a class, or so few names that one of the fits would see a
            single class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.array([record["kind"] == "manipulated" for record in records])
    folds = min(_FOLDS, int(labels.sum()), int((~labels).sum()))
    if folds < 2:
        raise UndefinedMetricError("file facts need two or more pictures of either class")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    features, stems = _features(records), [Path(record["name"]).stem for record in records]
    parts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(features, labels, stems))
    if any(len(np.unique(labels[fitted])) < 2 for fitted, _ in parts):
        raise UndefinedMetricError(
            "file facts need both classes in every fit; pictures of the same name stay together, so give more names"
        )
    probabilities: NDArray[np.float64] = cross_val_predict(
        classifier, features, labels, cv=parts, method="predict_proba"
    )[:, 1]
    return probabilities


def _features(records: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """(N, F): the logarithms of the numbers, 0 where there is none, and one column for each format and subsampling."""
    columns = [np.log([record[name] or 1.0 for record in records]) for name in _NUMBERS]
    for name in _KINDS:
        for kind in sorted({str(record[name]) for record in records}):
            columns.append(np.array([float(str(record[name]) == kind) for record in records]))
    return np.stack(columns, axis=1)
