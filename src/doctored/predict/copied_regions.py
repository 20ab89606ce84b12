"""What found copies and the regions of other witnesses say of each other.

A network that looks at one place at a time cannot tell a copy-move from a splice: both are foreign there. Where the
same content was found elsewhere in the picture, it can be told. And who searches for copies cannot tell which of two
places is the original, while a network finds only one of them foreign.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from doctored.core.inspection import Region, WitnessFinding

COPIED_SHARE = 0.5
"""A region is a copy-move if at least this share of it lies in a place of a copy."""

SAME_SHARE = 0.5
"""And it is that place, not a part of it, if it covers at least this share of the place too."""


def painted(
    regions: Sequence[Region], values: Sequence[float], size_hw: tuple[int, ...]
) -> NDArray[np.float32]:
    """(H, W) with the value of each region, the highest where several meet, and else 0."""
    if not regions:
        # One number for all pixels: of large pictures maps are large, and most pictures have no copies.
        return np.broadcast_to(np.float32(0), size_hw)
    painting = np.zeros(size_hw, np.float32)
    for region, value in zip(regions, values, strict=True):
        left, top, right, bottom = region.box_xyxy
        window = painting[top:bottom, left:right]
        inside = np.float32(1) if region.mask is None else region.mask
        np.maximum(window, np.float32(value) * inside, out=window)
    return painting


def settle_originals(
    findings: Sequence[WitnessFinding],
    combine: Callable[[Sequence[WitnessFinding]], NDArray[np.float32]],
) -> list[WitnessFinding]:
    """Findings in which of the two places of each copy only that one is left that looks manipulated to the others.

    Args:
        findings: Of all witnesses; regions with a twin are places of copies.
        combine: From findings to the map (H, W) of all together.

    Returns:
        The same, in the same order; those with copies have fewer regions, and a map of these.
    """
    searched = [any(region.twin_box_xyxy is not None for region in one.regions) for one in findings]
    if not any(searched):
        return list(findings)
    size_hw = findings[0].localization_map.shape
    others = [
        replace(one, regions=(), localization_map=painted((), (), size_hw)) if copies else one
        for one, copies in zip(findings, searched, strict=True)
    ]
    suspicion = combine(others)
    settled = []
    for one, copies in zip(findings, searched, strict=True):
        if copies:
            left = tuple(region for region in one.regions if _is_likelier(region, one.regions, suspicion))
            one = replace(
                one, regions=left, localization_map=painted(left, [place.score for place in left], size_hw)
            )
        settled.append(one)
    return settled


def _is_likelier(region: Region, regions: Sequence[Region], suspicion: NDArray[np.float32]) -> bool:
    """Whether a place is more suspicious than its twin; of equals, the first is taken."""
    for other in regions:
        if (other.box_xyxy, other.twin_box_xyxy) == (region.twin_box_xyxy, region.box_xyxy):
            mine, its = _mean_inside(region, suspicion), _mean_inside(other, suspicion)
            return mine > its or (mine == its and regions.index(region) < regions.index(other))
    return True


def _mean_inside(region: Region, values: NDArray[np.float32]) -> float:
    left, top, right, bottom = region.box_xyxy
    window = values[top:bottom, left:right]
    return float((window if region.mask is None else window[region.mask]).mean(dtype=np.float64))


def tell_copies_apart(regions_of: Sequence[Sequence[Region]]) -> list[list[Region]]:
    """Regions of several witnesses, those in places of copies being copy-moves, each place once.

    A region that is a place of a copy gives way to the place, whose border is nearer the truth; of both scores the
    higher one stays. One that covers only a part of a place takes its technique and its twin.

    Args:
        regions_of: For each witness its regions; those with a twin are places of copies.

    Returns:
        The same, in the same order, less the regions that gave way.
    """
    places = [region for regions in regions_of for region in regions if region.twin_box_xyxy is not None]
    raised: dict[int, float] = {}

    def named(region: Region) -> Region | None:
        for place in places:
            shared = shared_px(region, place)
            if shared < COPIED_SHARE * size_px(region):
                continue
            if shared >= SAME_SHARE * size_px(place):
                raised[id(place)] = max(raised.get(id(place), place.score), region.score)
                return None
            return replace(region, technique=place.technique, twin_box_xyxy=place.twin_box_xyxy)
        return region

    told = [
        [region if region.twin_box_xyxy is not None else named(region) for region in regions]
        for regions in regions_of
    ]
    return [
        [
            replace(region, score=raised[id(region)]) if id(region) in raised else region
            for region in regions
            if region is not None
        ]
        for regions in told
    ]


def size_px(region: Region) -> int:
    """How many pixels a region has."""
    left, top, right, bottom = region.box_xyxy
    return (right - left) * (bottom - top) if region.mask is None else int(np.count_nonzero(region.mask))


def shared_px(region: Region, other: Region) -> int:
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
