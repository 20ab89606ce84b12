"""A picture made by the forgery generator, with the truth about it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

TECHNIQUES = ("authentic", "splicing", "copy_move", "removal", "enhancement")
"""What a generated picture can be; all but the first are manipulated."""


@dataclass(frozen=True, eq=False)
class Forgery:
    """A generated picture, forged or authentic, and what was done to it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        gt_mask: (H, W) bool, True where manipulated; all False for an authentic picture.
        source_mask: (H, W) bool, True where a copy-move took its content from, but not where gt_mask is True;
            None for the other techniques.
        technique: One of `TECHNIQUES`.
        recipe: Every choice that was made, in JSON's types.
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.bool_]
    source_mask: NDArray[np.bool_] | None
    technique: str
    recipe: dict[str, Any] = field(default_factory=dict)
