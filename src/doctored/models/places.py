"""Parts of a picture, as those who search for one thing find them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Place:
    """A part of a picture.

    Attributes:
        box_xyxy: Left, top, right and bottom in pixels; right and bottom are just outside.
        mask: (bottom - top, right - left) bool.
    """

    box_xyxy: tuple[int, int, int, int]
    mask: NDArray[np.bool_]


def place_of(mask: NDArray[np.bool_], size_hw: tuple[int, int], factor: int) -> Place:
    """The part of a picture that a mask of the same picture divided by a factor marks.

    Args:
        mask: (ceil(H / factor), ceil(W / factor)), or less at the right and lower border; not empty.
        size_hw: H and W.
        factor: 1 or more.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    large = mask[top:bottom, left:right].repeat(factor, axis=0).repeat(factor, axis=1)
    box_xyxy = (
        left * factor,
        top * factor,
        min(right * factor, size_hw[1]),
        min(bottom * factor, size_hw[0]),
    )
    return Place(box_xyxy, large[: box_xyxy[3] - box_xyxy[1], : box_xyxy[2] - box_xyxy[0]])


def box_mean(values: NDArray[np.number | np.bool_], side_px: int) -> NDArray[np.float32]:
    """The mean over a square around each pixel of (H, W), the border repeated; the side is odd."""
    before = side_px // 2
    padded = np.pad(values, ((before + 1, before), (before + 1, before)), mode="edge")
    sums = padded.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    side = side_px
    means = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return (means / side**2).astype(np.float32)


def connected(solid: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected areas (by edges) of a mask that hold a seed."""
    reached, before = solid & seeds, -1
    while reached.sum() > before:
        before = int(reached.sum())
        reached = _fill_runs(reached, solid)
        reached = _fill_runs(reached.T, solid.T).T
    return reached


def _fill_runs(reached: NDArray[np.bool_], solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All of each horizontal run of a mask of which something is reached."""
    starts = solid & ~np.pad(solid, ((0, 0), (1, 0)))[:, :-1]
    run = starts.ravel().cumsum().reshape(solid.shape)
    hit = np.zeros(int(run.max(initial=0)) + 1, bool)
    hit[run[reached]] = True
    return solid & hit[run]
