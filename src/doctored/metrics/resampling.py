"""How far a score could be off by the chance of which pictures are in the set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.confusion import flat_scores_and_labels
from doctored.metrics.image import image_auc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A score of a set of pictures and the range that resampling the pictures leaves open.

    Args:
        value: The score of the pictures as they are.
        low: Lower end of the interval.
        high: Upper end.
        count: Number of pictures.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same pictures.

    Args:
        difference: Mean score of the first minus that of the second, with its interval.
        share_first_better: In which share of resamples the first has the higher mean, a tie counting half; in [0, 1].
    """

    difference: Interval
    share_first_better: float


def mean_of(values: Floats) -> float:
    """The plain mean over pictures."""
    return float(values.mean())


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[Floats], float] = mean_of,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """A statistic over pictures with its percentile bootstrap interval.

    Pictures are drawn with replacement, as many as there are. It supposes that they are independent; pictures made
    from one photograph are not, and their interval is too narrow.

    Args:
        values: One number per picture, any range.
        statistic: Makes one number of them.
        level: Share of resamples inside the interval, in (0, 1).
        resamples: How often pictures are drawn.
        seed: The same one gives the same interval.

    Returns:
        In the range and polarity of the statistic.

    Raises:
        ConfigError: `level` or `resamples` make no sense.
        UndefinedMetricError: Fewer than two values, whose spread nobody can know, or one is NaN.

    Example:
        >>> bootstrap_interval([.5, .5, .5])
        Interval(value=0.5, low=0.5, high=0.5, count=3)
    """
    sample = _checked_values(values)
    drawn = [statistic(sample[picked]) for picked in _draws(sample.size, resamples, seed)]
    return _interval(statistic(sample), drawn, level, sample.size)


def stratified_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    statistic: Callable[[Floats, NDArray[np.bool_]], float] = image_auc,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """`bootstrap_interval` of a score that needs manipulated and authentic pictures, such as `image_auc`.

    Pictures are drawn within their class, since how many there are of each was chosen and not drawn.

    Args:
        scores: One number per picture, higher for manipulated.
        labels: One boolean per picture, True = manipulated.
        statistic: Makes one number of scores and labels.
        level: Share of resamples inside the interval, in (0, 1).
        resamples: How often pictures are drawn.
        seed: The same one gives the same interval.

    Returns:
        In the range and polarity of the statistic.

    Raises:
        ConfigError: `level` or `resamples` make no sense.
        ShapeError: Not one label for each score.
        UndefinedMetricError: Fewer than two pictures of a class, or a score is NaN.
    """
    flat_scores, flat_labels = flat_scores_and_labels(scores, labels)
    sample = flat_scores.astype(np.float64)
    classes = np.flatnonzero(flat_labels), np.flatnonzero(~flat_labels)
    if min(members.size for members in classes) < 2:
        raise UndefinedMetricError(
            "an interval needs two pictures of either class or more; there are "
            f"{classes[0].size} manipulated and {classes[1].size} authentic ones"
        )
    rng = _generator(resamples, seed)
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([rng.choice(members, members.size) for members in classes])
        drawn.append(statistic(sample[picked], flat_labels[picked]))
    return _interval(statistic(sample, flat_labels), drawn, level, sample.size)


def paired_comparison(
    a: ArrayLike, b: ArrayLike, seed: int = 0, level: float = 0.95, resamples: int = 1000
) -> PairedComparison:
    """Whether one model is better than another, from the scores of both on the same pictures.

    Far sharper than two separate intervals, as the difficulty of a picture is the same for both.

    Args:
        a: One score per picture of the first model, higher for better.
        b: Those of the second, in the same order of pictures.
        seed: The same one gives the same answer.
        level: Share of resamples inside the interval, in (0, 1).
        resamples: How often pictures are drawn.

    Raises:
        ConfigError: `level` or `resamples` make no sense.
        ShapeError: Not one score of each model per picture.
        UndefinedMetricError: Fewer than two pictures, or a score is NaN.
    """
    first, second = _checked_values(a), _checked_values(b)
    if first.size != second.size:
        raise ShapeError(
            f"expected scores of both models on the same pictures, got {first.size} and {second.size}"
        )
    gains = first - second
    drawn = np.array([mean_of(gains[picked]) for picked in _draws(gains.size, resamples, seed)])
    share = float(np.mean((drawn > 0) + (drawn == 0) / 2))
    return PairedComparison(_interval(mean_of(gains), drawn, level, gains.size), share)


def _checked_values(values: ArrayLike) -> Floats:
    sample = np.asarray(values, np.float64).ravel()
    if sample.size < 2:
        raise UndefinedMetricError(f"an interval needs two pictures or more, got {sample.size}")
    if np.isnan(sample).any():
        raise UndefinedMetricError("some scores are NaN; leave out pictures that have none, and count them")
    return sample


def _generator(resamples: int, seed: int) -> np.random.Generator:
    if resamples < 1:
        raise ConfigError(f"expected 1 resample or more, got {resamples}")
    return np.random.default_rng(seed)


def _draws(count: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = _generator(resamples, seed)
    for _ in range(resamples):
        yield rng.integers(count, size=count)


def _interval(value: float, drawn: list[float] | Floats, level: float, count: int) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"level is a share between 0 and 1, got {level}")
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    return Interval(value, float(low), float(high), count)
