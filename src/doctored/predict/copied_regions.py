"""What a found copy says of the regions of other witnesses.

A network that looks at one place at a time cannot tell a copy-move from a splice: both are foreign there. Where the
same content was found elsewhere in the picture, it can be told.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from doctored.core.inspection import Region

COPIED_SHARE = 0.5
"""A region is a copy-move if at least this share of it lies in a place of a copy."""

SAME_SHARE = 0.5
"""And it is that place, so that both are one region, if it covers at least this share of the place too."""


def tell_copies_apart(regions_of: Sequence[Sequence[Region]]) -> list[list[Region]]:
    """Regions of several witnesses, those in places of copies being copy-moves, each place once.

    A region that is a place of a copy keeps its own mask, takes technique and twin of the place, and the higher of both
    scores. Places of which no other witness has a region stay as they are.

    Args:
        regions_of: For each witness its regions; those with a twin are places of copies.

    Returns:
        The same, in the same order, less places that are another witness's region.
    """
    places = [region for regions in regions_of for region in regions if region.twin_box_xyxy is not None]
    taken: set[int] = set()

    def named(region: Region) -> Region:
        for place in places:
            shared = _shared_px(region, place)
            if shared >= COPIED_SHARE * _size_px(region):
                same = shared >= SAME_SHARE * _size_px(place)
                if same:
                    taken.add(id(place))
                score = max(region.score, place.score) if same else region.score
                return replace(
                    region, technique=place.technique, twin_box_xyxy=place.twin_box_xyxy, score=score
                )
        return region

    told = [
        [region if region.twin_box_xyxy is not None else named(region) for region in regions]
        for regions in regions_of
    ]
    return [[region for region in regions if id(region) not in taken] for regions in told]


def _size_px(region: Region) -> int:
    left, top, right, bottom = region.box_xyxy
    return (right - left) * (bottom - top) if region.mask is None else int(np.count_nonzero(region.mask))


def _shared_px(region: Region, other: Region) -> int:
    """Pixels that are in both."""
    left, top, right, bottom = (
        pick(one, another)
        for pick, one, another in zip((max, max, min, min), region.box_xyxy, other.box_xyxy, strict=True)
    )
    if left >= right or top >= bottom:
        return 0
    inside = np.ones((bottom - top, right - left), bool)
    for one in (region, other):
        if one.mask is not None:
            inside &= one.mask[
                top - one.box_xyxy[1] : bottom - one.box_xyxy[1],
                left - one.box_xyxy[0] : right - one.box_xyxy[0],
            ]
    return int(np.count_nonzero(inside))
