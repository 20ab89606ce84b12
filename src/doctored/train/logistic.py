"""Logistic regression with weighted samples and coefficients that cannot be negative."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError

Floats = NDArray[np.float64]

_MOST_STEPS = 100
_CONVERGED = 1e-9
_CONSTANT = 1e-9  # a feature that varies by less is constant but for rounding
# So weak that it matters only where classes are separable, and weights would grow without end.
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """log-odds = bias + weights . features.

    Attributes:
        weights: (F,), 0 or more.
        bias: Of the log-odds.
    """

    weights: Floats
    bias: float


def fit_logistic(features: Floats, positive: NDArray[np.bool_], sample_weights: Floats) -> LogisticFit:
    """The weights of greatest likelihood among those that are not negative.

    Each feature is evidence for the positive class by its meaning, so a negative weight could only be a fit to the
    errors of this sample; a feature that would get one is left out (weight 0).

    Args:
        features: (N, F).
        positive: (N,), the class of each sample.
        sample_weights: (N,), above 0.

    Raises:
        DataError: A class is missing, or a number is not finite.
    """
    if not (positive.any() and not positive.all()):
        raise DataError("a logistic regression needs samples of both classes")
    if not (np.isfinite(features).all() and np.isfinite(sample_weights).all()):
        raise DataError("a logistic regression needs finite features and weights")
    mean = np.average(features, axis=0, weights=sample_weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=sample_weights))
    kept = scale > _CONSTANT * np.abs(mean)
    while True:
        weights = np.zeros(features.shape[1])
        columns = (features[:, kept] - mean[kept]) / scale[kept]
        fitted = _newton(np.column_stack([columns, np.ones(len(columns))]), positive, sample_weights)
        weights[kept] = fitted[:-1] / scale[kept]
        if (weights >= 0).all():
            return LogisticFit(weights, float(fitted[-1] - weights @ mean))
        kept &= weights != weights.min()


def _newton(columns: Floats, positive: NDArray[np.bool_], sample_weights: Floats) -> Floats:
    """Coefficients of columns of zero mean and unit variance, the last of ones, by Newton's method."""
    shares = sample_weights / sample_weights.sum()
    coefficients = np.zeros(columns.shape[1])
    penalty = np.full(columns.shape[1], _RIDGE)
    penalty[-1] = 0
    for _ in range(_MOST_STEPS):
        probability = 0.5 * np.tanh(0.5 * columns @ coefficients) + 0.5
        gradient = columns.T @ (shares * (probability - positive)) + penalty * coefficients
        curvature = (columns.T * (shares * probability * (1 - probability))) @ columns + np.diag(penalty)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        coefficients -= np.clip(step, -2, 2)
        if np.abs(step).max() < _CONVERGED:
            break
    return coefficients
