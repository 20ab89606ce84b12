"""The models as the detector sees them: pixels in, a finding out."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, DataError
from doctored.core.inspection import Region, WitnessFinding
from doctored.core.reduction import add_enlarged, reduce_pixels
from doctored.models.constrained_rcnn.scaling import scaling_for
from doctored.predict.engine import ConstrainedRCNNEngine, ManTraNetEngine
from doctored.predict.families import WINDOW_PX, ImcHead, mean_feature_of, window_of
from doctored.predict.localize import LocalizationPlan, ProgressCallback, localization_logits
from doctored.predict.raw_score import LARGEST_REGION, MOST_VOTED, ScoreRule
from doctored.predict.regions import (
    Piece,
    TileRegions,
    as_regions,
    count_votes,
    enlarged,
    map_of,
    merge,
    pieces_of,
)
from doctored.predict.tiling import Tile, blocks, tile_regions

_PROBE_PX = 96
_RCNN_PROBE_PX = 512

WHOLE_PX = 1_500_000
"""A Constrained R-CNN sees pictures of up to so many pixels whole, and larger ones in tiles of about as many."""

OVERLAP_PX = 256
"""By how much its tiles overlap: 16 cells of the network's maps.

A region up to this size lies whole in some tile. Of a larger one each of two neighbours sees at least this much, enough
for their boxes to agree there. Twice as much, the side of the largest anchor, would double the work.
"""


VIEWS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""How a Constrained R-CNN sees a picture: as it is, left and right exchanged, upside down, and both.

Steps along rows and columns. What was done to a picture does not depend on where it is up, the network's answer does a
little. The map is the mean over all views; regions are those of the first, and the score is that of the picture as it
is. The released network looks once.
"""

VIEWED_PX = 32_000_000
"""Larger pictures are not turned and mirrored, for the sake of time and memory."""

REDUCTIONS = (1, 2, 4)
"""By what a Constrained R-CNN sees large pictures divided; map and regions come from all of them.

It learned from crops of 256 px. Of a manipulated region that is larger than such a crop its own pixels show the inside
alone, where nothing is odd; at a half and a quarter of the size the region ends inside of what the network looks at.
"""

REDUCED_FROM_PX, SMALLEST_REDUCED_PX = 512, 128
"""The short side from which on pictures are seen reduced too, and the least that may be left of it.

In smaller pictures regions are small enough, and a reduction loses traces that their own pixels have.
"""


class Witness(Protocol):
    """One model that looks at pictures.

    Attributes:
        name: Catalogue name.
        sha256: Of its weights, lower-case hexadecimal.
        precision: What it computes in.
        score_rule: How its raw score comes from `scored_map`.
    """

    name: str
    sha256: str
    precision: str
    score_rule: ScoreRule

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        """What the raw score is a function of, (H, W) float32: logits before any temperature, if it has such."""
        ...

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        """What it says of a picture (H, W, 3) uint8."""
        ...

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        """About how long `look` takes on a picture of that size."""
        ...

    def steps(self, size_hw: tuple[int, ...]) -> int:
        """How many steps it reports while it looks at a picture of that size."""
        ...

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        """The manipulation that a region of a picture looks like, of `IMC_FAMILIES`, and how sure that is.

        None if the witness does not tell manipulations apart.
        """
        ...


