"""A quick look: one network of several looks first, and what it said is kept for when the others look too."""

import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from doctored.core.errors import DataError
from doctored.core.inspection import Inspection
from doctored.predict.regions import TileRegions


@dataclass(frozen=True, eq=False)
class QuickLook:
    """What a model's Constrained R-CNN says of a picture before anybody else has looked.

    Attributes:
        inspection: Its answer, whose verdict is always "cannot_judge": its raw score says which pictures to look at
            first.
        kept: What `Detector.inspect` takes so that this network need not look again at the picture as it is: some
            kilobytes.
    """

    inspection: Inspection
    kept: bytes


def quick_reason(name: str) -> str:
    """Why there is no verdict after a quick look of the model of this name."""
    return (
        f"only {name} has looked, quickly, and its score says which pictures to look at first and judges none; "
        "scan with a larger --fast or without it, or use doctored detect"
    )


def pack(tiles: Iterable[TileRegions]) -> bytes:
    """What the network said of the tiles of a picture, exactly, as bytes."""
    file = io.BytesIO()
    for tile in tiles:
        for field in fields(TileRegions):
            np.save(file, getattr(tile, field.name), allow_pickle=False)
    return zlib.compress(file.getvalue())


def unpack(kept: bytes) -> list[TileRegions]:
    """The same from its bytes.

    Raises:
        DataError: They are damaged.
    """
    try:
        file = io.BytesIO(zlib.decompress(kept))
        tiles = []
        while file.tell() < file.getbuffer().nbytes:
            tiles.append(TileRegions(*(np.load(file, allow_pickle=False) for _ in fields(TileRegions))))
        return tiles
    except (zlib.error, ValueError, EOFError, OSError) as error:
        raise DataError(f"what was kept of a quick look is damaged ({error}); look again") from error
