"""How well the technique of a forgery is named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.core.forgery import TECHNIQUES


@dataclass(frozen=True, eq=False)
class TechniqueConfusion:
    """Which techniques are taken for which.

    Args:
        counts: (T, T), int, pictures or regions by true technique (row) and named technique (column).
        techniques: The T names of the rows, and of the columns.
    """

    counts: NDArray[np.int64]
    techniques: tuple[str, ...] = TECHNIQUES

    def count(self, truth: str, named: str) -> int:
        """How many of one technique are named as another, or as the same.

        Raises:
            ConfigError: There is no such technique.
        """
        return int(self.counts[_index(truth, self.techniques), _index(named, self.techniques)])

    def accuracy(self) -> float:
        """Share that is named rightly, in [0, 1], every picture counting the same.

        Raises:
            UndefinedMetricError: Nothing was counted.
        """
        total = self.counts.sum()
        if total == 0:
            raise UndefinedMetricError("technique accuracy needs at least one picture; there is none")
        return float(self.counts.trace() / total)

    def recalls(self) -> dict[str, float]:
        """Share of each technique that is named rightly, in [0, 1]; a technique that does not occur is absent."""
        rows = self.counts.sum(axis=1)
        return {
            technique: float(self.counts[index, index] / rows[index])
            for index, technique in enumerate(self.techniques)
            if rows[index]
        }

    def balanced_accuracy(self) -> float:
        """Mean of `recalls`, in [0, 1], every technique that occurs counting the same however rare it is.

        Raises:
            UndefinedMetricError: Nothing was counted.
        """
        recalls = self.recalls()
        if not recalls:
            raise UndefinedMetricError("technique accuracy needs at least one picture; there is none")
        return float(np.mean(list(recalls.values())))


def technique_confusion(truths: Sequence[str], named: Sequence[str]) -> TechniqueConfusion:
    """Count which technique was named for which.

    Args:
        truths: One of `TECHNIQUES` per picture or region.
        named: What it was taken for, likewise.

    Raises:
        ShapeError: Not one name for each truth.
        ConfigError: A name is none of `TECHNIQUES`.
    """
    if len(truths) != len(named):
        raise ShapeError(
            f"expected one named technique for each of the {len(truths)} true ones, got {len(named)}"
        )
    counts = np.zeros((len(TECHNIQUES), len(TECHNIQUES)), np.int64)
    for truth, name in zip(truths, named, strict=True):
        counts[_index(truth, TECHNIQUES), _index(name, TECHNIQUES)] += 1
    return TechniqueConfusion(counts)


def technique_accuracy(truths: Sequence[str], named: Sequence[str]) -> float:
    """Share of pictures or regions whose technique is named rightly, in [0, 1], each counting the same.

    Args:
        truths: One of `TECHNIQUES` per picture or region.
        named: What it was taken for, likewise.

    Raises:
        ShapeError: Not one name for each truth.
        ConfigError: A name is none of `TECHNIQUES`.
        UndefinedMetricError: There is none.

    Example:
        >>> technique_accuracy(["splicing", "removal"], ["splicing", "copy_move"])
        0.5
    """
    return technique_confusion(truths, named).accuracy()


def _index(technique: str, techniques: tuple[str, ...]) -> int:
    if technique not in techniques:
        raise ConfigError(f"expected a technique out of {', '.join(techniques)}; got {technique!r}")
    return techniques.index(technique)
