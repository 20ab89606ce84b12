"""How a map becomes one number."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreRule:
    """A way to make one number of what a model's raw score is a function of.

    Attributes:
        name: A calibration made with a rule of another name is refused.
        score: From (H, W) float32 to the raw score.
    """

    name: str
    score: Callable[[NDArray[np.float32]], float]


_CELLS_PER_SIDE = 64
_QUANTILE = 0.98
_VOTED_SHARE = 0.05
_FEWEST_VOTES = 0.01


def largest_region(values: NDArray[np.float32]) -> float:
    """How far the most conspicuous connected region of a map stands out from the rest of the same map.

    The map is averaged over about 4096 cells, nearly square and of nearly equal size (a cell is a pixel where there are
    fewer). Cells above the 0.98 quantile of all are grouped into regions connected by edges. The score is the largest
    sum over a region of the values' excess over that quantile, divided by the number of cells.

    What is pasted, removed or retouched hangs together, while a model's doubts about an authentic picture (its
    edges, its texture) are strewn over it. The picture is its own reference, so a camera or a compression that
    lifts the whole map lifts no score; a mean of the top hundredth, a standard deviation or an area above a fixed
    threshold all move with it. The number of cells being fixed, noise in single pixels does not grow into higher
    scores in larger pictures.

    Args:
        values: (H, W), logits before any temperature; of a model without logits, its map.

    Returns:
        At least 0; 0 for a flat map.
    """
    cells = _cell_means(values)
    excess = cells - np.quantile(cells, _QUANTILE)
    return max((float(excess[region].sum()) for region in _regions(excess > 0)), default=0.0) / cells.size


def _cell_means(values: NDArray[np.float32]) -> NDArray[np.float64]:
    side_px = max(1.0, values.size**0.5 / _CELLS_PER_SIDE)
    rows, columns = (
        np.linspace(0, length, max(1, round(length / side_px)) + 1).astype(int) for length in values.shape
    )
    means = np.empty((len(rows) - 1, len(columns) - 1))
    # Row by row, because a copy of a large map in float64 would take twice its memory.
    for row, (top, bottom) in enumerate(itertools.pairwise(rows)):
        column_means = values[top:bottom].mean(axis=0, dtype=np.float64)
        means[row] = np.add.reduceat(column_means, columns[:-1]) / np.diff(columns)
    return means


def _regions(chosen: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and columns of the cells of each region that is connected by edges."""
    left = {(int(y), int(x)) for y, x in np.argwhere(chosen)}
    regions = []
    while left:
        region = [left.pop()]
        for y, x in region:
            beside = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= beside
            region.extend(beside)
        # In one order, so that sums are the same to the last bit.
        rows, columns = np.array(sorted(region)).T
        regions.append((rows, columns))
    return regions


def most_voted(votes: NDArray[np.float32]) -> float:
    """How many votes the most voted twentieth of a picture has: the logarithm of their mean over its cells.

    Votes are the probabilities, of being manipulated at all, of the regions of interest (RoIs) that cover a pixel,
    added up. All RoIs that the proposals offer take part, also those that lose to a better one before they become
    regions, so every picture has a score of its own, on which the scores of regions, which end at 1, could tie. One
    sure RoI alone says less than several of which each is moderately sure.

    Args:
        votes: (H, W), at least 0.

    Returns:
        At least log(0.01): so little is added to the mean.
    """
    cells = np.sort(_cell_means(votes), axis=None)
    top = cells[-max(1, round(_VOTED_SHARE * cells.size)) :]
    return float(np.log(top.mean() + _FEWEST_VOTES))


def largest_value(values: NDArray[np.float32]) -> float:
    """The highest value of a map, that of a search which says where what it looks for is, and how surely.

    Args:
        values: (H, W).
    """
    return float(values.max())


LARGEST_REGION = ScoreRule("largest region above the 0.98 quantile of 4096 cells", largest_region)
MOST_VOTED = ScoreRule("logarithm of the votes for the most voted twentieth of 4096 cells", most_voted)
LARGEST_VALUE = ScoreRule("largest value of the map", largest_value)
