"""Exact ManTra-Net inference on a picture of any size, tile by tile, in bounded memory.

The anomaly detector compares each pixel with its surroundings and with the whole picture. So there are two
passes: the first makes the adapted map and its statistics over the picture, the second finds anomalies in it.
The map has 64 float32 channels, 256 MB a megapixel; while it fits the memory budget it is kept between the passes.
Otherwise the picture is cut into blocks of moderate size, and the map of each is read from a file or, where a disk
has no room, made a second time for the second pass. Either gives the same but for rounding.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.predict.adapted_map import AdaptedMap, MapInMemory, MapOnDisk, map_bytes, map_folder
from doctored.predict.engine import ManTraNetEngine
from doctored.predict.statistics import ChannelStatistics
from doctored.predict.tiling import Tile, blocks, tile_block, tile_regions

ProgressCallback = Callable[[int, int], None]
"""Called with the number of tiles done and the number of all tiles."""

DEFAULT_MAP_MEMORY_MB = 640.0
# Larger blocks would save little: most of what is computed twice is the halos of tiles, not of blocks.
_BLOCK_MEMORY_MB = 256.0
DEFAULT_FEATURE_TILE_PX = 512
DEFAULT_ANOMALY_TILE_PX = 384


@dataclass(frozen=True)
class LocalizationPlan:
    """How a picture is cut up; made by `plan_localization`.

    Within each of the three lists of tiles, all tiles have one shape.

    Attributes:
        settings: Of the network.
        size_hw: Height and width of the picture.
        blocks: The parts whose adapted map is in memory at one time.
        whole_tiles: Tiles of the first pass over the whole picture.
        block_tiles: Tiles of the first pass over what each block sees; none for a single block, whose map is kept.
        anomaly_tiles: Tiles of the second pass over each block.
        on_disk: Whether the map of several blocks is to be kept in a file.
    """

    settings: ManTraNetSettings
    size_hw: tuple[int, int]
    blocks: list[Tile]
    whole_tiles: list[Tile]
    block_tiles: list[list[Tile]]
    anomaly_tiles: list[list[Tile]]
    on_disk: bool

    @property
    def first_pass(self) -> list[Tile]:
        """All tiles of the first pass, also those of its repetition if there is to be one."""
        return self.whole_tiles + ([] if self.on_disk else self.repetition)

    @property
    def repetition(self) -> list[Tile]:
        """All tiles of the first pass over the blocks."""
        return [tile for tiles in self.block_tiles for tile in tiles]

    @property
    def second_pass(self) -> list[Tile]:
        """All tiles of the second pass."""
        return [tile for tiles in self.anomaly_tiles for tile in tiles]


def plan_localization(
    settings: ManTraNetSettings,
    size_hw: tuple[int, int],
    tile_px: int | None = None,
    map_memory_mb: float = DEFAULT_MAP_MEMORY_MB,
    map_disk_mb: float = 0.0,
) -> LocalizationPlan:
    """Decide how to cut up a picture.

    Args:
        settings: Of the network.
        size_hw: Height and width of the picture.
        tile_px: Side of the part that a tile contributes, its halo not counted; None for the fastest.
        map_memory_mb: What the adapted map of the whole picture may take of memory, in millions of bytes.
        map_disk_mb: What it may take of a disk, if it does not fit that.

    Raises:
        ConfigError: tile_px is not positive, or map_memory_mb is too small to hold one pixel with its halo.
    """
    if tile_px is not None and tile_px < 1:
        raise ConfigError(f"the tile size is {tile_px} px; give 1 or more")
    feature_halo_px, anomaly_halo_px = settings.feature_halo_px, settings.anomaly_halo_px
    bytes_per_pixel = map_bytes((1, 1, settings.adapted_channels))
    smallest_mb = bytes_per_pixel * (2 * anomaly_halo_px + 1) ** 2 / 1e6
    if not map_memory_mb >= smallest_mb:
        raise ConfigError(f"the memory budget is {map_memory_mb:g} MB; give {smallest_mb:.1f} or more")
    height, width = size_hw
    if height * width * bytes_per_pixel > map_memory_mb * 1e6:
        map_memory_mb = min(map_memory_mb, _BLOCK_MEMORY_MB)
    parts = blocks(size_hw, int(map_memory_mb * 1e6 / bytes_per_pixel), anomaly_halo_px)
    feature_core_px = tile_px or DEFAULT_FEATURE_TILE_PX
    (whole_tiles,) = tile_regions(
        [(slice(0, height), slice(0, width))], size_hw, feature_core_px, feature_halo_px
    )
    block_tiles = []
    if len(parts) > 1:
        block_tiles = tile_regions([block.seen for block in parts], size_hw, feature_core_px, feature_halo_px)
    anomaly_tiles = [
        tile_block(block, tile_px or DEFAULT_ANOMALY_TILE_PX, anomaly_halo_px) for block in parts
    ]
    on_disk = len(parts) > 1 and height * width * bytes_per_pixel <= map_disk_mb * 1e6
    return LocalizationPlan(settings, size_hw, parts, whole_tiles, block_tiles, anomaly_tiles, on_disk)


def trace_features(
    engine: ManTraNetEngine, pixels: NDArray[np.uint8], plan: LocalizationPlan
) -> NDArray[np.float32]:
    """The features that the network would give the whole picture at once, (H, W, feature_channels) float32.

    Args:
        engine: Runs the network on one tile.
        pixels: (H, W, 3) uint8, RGB.
        plan: How to cut the picture up.
    """
    features = np.empty((*plan.size_hw, plan.settings.feature_channels), np.float32)
    for tile in plan.whole_tiles:
        features[tile.kept] = engine.trace_features(pixels[tile.seen])[tile.kept_of_seen]
    return features


def localization_logits(
    engine: ManTraNetEngine,
    pixels: NDArray[np.uint8],
    plan: LocalizationPlan,
    on_progress: ProgressCallback | None = None,
) -> NDArray[np.float32]:
    """The logits that the network would give the whole picture at once, whatever the plan.

    Args:
        engine: Runs the network on one tile.
        pixels: (H, W, 3) uint8, RGB.
        plan: How to cut the picture up.
        on_progress: Called after each tile.

    Returns:
        (H, W) float32; positive means manipulated.
    """
    with contextlib.ExitStack() as stack:
        return _logits(engine, pixels, plan, _kept_map(plan, stack), on_progress)


def _kept_map(plan: LocalizationPlan, stack: contextlib.ExitStack) -> AdaptedMap | None:
    """What keeps the map between the passes, closed with the stack; None if it is to be made twice."""
    shape = (*plan.size_hw, plan.settings.adapted_channels)
    folder = map_folder()
    if len(plan.blocks) == 1:
        return MapInMemory(shape)
    if not plan.on_disk or folder is None:
        return None
    try:
        return stack.enter_context(MapOnDisk(shape, folder))
    except OSError:  # others have taken the room since the plan was made
        return None


def _logits(
    engine: ManTraNetEngine,
    pixels: NDArray[np.uint8],
    plan: LocalizationPlan,
    kept: AdaptedMap | None,
    on_progress: ProgressCallback | None,
) -> NDArray[np.float32]:
    total = len(plan.whole_tiles) + len(plan.second_pass) + (len(plan.repetition) if kept is None else 0)
    done = 0

    def finish_tile() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    def made_again(block: Tile, tiles: list[Tile]) -> NDArray[np.float32]:
        adapted = np.empty((*block.seen_hw, plan.settings.adapted_channels), np.float32)
        for tile in tiles:
            part = engine.adapted(pixels[tile.seen])
            adapted[tile.kept_within(block.origin_yx)] = part[tile.kept_of_seen]
            finish_tile()
        return adapted

    def find_anomalies(block: Tile, tiles: list[Tile], adapted: NDArray[np.float32]) -> None:
        for tile in tiles:
            seen = np.ascontiguousarray(adapted[tile.seen_within(block.origin_yx)])
            part = engine.anomaly_logits(seen, statistics.mean, statistics.std)
            logits[tile.kept] = part[tile.kept_of_seen]
            finish_tile()

    statistics = ChannelStatistics(plan.settings.adapted_channels)
    logits = np.empty(plan.size_hw, np.float32)

    for tile in plan.whole_tiles:
        part = engine.adapted(pixels[tile.seen])[tile.kept_of_seen]
        statistics.add(part)
        if kept is not None:
            kept.write(tile.kept, part)
        finish_tile()
    if len(plan.blocks) > 1:
        engine.release_memory()  # beside the map of a large picture; for a small one it would only take time

    for number, block in enumerate(plan.blocks):
        # The map of a block gets no name here, so that it is gone before the next is made.
        find_anomalies(
            block,
            plan.anomaly_tiles[number],
            made_again(block, plan.block_tiles[number]) if kept is None else kept.read(block.seen),
        )
    if len(plan.blocks) > 1:
        engine.release_memory()
    return logits
