"""A picture and its maps at halved sizes, on disk, so that any part of them can be shown at any size at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from doctored.apps.report.views import View, lossless_view, map_view, overlay_pixels
from doctored.core.reduction import reduce_map, reduce_pixels

TILE_PX = 512
TileKind = Literal["picture", "map", "overlay"]
_PIXELS = "picture"


def halvings(size_hw: tuple[int, int]) -> int:
    """How often a picture is halved until it fits into one tile."""
    return max(0, -(-max(size_hw) // TILE_PX) - 1).bit_length()


def write_pyramid(folder: Path, pixels: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]]) -> None:
    """Write a picture and its maps at all sizes.

    Args:
        folder: Where to.
        pixels: (H, W, 3) uint8.
        maps: (H, W) float32 in [0, 1], by name.
    """
    for halving in range(halvings(pixels.shape[:2]) + 1):
        if halving:
            pixels = reduce_pixels(pixels, 2)
            maps = {name: reduce_map(localization_map, 2) for name, localization_map in maps.items()}
        np.save(_file(folder, _PIXELS, halving), pixels)
        for name, localization_map in maps.items():
            np.save(_file(folder, name, halving), localization_map)


def tile(
    folder: Path,
    kind: TileKind,
    map_name: str,
    halving: int,
    column: int,
    row: int,
    profile: bytes | None,
) -> View | None:
    """A part of a picture, its map or its overlay, without loss.

    Args:
        folder: That `write_pyramid` wrote.
        kind: What to show.
        map_name: Of a map that was written.
        halving: 0 for the picture's own pixels.
        column: Of the tile, from the left.
        row: Of the tile, from the top.
        profile: The colour profile of the picture.

    Returns:
        None if there is no such tile.
    """
    if not _file(folder, _PIXELS, halving).exists():
        return None
    window = np.s_[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
    if kind == "map":
        part = _read(folder, map_name, halving)[window]
        return map_view(part) if part.size else None
    pixels = _read(folder, _PIXELS, halving)[window]
    if not pixels.size:
        return None
    if kind == "overlay":
        pixels = overlay_pixels(pixels, _read(folder, map_name, halving)[window])
    return lossless_view(pixels, profile)


def full_map(folder: Path, map_name: str) -> NDArray[np.float32]:
    """A map at the size of its picture, read from disk where it is used."""
    return _read(folder, map_name, 0)


def _file(folder: Path, name: str, halving: int) -> Path:
    return folder / f"{name}.{halving}.npy"


def _read(folder: Path, name: str, halving: int) -> NDArray[Any]:
    return np.asarray(np.load(_file(folder, name, halving), mmap_mode="r"))
