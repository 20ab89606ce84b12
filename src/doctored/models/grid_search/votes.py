"""On which JPEG grid each part of a picture was compressed, by the coefficients that compression left near zero."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 8
"""Side of a JPEG block, and of the cells by which votes are counted."""

GRIDS = BLOCK_PX * BLOCK_PX
"""Grid 8 * y + x has a block whose first pixel is at row y and column x of the picture."""

NO_GRID = 255

_BAND_CELLS = 16_384
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class GridVotes:
    """What each cell of 8 x 8 pixels says; H x W are the whole cells of a picture.

    Each pixel votes for the one grid whose block around it has the most coefficients near zero, if it is one alone.

    Attributes:
        grid: (H, W) uint8: the grid that most of a cell's pixels vote for; `NO_GRID` if none votes.
        votes: (H, W) uint8: how many do, of 64.
        voters: (H, W) uint8: how many of a cell's pixels vote for any grid, of 64.
        calm: (H, W) float32: the mean number of coefficients near zero, of 64, over all grids that may be voted for.
    """

    grid: NDArray[np.uint8]
    votes: NDArray[np.uint8]
    voters: NDArray[np.uint8]
    calm: NDArray[np.float32]

    def grids(self) -> list[int]:
        """All grids that cells vote for."""
        return [int(grid) for grid in np.unique(self.grid) if grid != NO_GRID]

    def most_voted(self) -> tuple[int, float]:
        """The grid with the most votes, and these as a share of all pixels."""
        votes = np.bincount(self.grid.ravel(), self.votes.ravel(), minlength=GRIDS)[:GRIDS]
        return int(votes.argmax()), float(votes.max() / (self.grid.size * GRIDS))

    def of(self, grid: int) -> NDArray[np.uint8]:
        """(H, W): the votes of each cell for a grid; 0 where the cell's most are for another."""
        return np.where(self.grid == grid, self.votes, np.uint8(0))


def vote(
    pixels: NDArray[np.uint8], thresholds: Sequence[float], excluded: Collection[int] = ()
) -> list[GridVotes]:
    """The votes of a picture, for each threshold.

    Args:
        pixels: (H, W, 3) uint8, at least 8 x 8.
        thresholds: In grey levels: what counts as near zero.
        excluded: Grids that nobody may vote for.
    """
    rows, columns = pixels.shape[0] // BLOCK_PX, pixels.shape[1] // BLOCK_PX
    band = max(1, _BAND_CELLS // columns)
    grids = [grid for grid in range(GRIDS) if grid not in excluded]
    bands = [
        _vote_band(pixels, first, min(first + band, rows), thresholds, grids)
        for first in range(0, rows, band)
    ]
    return [
        GridVotes(*(np.concatenate(parts) for parts in zip(*of_threshold, strict=True)))
        for of_threshold in zip(*bands, strict=True)
    ]


def _vote_band(
    pixels: NDArray[np.uint8], first: int, last: int, thresholds: Sequence[float], grids: Sequence[int]
) -> list[tuple[NDArray[Any], ...]]:
    """What `GridVotes` holds, of some rows of cells."""
    # Blocks of other grids reach up to seven pixels into the rows of cells above and below.
    above = max(0, first - 1)
    luminance = pixels[above * BLOCK_PX : (last + 1) * BLOCK_PX, : pixels.shape[1]] @ _LUMA
    most = np.zeros((len(thresholds), *luminance.shape), np.uint8)
    choice = np.full(most.shape, NO_GRID, np.uint8)
    total = np.zeros(most.shape, np.uint16)
    for grid in grids:
        top, left = divmod(grid, BLOCK_PX)
        near_zero = _near_zero(luminance[top:, left:], thresholds)
        inside = np.s_[:, top : top + near_zero.shape[1], left : left + near_zero.shape[2]]
        # Of equals nobody is chosen, until one has more.
        choice[inside][near_zero == most[inside]] = NO_GRID
        better = near_zero > most[inside]
        choice[inside][better] = grid
        most[inside][better] = near_zero[better]
        total[inside] += near_zero
    cells = np.s_[:, (first - above) * BLOCK_PX : (last - above) * BLOCK_PX, : _whole(pixels.shape[1])]
    calm = _by_cell(total[cells]).mean(axis=-1, dtype=np.float32) / len(grids)
    return [
        (*_winners(of_pixels), of_calm)
        for of_pixels, of_calm in zip(_by_cell(choice[cells]), calm, strict=True)
    ]


def _near_zero(luminance: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.uint8]:
    """(T, H, W): how many coefficients of the block around each pixel are nearer to zero than each threshold.

    0 where a block does not change downwards, or not to the right: it has zeros on any grid.
    """
    height, width = (_whole(side) for side in luminance.shape)
    blocks = _by_cell(luminance[:height, :width]).reshape(-1, GRIDS)
    coefficients = np.abs(blocks @ _COSINES)
    counts = np.empty((len(thresholds), len(blocks)), np.uint8)
    for count, threshold in zip(counts, thresholds, strict=True):
        small = coefficients < threshold
        small.sum(axis=1, out=count)
        by_frequency = small.reshape(-1, BLOCK_PX, BLOCK_PX)
        count[by_frequency[:, 1:].all(axis=(1, 2)) | by_frequency[:, :, 1:].all(axis=(1, 2))] = 0
    cells = counts.reshape(len(thresholds), height // BLOCK_PX, width // BLOCK_PX)
    return cells.repeat(BLOCK_PX, axis=1).repeat(BLOCK_PX, axis=2)


def _winners(choice: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The grid that most pixels of each cell (H, W, 64) chose, how many did, and how many chose any."""
    height, width, _ = choice.shape
    cell = np.arange(height * width).repeat(GRIDS)
    chosen = choice.reshape(-1)
    voting = chosen != NO_GRID
    table = np.bincount(cell[voting] * GRIDS + chosen[voting], minlength=height * width * GRIDS).reshape(
        height, width, GRIDS
    )
    votes = table.max(axis=-1).astype(np.uint8)
    grid = table.argmax(axis=-1).astype(np.uint8)
    grid[votes == 0] = NO_GRID
    return grid, votes, table.sum(axis=-1).astype(np.uint8)


def _by_cell(values: NDArray[_Number]) -> NDArray[_Number]:
    """(..., H, W) as (..., H / 8, W / 8, 64)."""
    *before, height, width = values.shape
    split = values.reshape(*before, height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    return split.swapaxes(-3, -2).reshape(*before, height // BLOCK_PX, width // BLOCK_PX, GRIDS)


def _whole(side_px: int) -> int:
    """The pixels of a side that fill whole blocks."""
    return side_px // BLOCK_PX * BLOCK_PX


def _cosine_transform() -> NDArray[np.float32]:
    """(64, 64): from the pixels of a block to its coefficients (ITU-T T.81, A.3.3)."""
    step = np.arange(BLOCK_PX)
    one_way = np.cos((2 * step + 1) * step[:, None] * np.pi / (2 * BLOCK_PX)) * np.sqrt(2 / BLOCK_PX)
    one_way[0] /= np.sqrt(2)
    return np.kron(one_way, one_way).T.astype(np.float32)


_COSINES = _cosine_transform()
