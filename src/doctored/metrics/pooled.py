"""Scores over the pixels of all pictures of a set at once, in fixed memory."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, UndefinedMetricError
from doctored.metrics.confusion import Confusion
from doctored.metrics.conventions import PLAIN, PixelConvention, flat_pixels
from doctored.metrics.ranking import PrCurve, Ranking, RocCurve, ranking_of_masses


class PooledPixelScores:
    """Adds up maps of many pictures into one histogram per class, and scores all their pixels as one.

    Large pictures and large forgeries weigh more than in a mean over pictures, and authentic pictures count as well.
    A map value v falls into the cell floor(v * bins); thresholds lie between cells, at multiples of 1 / bins, and
    what is exactly at one is flagged. Scores of the order (AUC, average precision) take the values within one cell
    as equal; a threshold that is no such multiple acts at the next one above.

    Under `polarity_flip` the better polarity is that of the whole set, for each score on its own; the inverse map is
    exact to one cell.

    Args:
        bins: Cells on [0, 1]; a power of two, so that placing a float32 is exact.
        convention: Which pixels count, against which mask, in which polarity.

    Raises:
        ConfigError: `bins` is no power of two.
    """

    def __init__(self, bins: int = 2**16, convention: PixelConvention = PLAIN) -> None:
        if bins < 1 or bins & (bins - 1):
            raise ConfigError(f"bins must be a power of two, such as {2**16}, got {bins}")
        self.bins = bins
        self.convention = convention
        self.pictures = 0
        # One cell more than bins: that of exactly 1.
        self._histograms = np.zeros((2, bins + 1), np.int64)

    def add(self, localization_map: NDArray[np.floating], gt_mask: NDArray[np.bool_]) -> None:
        """Count the pixels of one picture; nothing is changed where an error is raised.

        Args:
            localization_map: (H, W), float in [0, 1], higher where manipulated.
            gt_mask: (H, W), bool, True where manipulated; all False for an authentic picture.

        Raises:
            ShapeError: The two differ in shape.
            UndefinedMetricError: The map holds NaN or leaves [0, 1].
        """
        scores, labels = flat_pixels(localization_map, gt_mask, self.convention)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise UndefinedMetricError(
                "expected a map of numbers in [0, 1]; this one holds NaN or values outside, which fit no cell"
            )
        cells = (scores * self.bins).astype(np.int32)
        cells += labels * np.int32(self.bins + 1)
        self._histograms += np.bincount(cells, minlength=2 * (self.bins + 1)).reshape(2, -1)
        self.pictures += 1

    def merge(self, other: "PooledPixelScores") -> None:
        """Add everything that another one has counted.

        Raises:
            ConfigError: It counts in other cells or under another convention.
        """
        if (self.bins, self.convention) != (other.bins, other.convention):
            raise ConfigError(
                f"cannot merge pixels counted in {other.bins} bins under {other.convention} into "
                f"{self.bins} bins under {self.convention}"
            )
        self._histograms += other._histograms
        self.pictures += other.pictures

    def state(self) -> dict[str, NDArray[np.int64]]:
        """Everything counted so far, as arrays by name that can be saved; copies."""
        convention = self.convention
        return {
            "negatives": self._histograms[0].copy(),
            "positives": self._histograms[1].copy(),
            "pictures": np.array(self.pictures, np.int64),
            "convention": np.array(
                [convention.polarity_flip, convention.ignored_border_px, convention.invert_large_masks],
                np.int64,
            ),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Go on from what `state` gave.

        Raises:
            ConfigError: The state lacks an array, or its arrays do not belong together.
        """
        missing = {"negatives", "positives", "pictures", "convention"} - set(state)
        if missing:
            raise ConfigError(f"the state of pooled scores lacks {', '.join(sorted(missing))}")
        if state["negatives"].ndim != 1 or state["negatives"].shape != state["positives"].shape:
            raise ConfigError(
                f"expected two histograms of one length, got {state['negatives'].shape} and {state['positives'].shape}"
            )
        flip, border, invert = (int(value) for value in state["convention"])
        pooled = cls(state["negatives"].size - 1, PixelConvention(bool(flip), border, bool(invert)))
        pooled._histograms[:] = state["negatives"], state["positives"]
        pooled.pictures = int(state["pictures"])
        return pooled

    def auc(self) -> float:
        """AUC over all pixels, in [0, 1]; .5 for a guess.

        Raises:
            UndefinedMetricError: The pixels counted so far are of one class only; so do all scores below.
        """
        return max(ranking.auc() for ranking in self._rankings())

    def average_precision(self) -> float:
        """Average precision over all pixels, in (0, 1]; a guess scores their forged share."""
        return max(ranking.average_precision() for ranking in self._rankings())

    def best_f1(self) -> tuple[float, float]:
        """F1 over all pixels at the one threshold that suits the whole set best, and that threshold.

        Under `polarity_flip` the threshold is one of 1 - map if that is the better polarity.
        """
        # Of equal ones the first, which is the map as it is.
        return max((ranking.best_f1() for ranking in self._rankings()), key=lambda best: best[0])

    def f1(self, threshold: float = 0.5) -> float:
        """F1 over all pixels when those of `threshold` or more are flagged, in [0, 1]."""
        return self._at(threshold, lambda confusion: confusion.f1)

    def iou(self, threshold: float = 0.5) -> float:
        """Overlap over union over all pixels when those of `threshold` or more are flagged, in [0, 1]."""
        return self._at(threshold, lambda confusion: confusion.iou)

    def mcc(self, threshold: float = 0.5) -> float:
        """Matthews correlation over all pixels when those of `threshold` or more are flagged, in [-1, 1]."""
        return self._at(threshold, lambda confusion: confusion.mcc)

    def roc_curve(self, points: int = 1000) -> RocCurve:
        """At most `points` points of the ROC curve, in the polarity of the better AUC."""
        return max(self._rankings(), key=Ranking.auc).roc_curve(points)

    def pr_curve(self, points: int = 1000) -> PrCurve:
        """At most `points` points of the precision-recall curve, in the polarity of the better average precision."""
        return max(self._rankings(), key=Ranking.average_precision).pr_curve(points)

    def _at(self, threshold: float, score: Callable[[Confusion], float]) -> float:
        return max(score(ranking.confusion(threshold)) for ranking in self._rankings())

    def _rankings(self) -> tuple[Ranking, ...]:
        """By the map, and with `polarity_flip` by its inverse too."""
        negatives, positives = self._histograms[:, ::-1].astype(np.float64)
        if not (negatives.any() and positives.any()):
            present = "authentic" if negatives.any() else "manipulated" if positives.any() else "no"
            raise UndefinedMetricError(
                f"pooled scores need pixels of both classes; the {self.pictures} pictures so far have "
                f"{present} pixels only"
            )
        ranking = ranking_of_masses(np.arange(self.bins, -1, -1) / self.bins, positives, negatives)
        return (ranking, ranking.inverted()) if self.convention.polarity_flip else (ranking,)
