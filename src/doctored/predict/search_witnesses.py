"""Searches, which have no weights, as those who look at pictures."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.inspection import Region, WitnessFinding
from doctored.models import copy_search, grid_search, places
from doctored.models.copy_search import SEARCHED_PX, find_copies
from doctored.models.grid_search import find_foreign_grids
from doctored.predict.copied_regions import painted
from doctored.predict.localize import ProgressCallback
from doctored.predict.raw_score import LARGEST_VALUE

SURE_STRENGTH = 0.2
"""The strength of a find, in units of which its score grows: 1 / (1 + exp(-strength / 0.2))."""


class SearchWitness(ABC):
    """A search for one thing.

    What it finds is regions, each with a strength above 0. Its map has the score of each region and is 0 elsewhere; its
    raw score is the largest strength, 0 if nothing was found.

    Args:
        name: Catalogue name.
    """

    score_rule = LARGEST_VALUE
    precision = "fp32"

    def __init__(self, name: str) -> None:
        self.name = name
        # It has no weights; what decides its answers is its code, whatever a system's line ends.
        code = "".join(file.read_text(encoding="utf-8") for file in self._code())
        self.sha256 = hashlib.sha256(code.encode()).hexdigest()

    @abstractmethod
    def _code(self) -> list[Path]:
        """The files of the search, in the order in which they are hashed."""

    @abstractmethod
    def _find(self, pixels: NDArray[np.uint8]) -> tuple[list[Region], list[float]]:
        """The regions that it finds in a picture (H, W, 3), surest first, and their strengths."""

    @abstractmethod
    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        """About how long `look` takes on a picture of that size."""

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        """The largest strength of the regions at each pixel, 0 outside of all."""
        regions, strengths = self._searched(pixels, on_progress)
        return painted(regions, strengths, pixels.shape[:2])

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        regions, strengths = self._searched(pixels, on_progress)
        localization_map = painted(regions, [region.score for region in regions], pixels.shape[:2])
        raw_score = max(strengths, default=0.0)
        return WitnessFinding(self.name, self.sha256, raw_score, localization_map, tuple(regions))

    def steps(self, size_hw: tuple[int, ...]) -> int:
        return 1

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        return None

    def _searched(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> tuple[list[Region], list[float]]:
        found = self._find(pixels)
        if on_progress is not None:
            on_progress(1, 1)
        return found


class CopySearchWitness(SearchWitness):
    """A search for places of a picture that show the same content.

    Both places of each copy are regions, because pixels alone do not say which is the original. The strength of both is
    the copy's agreement.
    """

    _SECONDS_PER_PX = 4e-6

    def _code(self) -> list[Path]:
        return [*_modules(copy_search.__file__), Path(places.__file__)]

    def _find(self, pixels: NDArray[np.uint8]) -> tuple[list[Region], list[float]]:
        copies = find_copies(pixels)
        regions = [
            Region(
                place.box_xyxy,
                "copy_move",
                _score(copy.agreement),
                place.mask,
                twin_box_xyxy=twin.box_xyxy,
            )
            for copy in copies
            for place, twin in (copy.places, copy.places[::-1])
        ]
        return regions, [copy.agreement for copy in copies for _ in copy.places]

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return self._SECONDS_PER_PX * min(size_hw[0] * size_hw[1], SEARCHED_PX)


class GridSearchWitness(SearchWitness):
    """A search for places that were compressed on another JPEG grid than the rest of the picture.

    What was done there it does not say: something was put there, from a JPEG file or from elsewhere in the picture. The
    strength is the share of the pixels that show the foreign grid.
    """

    _SECONDS_PER_PX = 1.5e-6

    def _code(self) -> list[Path]:
        return [*_modules(grid_search.__file__), Path(places.__file__)]

    def _find(self, pixels: NDArray[np.uint8]) -> tuple[list[Region], list[float]]:
        found = find_foreign_grids(pixels)
        regions = [
            Region(
                one.place.box_xyxy, None, _score(one.share), one.place.mask, jpeg_grid_xy=one.grid_yx[::-1]
            )
            for one in found
        ]
        return regions, [one.share for one in found]

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return self._SECONDS_PER_PX * size_hw[0] * size_hw[1]


def _modules(package_file: str | None) -> Sequence[Path]:
    return sorted(Path(str(package_file)).parent.glob("*.py"))


def _score(strength: float) -> float:
    return float(1 / (1 + np.exp(-strength / SURE_STRENGTH)))
