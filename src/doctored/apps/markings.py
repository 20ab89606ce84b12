"""Frames and names of regions, to be drawn over a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from doctored.core.inspection import Region

SHOWN_SCORE = 0.5
"""People are shown regions from this score on; below it, authentic is the likelier answer. JSON holds all."""

# Blue, because the colours of suspicion have none of it.
_COLOUR = (80, 200, 255)
_PAPER = (10, 20, 40)


@dataclass(frozen=True, eq=False)
class Marking:
    """A patch that covers what is under it.

    Args:
        top: First row.
        left: First column.
        patch: (h, w, 3) uint8; it lies within the picture.
    """

    top: int
    left: int
    patch: NDArray[np.uint8]

    def draw(self, band: NDArray[np.uint8], first_row: int) -> None:
        """Cover what a band of rows (h, W, 3) that starts at a row of the picture shares with the patch, in place."""
        start = max(self.top, first_row)
        stop = min(self.top + len(self.patch), first_row + len(band))
        if start < stop:
            columns = slice(self.left, self.left + self.patch.shape[1])
            band[start - first_row : stop - first_row, columns] = self.patch[
                start - self.top : stop - self.top
            ]


def mark_regions(regions: Sequence[Region], size_hw: tuple[int, int]) -> list[Marking]:
    """For each region that people are shown a frame and, above its left end or else inside, its technique and score.

    Args:
        regions: Surest first; the surest comes last and so on top.
        size_hw: Of the picture.
    """
    markings: list[Marking] = []
    for region in reversed(shown_regions(regions)):
        markings += _frame(region.box_xyxy, max(1, min(size_hw) // 250))
        label = _label(f"{technique_in_words(region.technique)} {region.score:.2f}", size_hw)
        left, top, _, _ = region.box_xyxy
        above = top - len(label)
        left = max(0, min(left, size_hw[1] - label.shape[1]))
        markings.append(Marking(above if above >= 0 else top, left, label))
    return [_clipped(marking, size_hw) for marking in markings]


def shown_regions(regions: Sequence[Region]) -> list[Region]:
    """Those that people are shown."""
    return [region for region in regions if region.score >= SHOWN_SCORE]


def technique_in_words(technique: str | None) -> str:
    """For instance "copy-move"; "manipulated" if the model does not tell techniques apart."""
    return (technique or "manipulated").replace("_", "-")


def names_in_words(names: Sequence[str]) -> str:
    """One name or more as people list them.

    >>> names_in_words(["a"]), names_in_words(["a", "b"]), names_in_words(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


FAMILIES_IN_WORDS = {
    "blur": "blur-like",
    "resample": "resampled",
    "compression": "recompressed",
    "morphology": "morphology-like",
    "noise": "noise-like",
    "quantisation": "quantised",
    "contrast": "contrast changed",
}
"""What the pixels of a region look like, by family of manipulations."""


def _frame(box_xyxy: tuple[int, int, int, int], thickness: int) -> list[Marking]:
    left, top, right, bottom = box_xyxy
    width, height = min(thickness, right - left), min(thickness, bottom - top)
    row = np.full((height, right - left, 3), _COLOUR, np.uint8)
    column = np.full((bottom - top, width, 3), _COLOUR, np.uint8)
    return [
        Marking(top, left, row),
        Marking(bottom - height, left, row),
        Marking(top, left, column),
        Marking(top, right - width, column),
    ]


def _label(text: str, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    font = ImageFont.load_default(max(10, min(size_hw) // 36))
    left, top, right, bottom = font.getbbox(text)
    pad = 3
    image = Image.new("RGB", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad), _PAPER)
    ImageDraw.Draw(image).text((pad - left, pad - top), text, _COLOUR, font)
    return np.asarray(image)


def _clipped(marking: Marking, size_hw: tuple[int, int]) -> Marking:
    """Without what would lie below or right of a picture smaller than a label."""
    height, width = size_hw
    return Marking(marking.top, marking.left, marking.patch[: height - marking.top, : width - marking.left])
