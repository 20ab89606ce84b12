import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.errors import ConfigError
from doctored.models.mantranet.settings import released_variant
from doctored.predict.localize import localization_logits, plan_localization, trace_features
from doctored.predict.torch_engine import TorchEngine
from models.mantranet.toys import TOY_SETTINGS, as_batch, as_map, random_mantranet, random_picture

NETWORK = random_mantranet()
ENGINE = TorchEngine(random_mantranet(), "cpu", "fp32")


def _pixels(height: int, width: int) -> NDArray[np.uint8]:
    return (random_picture(height, width) * 255).astype(np.uint8)


@torch.no_grad()
def _whole(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return as_map(NETWORK(as_batch(pixels.astype(np.float32) / 255)))[..., 0]


@pytest.mark.parametrize(
    ("size_hw", "tile_px"),
    [
        ((60, 75), 7),  # below the smallest window
        ((60, 75), 30),  # below the largest
        ((97, 131), 64),
        ((60, 75), 500),
        ((12, 40), 1),
        ((1, 1), 5),
        ((1, 150), 20),
        ((150, 1), 20),
        ((2, 131), 31),
        ((131, 3), 31),
    ],
)
def test_tiled_equals_whole(size_hw: tuple[int, int], tile_px: int):
    pixels = _pixels(*size_hw)
    plan = plan_localization(TOY_SETTINGS, size_hw, tile_px)
    logits = localization_logits(ENGINE, pixels, plan)
    assert logits.shape == size_hw
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, _whole(pixels), rtol=0, atol=2e-5)


def test_the_result_depends_on_tiles_unless_halos_are_whole(monkeypatch: pytest.MonkeyPatch):
    """Shows that the comparison above would notice a halo that is too small."""
    pixels = _pixels(120, 90)
    for halo in ("feature_halo_px", "anomaly_halo_px"):
        with monkeypatch.context() as patch:
            patch.setattr(type(TOY_SETTINGS), halo, 3)
            logits = localization_logits(ENGINE, pixels, plan_localization(TOY_SETTINGS, (120, 90), 40))
        assert np.abs(logits - _whole(pixels)).max() > 1e-3


@pytest.mark.parametrize("size_hw", [(150, 170), (20, 300), (300, 20), (1, 4000)])
def test_blocks_equal_whole(size_hw: tuple[int, int]):
    pixels = _pixels(*size_hw)
    plan = plan_localization(TOY_SETTINGS, size_hw, map_memory_mb=0.06)
    assert len(plan.blocks) > 1
    logits = localization_logits(ENGINE, pixels, plan)
    np.testing.assert_allclose(logits, _whole(pixels), rtol=0, atol=2e-5)


