"""The search for copied places as one who looks at pictures."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.inspection import Region, WitnessFinding
from doctored.models.copy_search import SEARCHED_PX, Copy, find_copies
from doctored.models.copy_search import __file__ as copy_search_file
from doctored.predict.copied_regions import painted
from doctored.predict.localize import ProgressCallback
from doctored.predict.raw_score import LARGEST_VALUE

SURE_AGREEMENT = 0.2
"""The agreement of a copy, in units of which its score grows: 1 / (1 + exp(-agreement / 0.2))."""

_SECONDS_PER_PX = 4e-6


class CopySearchWitness:
    """A search for places of a picture that show the same content.

    Its map is above 0 in both places of each copy, because pixels alone do not say which is the original. Its raw score
    is the agreement of the surest copy, 0 without any.

    Args:
        name: Catalogue name.
    """

    score_rule = LARGEST_VALUE
    precision = "fp32"

    def __init__(self, name: str) -> None:
        self.name = name
        # It has no weights; what decides its answers is its code, whatever a system's line ends.
        files = sorted(Path(copy_search_file).parent.glob("*.py"))
        code = "".join(file.read_text(encoding="utf-8") for file in files)
        self.sha256 = hashlib.sha256(code.encode()).hexdigest()

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        """The agreement of the surest copy at each pixel, 0 outside of all."""
        copies = _search(pixels, on_progress)
        return painted(
            _places(copies), [copy.agreement for copy in copies for _ in copy.places], pixels.shape[:2]
        )

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        copies = _search(pixels, on_progress)
        regions = _places(copies)
        localization_map = painted(regions, [region.score for region in regions], pixels.shape[:2])
        raw_score = max((copy.agreement for copy in copies), default=0.0)
        return WitnessFinding(self.name, self.sha256, raw_score, localization_map, tuple(regions))

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return _SECONDS_PER_PX * min(size_hw[0] * size_hw[1], SEARCHED_PX)

    def steps(self, size_hw: tuple[int, ...]) -> int:
        return 1

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        return None


def _search(pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> list[Copy]:
    copies = find_copies(pixels)
    if on_progress is not None:
        on_progress(1, 1)
    return copies


def _places(copies: Sequence[Copy]) -> list[Region]:
    """Both places of each copy, one after the other."""
    return [
        Region(place.box_xyxy, "copy_move", _score(copy), place.mask, twin_box_xyxy=twin.box_xyxy)
        for copy in copies
        for place, twin in (copy.places, copy.places[::-1])
    ]


def _score(copy: Copy) -> float:
    return float(1 / (1 + np.exp(-copy.agreement / SURE_AGREEMENT)))
