"""Places that show another JPEG grid than places elsewhere in the picture that could show it as well.

Paper: Nikoukhah, Anger, Ehret, Colom, Morel and Grompone von Gioi, "JPEG Grid Detection based on the Number of DCT
    Zeros and its Application to Automatic and Localized Forgery Detection", CVPR Workshops 2019: each pixel votes for
    the grid with the most coefficients near zero, and where neighbours vote for a grid that is not the picture's,
    something was put there.
Differs: the picture's own grid is left out of a second vote, with all that share an edge with it, and "near zero" is
    taken at several thresholds, so that grids are seen too that a later, finer compression has blurred; a place is
    foreign only if places elsewhere that are as calm, and where pixels do vote, do not show its grid, because a picture
    that was cropped and saved again has an earlier grid everywhere; limits were chosen on photographs, not derived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.models.grid_search.votes import BLOCK_PX, GRIDS, GridVotes, vote
from doctored.models.places import Place, box_mean, connected, place_of

LEAST_SHARE = 0.5
"""Of the pixels of a window, how many must vote for one grid. Where there is none, about one in fifty does."""

MOST_ELSEWHERE = 0.03
"""The same share, at most, in the mean over windows elsewhere that are as calm, and where half as many vote at all."""

LARGEST_PART = 0.4
"""Share of the picture that a place may have. Of two halves with different grids none is the foreign one."""

FEWEST_ELSEWHERE = 16
"""Windows elsewhere that a place must be comparable with."""

UNSHIFTED = 0
"""The grid of a file that was not cropped. It is never called foreign: in most pictures it is their own."""

SMALLEST_PX = 96
"""Short side of the smallest pictures that are searched."""

_OWN_SHARE = 0.1  # of all pixels, that vote for the grid of the picture itself
_THRESHOLDS = (1.0, 2.0, 4.0)
_WINDOW_CELLS = 3
_CALM_QUANTILES = (0.1, 0.9)


@dataclass(frozen=True, eq=False)
class ForeignGrid:
    """A place that shows a JPEG grid which is not that of the rest.

    Attributes:
        place: Good to about 16 px.
        grid_yx: Row and column of the first pixel of a block, 0 to 7 each.
        share: The largest share of pixels that vote for it in a window of the place; `LEAST_SHARE` or more, up to 1.
    """

    place: Place
    grid_yx: tuple[int, int]
    share: float


def find_foreign_grids(pixels: NDArray[np.uint8]) -> list[ForeignGrid]:
    """Places of a picture that were compressed on another JPEG grid than the rest, the surest first.

    A place is found if it came from a JPEG file, or from elsewhere in one, was neither scaled nor turned, and lies on
    another grid than the picture's. That happens to 63 of 64 pastes. A later compression must not have been much
    coarser than the one that left the grid. A picture that has been compressed as a whole on whichever grids, one after
    the other, has no such place.

    Args:
        pixels: (H, W, 3) uint8.
    """
    if min(pixels.shape[:2]) < SMALLEST_PX:
        return []
    finest, *coarser = _THRESHOLDS
    (all_grids,) = vote(pixels, [finest])
    own, share = all_grids.most_voted()
    if share >= _OWN_SHARE:
        rounds = [all_grids, *vote(pixels, _THRESHOLDS, _sharing_an_edge(own))]
    else:
        rounds = [all_grids, *vote(pixels, coarser)]
    found = [
        place
        for votes in rounds
        for grid in votes.grids()
        if grid != UNSHIFTED
        for place in _places(votes, grid, pixels.shape)
    ]
    found.sort(key=lambda one: -one.share)
    return list(_each_once(found))


def _sharing_an_edge(own: int) -> set[int]:
    """A grid, and those whose blocks have an upper or a left edge on the same lines.

    What compression does to blocks it half does to those that are shifted one way only.
    """
    top, left = divmod(own, BLOCK_PX)
    return {grid for grid in range(GRIDS) if grid // BLOCK_PX == top or grid % BLOCK_PX == left}


def _places(votes: GridVotes, grid: int, size: tuple[int, ...]) -> Iterator[ForeignGrid]:
    """The place that shows a grid, if it is foreign there."""
    share = _window_share(votes.of(grid))
    seeds = share >= LEAST_SHARE
    if not seeds.any():
        return
    # Windows that reach across a border have half of their pixels inside.
    place = connected(share >= LEAST_SHARE / 2, seeds)
    if place.mean() > LARGEST_PART:
        return
    calm, voters = box_mean(votes.calm, _WINDOW_CELLS), box_mean(votes.voters, _WINDOW_CELLS)
    low, high = np.quantile(calm[seeds], _CALM_QUANTILES)
    elsewhere = box_mean(place, _WINDOW_CELLS) == 0
    # Where the picture is so flat that all grids are equal, nothing says that there is another.
    elsewhere &= (calm >= low) & (calm <= high) & (voters >= voters[seeds].mean() / 2)
    if elsewhere.sum() < FEWEST_ELSEWHERE or share[elsewhere].mean() > MOST_ELSEWHERE:
        return
    yield ForeignGrid(
        place_of(place, (size[0], size[1]), BLOCK_PX), divmod(grid, BLOCK_PX), float(share.max())
    )


def _window_share(votes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of the pixels in a window around each cell, the share that votes; beyond the border nobody does."""
    around = _WINDOW_CELLS // 2
    mean = box_mean(np.pad(votes, around), _WINDOW_CELLS)[around:-around, around:-around]
    return (mean / GRIDS).astype(np.float32)


def _each_once(found: Iterable[ForeignGrid]) -> Iterator[ForeignGrid]:
    """Of places that overlap the surest alone: several votes find one."""
    kept: list[ForeignGrid] = []
    for one in found:
        if not any(_overlap(one.place.box_xyxy, other.place.box_xyxy) for other in kept):
            kept.append(one)
            yield one


def _overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