@pytest.mark.parametrize("size_hw", [(150, 170), (20, 300), (1, 4000)])
def test_a_map_on_disk_spares_the_second_first_pass(
    size_hw: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pixels = _pixels(*size_hw)
    plan = plan_localization(TOY_SETTINGS, size_hw, map_memory_mb=0.06, map_disk_mb=1)
    assert plan.on_disk
    looks: list[tuple[int, int]] = []
    logits = localization_logits(ENGINE, pixels, plan, lambda *counts: looks.append(counts))
    np.testing.assert_allclose(logits, _whole(pixels), rtol=0, atol=2e-5)
    total = len(plan.whole_tiles) + len(plan.second_pass)
    assert total == len(plan.first_pass) + len(plan.second_pass)
    assert looks == [(done, total) for done in range(1, total + 1)]


def test_without_the_room_on_disk_that_was_planned_for_the_map_is_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    pixels = _pixels(150, 170)
    plan = plan_localization(TOY_SETTINGS, (150, 170), map_memory_mb=0.06, map_disk_mb=1)
    looks: list[tuple[int, int]] = []
    logits = localization_logits(ENGINE, pixels, plan, lambda *counts: looks.append(counts))
    np.testing.assert_allclose(logits, _whole(pixels), rtol=0, atol=2e-5)
    total = len(plan.whole_tiles) + len(plan.repetition) + len(plan.second_pass)
    assert looks[-1] == (total, total)


def test_a_disk_with_less_room_than_the_map_needs_is_not_used():
    needed_mb = 150 * 170 * TOY_SETTINGS.adapted_channels * 4 / 1e6
    for room_mb, on_disk in ((needed_mb, True), (0.99 * needed_mb, False)):
        plan = plan_localization(TOY_SETTINGS, (150, 170), map_memory_mb=0.06, map_disk_mb=room_mb)
        assert plan.on_disk == on_disk
    assert not plan_localization(TOY_SETTINGS, (150, 170), map_memory_mb=10, map_disk_mb=10).on_disk


def test_a_picture_beyond_the_budget_gets_blocks_of_moderate_size():
    settings = released_variant(4)
    assert len(plan_localization(settings, (1500, 1600)).blocks) == 1
    plan = plan_localization(settings, (5000, 5000))
    assert max(block.seen_px for block in plan.blocks) * 256 <= 256e6
    generous = plan_localization(settings, (5000, 5000), map_memory_mb=7000)
    assert len(generous.blocks) == 1


@pytest.mark.parametrize("size_hw", [(150, 170), (20, 300), (97, 61), (1, 4000)])
@pytest.mark.parametrize("tile_px", [9, 40, None])
def test_all_tiles_of_a_pass_have_one_shape(size_hw: tuple[int, int], tile_px: int | None):
    plan = plan_localization(TOY_SETTINGS, size_hw, tile_px, map_memory_mb=0.06)
    for tiles in (plan.whole_tiles, [tile for part in plan.block_tiles for tile in part], plan.second_pass):
        assert len({tile.seen_hw for tile in tiles}) <= 1


def test_a_63_px_window_needs_its_larger_halo():
    settings = released_variant(3)
    network = random_mantranet(
        type(settings)(
            first_layer_filters=13,
            widths=(3, 3, 3, 3, 3),
            feature_channels=4,
            adapted_channels=3,
            window_sizes=settings.window_sizes,
            hidden_channels=2,
        )
    )
    pixels = _pixels(130, 110)
    plan = plan_localization(network.settings, (130, 110), 25)
    logits = localization_logits(TorchEngine(network, "cpu", "fp32"), pixels, plan)
    with torch.no_grad():
        whole = as_map(network(as_batch(pixels.astype(np.float32) / 255)))[..., 0]
    np.testing.assert_allclose(logits, whole, rtol=0, atol=2e-5)


def test_memory_is_released_after_each_pass_over_a_large_picture_only(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    for name in ("adapted", "anomaly_logits", "release_memory"):
        method = getattr(ENGINE, name)
        monkeypatch.setattr(ENGINE, name, lambda *args, m=method, n=name: calls.append(n) or m(*args))
    localization_logits(ENGINE, _pixels(90, 100), plan_localization(TOY_SETTINGS, (90, 100), 30))
    assert "release_memory" not in calls
    calls.clear()
    plan = plan_localization(TOY_SETTINGS, (90, 100), 30, map_memory_mb=0.06, map_disk_mb=10)
    localization_logits(ENGINE, _pixels(90, 100), plan)
    assert [name for name, _ in itertools.groupby(calls)] == [
        "adapted",
        "release_memory",
        "anomaly_logits",
        "release_memory",
    ]


def test_progress_counts_every_tile_of_both_passes():
    seen = []
    plan = plan_localization(TOY_SETTINGS, (90, 100), 30, map_memory_mb=0.06)
    localization_logits(ENGINE, _pixels(90, 100), plan, lambda done, total: seen.append((done, total)))
    total = len(plan.first_pass) + len(plan.second_pass)
    assert seen == [(done, total) for done in range(1, total + 1)]


@torch.no_grad()
def test_tiled_features_equal_whole():
    pixels = _pixels(50, 61)
    features = trace_features(ENGINE, pixels, plan_localization(TOY_SETTINGS, (50, 61), 13))
    whole = as_map(NETWORK.imtfe(as_batch(pixels.astype(np.float32) / 255)))
    assert features.shape == (50, 61, TOY_SETTINGS.feature_channels)
    np.testing.assert_allclose(features, whole, rtol=0, atol=1e-6)


def test_impossible_plans_are_refused():
    with pytest.raises(ConfigError, match="tile size is 0 px; give 1 or more"):
        plan_localization(TOY_SETTINGS, (9, 9), 0)
    with pytest.raises(ConfigError, match=r"memory budget is 0\.01 MB; give 0\.6 or more"):
        plan_localization(released_variant(4), (9, 9), map_memory_mb=0.01)