class ManTraNetWitness:
    """ManTra-Net on any engine.

    Args:
        name: Catalogue name.
        sha256: Of the weights.
        engine: Runs the network.
        temperature: What logits are divided by before the sigmoid. The raw score is that of the logits before.
        plan: From a picture's size to how it is cut up.
        imc_head: Names the manipulation of a region; None if there is none.
    """

    score_rule = LARGEST_REGION

    def __init__(
        self,
        name: str,
        sha256: str,
        engine: ManTraNetEngine,
        temperature: float,
        plan: Callable[[tuple[int, int]], LocalizationPlan],
        imc_head: ImcHead | None = None,
    ) -> None:
        self.name, self.sha256, self.imc_head = name, sha256, imc_head
        self.engine, self.temperature, self.plan = engine, temperature, plan
        self.precision: str = engine.precision
        self._seconds_per_px: tuple[float, float] | None = None

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        plan = self.plan((pixels.shape[0], pixels.shape[1]))
        return localization_logits(self.engine, pixels, plan, on_progress)

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        logits = self.scored_map(pixels, on_progress)
        score = self.score_rule.score(logits)
        return WitnessFinding(self.name, self.sha256, score, sigmoid_in_place(logits, self.temperature))

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        if self._seconds_per_px is None:
            self._seconds_per_px = self._time_one_tile()
        plan = self.plan(size_hw)
        return sum(
            seconds * sum(tile.seen_px for tile in tiles)
            for seconds, tiles in zip(self._seconds_per_px, (plan.first_pass, plan.second_pass), strict=True)
        )

    def steps(self, size_hw: tuple[int, ...]) -> int:
        plan = self.plan((size_hw[0], size_hw[1]))
        return len(plan.first_pass) + len(plan.second_pass)

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        if self.imc_head is None:
            return None
        size_hw = (pixels.shape[0], pixels.shape[1])
        window = window_of(region, size_hw)
        ((tile,),) = tile_regions([window], size_hw, WINDOW_PX, self.engine.settings.feature_halo_px)
        features = self.engine.trace_features(np.ascontiguousarray(pixels[tile.seen]))[tile.kept_of_seen]
        return self.imc_head.family(mean_feature_of(region, window, features))

    def _time_one_tile(self) -> tuple[float, float]:
        """Seconds per pixel of the two passes; the first run of each, which compiles, does not count."""
        image = np.random.default_rng(0).integers(0, 256, (_PROBE_PX, _PROBE_PX, 3), np.uint8)
        adapted = self.engine.adapted(image).copy()
        unit = np.ones(adapted.shape[-1], np.float32)
        self.engine.anomaly_logits(adapted, 0 * unit, unit)
        start = time.perf_counter()
        self.engine.adapted(image)
        middle = time.perf_counter()
        self.engine.anomaly_logits(adapted, 0 * unit, unit)
        return (middle - start) / _PROBE_PX**2, (time.perf_counter() - middle) / _PROBE_PX**2


