"""What places on a foreign JPEG grid and the regions of other witnesses say of each other.

Who searches for grids is sure of what it finds and sees little of it, the calm parts; a network sees the whole thing
and is less sure. Where they meet, they speak of one thing.
"""

from collections.abc import Sequence
from dataclasses import replace

from doctored.core.inspection import Region
from doctored.predict.copied_regions import shared_px, size_px

HELD_SHARE = 0.5
"""A region holds a place if at least this share of the place lies in it."""


def join_foreign_grids(regions_of: Sequence[Sequence[Region]]) -> list[list[Region]]:
    """Regions of several witnesses, those that hold a place on a foreign grid saying so, and each place once.

    A place gives way to the region that holds most of it, of several the first; that takes its grid, and of both scores
    the higher one.

    Args:
        regions_of: For each witness its regions; those with a grid are places on a foreign one.

    Returns:
        The same, in the same order, less the places that gave way.
    """
    told = [list(regions) for regions in regions_of]
    for places in told:
        for place in [region for region in places if region.jpeg_grid_xy is not None]:
            held = [
                (shared_px(region, place), regions, number)
                for regions in told
                for number, region in enumerate(regions)
                if region.jpeg_grid_xy is None
            ]
            shared, regions, number = max(held, key=lambda one: one[0], default=(0, places, 0))
            if shared < HELD_SHARE * size_px(place):
                continue
            regions[number] = replace(
                regions[number],
                jpeg_grid_xy=place.jpeg_grid_xy,
                score=max(regions[number].score, place.score),
            )
            places.remove(place)
    return told
