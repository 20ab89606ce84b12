"""Exact ManTra-Net inference on a picture of any size, tile by tile, in bounded memory.

The anomaly detector compares each pixel with its surroundings and with the whole picture. So there are two
passes: the first makes the adapted map and its statistics over the picture, the second finds anomalies in it.
The map has 64 float32 channels; while it fits the memory budget it is kept between the passes. Otherwise the
picture is cut into blocks of moderate size, and the map of each is made a second time for the second pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError
from doctored.models.mantranet.settings import ManTraNetSettings
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
    """

    settings: ManTraNetSettings
    size_hw: tuple[int, int]
    blocks: list[Tile]
    whole_tiles: list[Tile]
    block_tiles: list[list[Tile]]
    anomaly_tiles: list[list[Tile]]

    @property
    def first_pass(self) -> list[Tile]:
        """All tiles of the first pass, also those of its repetition."""
        return self.whole_tiles + [tile for tiles in self.block_tiles for tile in tiles]

    @property
    def second_pass(self) -> list[Tile]:
        """All tiles of the second pass."""
        return [tile for tiles in self.anomaly_tiles for tile in tiles]


def plan_localization(
    settings: ManTraNetSettings,
    size_hw: tuple[int, int],
    tile_px: int | None = None,
    map_memory_mb: float = DEFAULT_MAP_MEMORY_MB,
) -> LocalizationPlan:
    """Decide how to cut up a picture.

    Args:
        settings: Of the network.
        size_hw: Height and width of the picture.
        tile_px: Side of the part that a tile contributes, its halo not counted; None for the fastest.
        map_memory_mb: What the adapted map of the whole picture may take, in millions of bytes.

    Raises:
        ConfigError: tile_px is not positive, or map_memory_mb is too small to hold one pixel with its halo.
    """
    if tile_px is not None and tile_px < 1:
        raise ConfigError(f"the tile size is {tile_px} px; give 1 or more")
    feature_halo_px, anomaly_halo_px = settings.feature_halo_px, settings.anomaly_halo_px
    bytes_per_pixel = 4 * settings.adapted_channels
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
    return LocalizationPlan(settings, size_hw, parts, whole_tiles, block_tiles, anomaly_tiles)


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
    total = len(plan.first_pass) + len(plan.second_pass)
    done = 0

    def finish_tile() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    def adapted_map(block: Tile, tiles: list[Tile]) -> NDArray[np.float32]:
        adapted = np.empty((*block.seen_hw, channels), np.float32)
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

    channels = plan.settings.adapted_channels
    statistics = ChannelStatistics(channels)
    logits = np.empty(plan.size_hw, np.float32)

    kept_map = np.empty((*plan.size_hw, channels), np.float32) if len(plan.blocks) == 1 else None
    for tile in plan.whole_tiles:
        part = engine.adapted(pixels[tile.seen])[tile.kept_of_seen]
        statistics.add(part)
        if kept_map is not None:
            kept_map[tile.kept] = part
        finish_tile()

    for number, block in enumerate(plan.blocks):
        # The map of a block gets no name here, so that it is gone before the next is made.
        find_anomalies(
            block,
            plan.anomaly_tiles[number],
            adapted_map(block, plan.block_tiles[number]) if kept_map is None else kept_map,
        )
    return logits
