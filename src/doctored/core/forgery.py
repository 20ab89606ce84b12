"""A picture made by the forgery generator, with the truth about it, and the photographs it is made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.recipe import Recipe

TECHNIQUES = ("authentic", "splicing", "copy_move", "removal", "enhancement")
"""What a generated picture can be; all but the first are manipulated."""

Outline = tuple[NDArray[np.int32], ...]
"""The outline of an object: closed polygons, each (N, 2), columns x and y in pixels; where two overlap is a hole."""


@dataclass(frozen=True, eq=False)
class Source:
    """A photograph that forgeries are made from.

    Attributes:
        file: Its name relative to its folder, with forward slashes; recipes name it so.
        sha256: Hash of the file's bytes, in hex.
        pixels: (H, W, 3) uint8, RGB, whole and upright as `read_image` gives it.
        objects: Outlines of what could be cut out of it; none means that only free shapes are.
        group: Photographs of one group share a camera or a collection; what is pasted comes from another group.
        grid_yx: Row and column, 0..15, where a 16 px block of the file's compression starts; not 0 for pictures
            that were turned upright and whose sides are no multiples of 16.
    """

    file: str
    sha256: str
    pixels: NDArray[np.uint8]
    objects: tuple[Outline, ...] = ()
    group: str = ""
    grid_yx: tuple[int, int] = (0, 0)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of `pixels`."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, eq=False)
class Forgery:
    """A generated picture, forged or authentic, and what was done to it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        gt_mask: (H, W) bool, True where manipulated; all False for an authentic picture.
        source_mask: (H, W) bool, True where a copy-move took its content from, but not where gt_mask is True;
            None for the other techniques.
        technique: One of `TECHNIQUES`.
        recipe: From which the same bytes are made again.
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.bool_]
    source_mask: NDArray[np.bool_] | None
    technique: str
    recipe: Recipe

    @property
    def ignore_mask(self) -> NDArray[np.bool_] | None:
        """(H, W) bool, True where neither answer is right: what a copy-move copied."""
        return self.source_mask
