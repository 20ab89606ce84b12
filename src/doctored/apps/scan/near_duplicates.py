"""Groups of pictures that look alike although their files differ: the same picture saved, scaled or edited."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 3
"""Difference hashes of the same picture may differ in so many bits of 64."""

_BANDS, _BAND_BITS = 4, 16
_NEIGHBOURS = 16
_FEWEST_BITS = 8


def near_duplicates(hashes: NDArray[np.int64]) -> list[list[int]]:
    """Numbers of the hashes that lie within `MOST_BITS` of each other, directly or through others; the largest first.

    Two hashes that differ in at most 3 of 64 bits are the same in at least one of four bands of 16. So they are
    sorted four times, each time with another band in front, and compared with their next neighbours. Where very many
    share a band, a pair can be missed. Nearly uniform hashes, as flat pictures have them, are left out.

    Args:
        hashes: (N,) int64.

    Returns:
        Groups of two or more, each in rising order.
    """
    usual = np.flatnonzero(_between(_bit_count(hashes), _FEWEST_BITS, 64 - _FEWEST_BITS))
    parents: dict[int, int] = {}

    def root(number: int) -> int:
        while (parent := parents.get(number, number)) != number:
            parents[number] = parents.get(parent, parent)
            number = parent
        return number

    values = hashes[usual].view(np.uint64)
    for band in range(_BANDS):
        turned = _turned(values, band * _BAND_BITS)
        order = np.argsort(turned, kind="stable")
        ordered = turned[order]
        for distance in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
            differing = _bit_count((ordered[distance:] ^ ordered[:-distance]).view(np.int64))
            for position in np.flatnonzero(differing <= MOST_BITS).tolist():
                first, second = root(int(order[position])), root(int(order[position + distance]))
                parents[max(first, second)] = min(first, second)
    groups: dict[int, list[int]] = {}
    for number in list(parents):
        groups.setdefault(root(number), []).append(int(usual[number]))
    for leader, members in groups.items():
        if int(usual[leader]) not in members:
            members.append(int(usual[leader]))
    return sorted((sorted(members) for members in groups.values()), key=lambda group: (-len(group), group))


def _between(counts: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_]:
    return (counts >= low) & (counts <= high)


def _turned(values: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """The bits of each number, turned to the left."""
    if not bits:
        return values
    turned: NDArray[np.uint64] = (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))
    return turned


def _bit_count(values: NDArray[np.int64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = (
        np.unpackbits(np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8), axis=1)
        .sum(axis=1)
        .astype(np.int64)
    )
    return counts