def sigmoid_in_place(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """1 / (1 + exp(-logits / temperature)), in the memory of the logits: maps of large pictures are large."""
    # The sigmoid through tanh cannot overflow.
    np.multiply(logits, 0.5 / temperature, out=logits)
    np.tanh(logits, out=logits)
    np.multiply(logits, 0.5, out=logits)
    np.add(logits, 0.5, out=logits)
    return logits


class ConstrainedRCNNWitness:
    """Constrained R-CNN on any engine.

    Pictures are seen at native resolution, whole or in overlapping tiles, unless the network was trained on resized
    ones: these it resizes, whole, whatever their size.

    Args:
        name: Catalogue name.
        sha256: Of the weights.
        engine: Runs the network.
        tile_px: Side of a square of as many pixels as a tile has at most; None for that of `WHOLE_PX`.

    Raises:
        ConfigError: Tiles would be smaller than twice their overlap.
    """

    score_rule = MOST_VOTED

    def __init__(
        self, name: str, sha256: str, engine: ConstrainedRCNNEngine, tile_px: int | None = None
    ) -> None:
        if tile_px is not None and tile_px < 2 * OVERLAP_PX:
            raise ConfigError(f"the tile size is {tile_px} px; {name} needs {2 * OVERLAP_PX} or more")
        self.name, self.sha256, self.engine = name, sha256, engine
        self.precision: str = engine.precision
        self._tile_px = WHOLE_PX if tile_px is None else tile_px**2
        self._seconds_per_px: float | None = None

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        """The votes of the regions of interest that cover each pixel, of the picture as it is."""
        size_hw = (pixels.shape[0], pixels.shape[1])
        return self._votes(size_hw, list(self.look_at_tiles(pixels, on_progress)))

    def look(
        self,
        pixels: NDArray[np.uint8],
        on_progress: ProgressCallback | None,
        known: Iterable[TileRegions] | None = None,
    ) -> WitnessFinding:
        """What it says of a picture (H, W, 3) uint8, seen in all `VIEWS` at all `REDUCTIONS` that suit its size.

        Args:
            pixels: The picture.
            on_progress: Called after each tile.
            known: What `look_at_tiles` said of the picture as it is, earlier; None to look.

        Raises:
            DataError: What is known is not of as many tiles as the picture has.
        """
        size_hw = (pixels.shape[0], pixels.shape[1])
        views, factors, steps = self._views(size_hw), self._reductions(size_hw), self.steps(size_hw)
        done = 0 if known is None else len(self._tiles(size_hw))

        def forward(_: int, __: int) -> None:
            nonlocal done
            done += 1
            if on_progress is not None:
                on_progress(done, steps)

        localization_map, pieces, raw_score = self._look_in_views(pixels, views, forward, known)
        for factor in factors[1:]:
            of_factor, smaller, _ = self._look_in_views(reduce_pixels(pixels, factor), views, forward)
            # A reduction counts half as much as one of half its factor: the more is lost, the less it knows.
            of_factor /= factor
            add_enlarged(localization_map, of_factor, factor)
            pieces += [enlarged(piece, factor) for piece in smaller]
        if len(self._tiles(size_hw)) > 1:
            self.engine.release_memory()  # beside large maps; after a small picture it would only take time
        localization_map /= len(views) * sum(1 / factor for factor in factors)
        return self._finding(raw_score, localization_map, pieces)

    def _look_in_views(
        self,
        pixels: NDArray[np.uint8],
        views: Sequence[tuple[int, int]],
        on_progress: ProgressCallback,
        known: Iterable[TileRegions] | None = None,
    ) -> tuple[NDArray[np.float32], list[Piece], float]:
        """The sum (H, W) of the maps of all views; pieces of regions and raw score of the first, as the picture is."""
        size_hw = (pixels.shape[0], pixels.shape[1])
        pieces, votes = self._put_together(
            size_hw, self.look_at_tiles(pixels, on_progress) if known is None else known
        )
        raw_score = self.score_rule.score(votes)
        total = self._map_of(pieces, votes)
        for down, right in views[1:]:
            mirrored = self.look_at_tiles(pixels[::down, ::right], on_progress)
            total += self._map_of(*self._put_together(size_hw, mirrored))[::down, ::right]
        return total, pieces, raw_score

    def look_at_tiles(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> Iterator[TileRegions]:
        """What the network says of each tile of a picture (H, W, 3) uint8 as it is: all that takes time."""
        tiles = self._tiles((pixels.shape[0], pixels.shape[1]))
        for number, tile in enumerate(tiles):
            yield self.engine.regions(pixels[tile.seen].copy())  # a mirrored picture has negative strides
            if on_progress is not None:
                on_progress(number + 1, len(tiles))

    def finding(self, size_hw: tuple[int, int], found_of_tiles: Iterable[TileRegions]) -> WitnessFinding:
        """What follows from what the network says of the tiles of one view.

        Args:
            size_hw: Height and width of the picture.
            found_of_tiles: From `look_at_tiles`, now or earlier.

        Raises:
            DataError: They are not of as many tiles as the picture has.
        """
        pieces, votes = self._put_together(size_hw, found_of_tiles)
        return self._finding(self.score_rule.score(votes), self._map_of(pieces, votes), pieces)

    def _put_together(
        self, size_hw: tuple[int, int], found_of_tiles: Iterable[TileRegions]
    ) -> tuple[list[Piece], NDArray[np.float32]]:
        """Pieces of regions, and votes (H, W), of a view from those of its tiles."""
        found_of_tiles, tiles = list(found_of_tiles), self._tiles(size_hw)
        if len(found_of_tiles) != len(tiles):
            raise DataError(
                f"an earlier look saw {len(found_of_tiles)} tiles of a picture that is cut into {len(tiles)} now; "
                "look again"
            )
        pieces = [
            piece
            for tile, found in zip(tiles, found_of_tiles, strict=True)
            for piece in pieces_of(tile, found, size_hw)
        ]
        return pieces, self._votes(size_hw, found_of_tiles)

    def _map_of(self, pieces: Sequence[Piece], votes: NDArray[np.float32]) -> NDArray[np.float32]:
        settings = self.engine.settings
        return map_of(merge(pieces, settings.mask_rois_test), votes, settings)

    def _finding(
        self, raw_score: float, localization_map: NDArray[np.float32], pieces: Sequence[Piece]
    ) -> WitnessFinding:
        settings = self.engine.settings
        size_hw = (localization_map.shape[0], localization_map.shape[1])
        regions = as_regions(merge(pieces, settings.mask_rois_test), size_hw, settings)
        scale = scaling_for(size_hw, settings).factor
        return WitnessFinding(self.name, self.sha256, raw_score, localization_map, regions, scale)

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        if self._seconds_per_px is None:
            self._seconds_per_px = self._time_probe()
        seen_px = sum(self._network_px(tile) for tile in self._tiles_of_reductions(size_hw))
        return self._seconds_per_px * seen_px * len(self._views(size_hw))

    def steps(self, size_hw: tuple[int, ...]) -> int:
        height, width = size_hw
        return len(self._tiles_of_reductions((height, width))) * len(self._views((height, width)))

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        return None

    def _tiles(self, size_hw: tuple[int, int]) -> list[Tile]:
        whole_px = size_hw[0] * size_hw[1]
        resizes = self.engine.settings.short_side_px is not None
        return blocks(size_hw, whole_px if resizes else self._tile_px, OVERLAP_PX // 2)

    def _tiles_of_reductions(self, size_hw: tuple[int, int]) -> list[Tile]:
        height, width = size_hw
        return [
            tile
            for factor in self._reductions(size_hw)
            for tile in self._tiles((-(-height // factor), -(-width // factor)))
        ]

    def _reductions(self, size_hw: tuple[int, int]) -> Sequence[int]:
        settings = self.engine.settings
        if settings.compat or settings.short_side_px is not None or min(size_hw) < REDUCED_FROM_PX:
            return REDUCTIONS[:1]
        return [factor for factor in REDUCTIONS if min(size_hw) >= factor * SMALLEST_REDUCED_PX]

    def _views(self, size_hw: tuple[int, int]) -> Sequence[tuple[int, int]]:
        once = self.engine.settings.compat or size_hw[0] * size_hw[1] > VIEWED_PX
        return VIEWS[:1] if once else VIEWS

    def _votes(self, size_hw: tuple[int, int], found_of_tiles: Sequence[TileRegions]) -> NDArray[np.float32]:
        votes = np.zeros(size_hw, np.float32)
        for tile, found in zip(self._tiles(size_hw), found_of_tiles, strict=True):
            count_votes(votes[tile.seen], found)
        return votes

    def _network_px(self, tile: Tile) -> int:
        height, width = scaling_for(tile.seen_hw, self.engine.settings).network_hw
        return height * width

    def _time_probe(self) -> float:
        """Seconds per pixel of a picture of moderate size; the first run, which compiles, does not count."""
        image = np.random.default_rng(0).integers(0, 256, (_RCNN_PROBE_PX, _RCNN_PROBE_PX, 3), np.uint8)
        self.engine.regions(image)
        start = time.perf_counter()
        self.engine.regions(image)
        (tile,) = self._tiles((_RCNN_PROBE_PX, _RCNN_PROBE_PX))
        return (time.perf_counter() - start) / self._network_px(tile)


class YardstickWitness:
    """A plain function from pixels to a map.

    Args:
        name: Catalogue name.
        function: From (H, W, 3) uint8 to (H, W) float32 in [0, 1].
    """

    score_rule = LARGEST_REGION

    def __init__(self, name: str, function: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> None:
        self.name, self.function, self.precision = name, function, "fp32"
        # It has no weights; what decides its answers is its code.
        self.sha256 = hashlib.sha256(Path(function.__code__.co_filename).read_bytes()).hexdigest()

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        localization_map = self.function(pixels)
        if on_progress is not None:
            on_progress(1, 1)
        return localization_map

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        localization_map = self.scored_map(pixels, on_progress)
        score = self.score_rule.score(localization_map)
        return WitnessFinding(self.name, self.sha256, score, localization_map)

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return 1e-7 * size_hw[0] * size_hw[1]

    def steps(self, size_hw: tuple[int, ...]) -> int:
        return 1

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        return None
