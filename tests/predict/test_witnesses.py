from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.paste import roi_votes
from doctored.models.constrained_rcnn.settings import NETWORKS, ConstrainedRCNNSettings, compat
from doctored.models.yardsticks import centre
from doctored.predict.localize import plan_localization
from doctored.predict.raw_score import largest_region, most_voted
from doctored.predict.regions import TileRegions
from doctored.predict.torch_engine import TorchEngine, TorchRCNNEngine
from doctored.predict.witnesses import (
    ConstrainedRCNNWitness,
    ManTraNetWitness,
    YardstickWitness,
    sigmoid_in_place,
)
from models.constrained_rcnn.toys import overfitted_toy, tiny_pictures
from models.mantranet.toys import TOY_SETTINGS, random_mantranet, random_picture


def _witness(temperature: float) -> ManTraNetWitness:
    engine = TorchEngine(random_mantranet(), "cpu", "fp32")
    return ManTraNetWitness(
        "mantranet", "00", engine, temperature, lambda size_hw: plan_localization(TOY_SETTINGS, size_hw, 50)
    )


def test_the_sigmoid_is_one_and_overflows_nowhere():
    logits = np.array([[-1000, -2, 0, 3, 1000]], np.float32)
    result = sigmoid_in_place(logits, 2.0)
    assert result is logits
    np.testing.assert_allclose(result, [[0, 1 / (1 + np.exp(1)), 0.5, 1 / (1 + np.exp(-1.5)), 1]], atol=1e-7)


def test_temperature_changes_the_map_and_not_the_largest_region():
    pixels = (random_picture(70, 80) * 255).astype(np.uint8)
    found, flattened = (_witness(temperature).look(pixels, None) for temperature in (1.0, 4.0))
    sharp, sharp_score = found.localization_map, found.raw_score
    flat, flat_score = flattened.localization_map, flattened.raw_score
    assert sharp_score == flat_score
    np.testing.assert_allclose(np.log(flat / (1 - flat)) * 4, np.log(sharp / (1 - sharp)), atol=1e-3)
    assert sharp_score == pytest.approx(largest_region(np.log(sharp / (1 - sharp))), rel=1e-2)
    assert sharp_score == largest_region(_witness(1.0).scored_map(pixels, None))


def test_an_estimate_counts_both_passes_and_what_is_done_twice(monkeypatch: pytest.MonkeyPatch):
    witness = _witness(1.0)
    monkeypatch.setattr(witness, "_time_one_tile", lambda: (2e-6, 1e-6))
    assert witness.estimate_seconds((60, 70)) == pytest.approx(3e-6 * 60 * 70)
    plan = witness.plan((300, 400))
    first, second = (sum(tile.seen_px for tile in tiles) for tiles in (plan.first_pass, plan.second_pass))
    expected = 2e-6 * first + 1e-6 * second
    assert witness.estimate_seconds((300, 400)) == pytest.approx(expected)


def test_an_estimate_is_of_the_right_order():
    witness = _witness(1.0)
    pixels = np.zeros((500, 600, 3), np.uint8)
    witness.look(pixels[:100, :100], None)
    estimate = witness.estimate_seconds((500, 600))
    assert 0 < estimate < 60


def test_a_yardstick_is_a_witness():
    witness = YardstickWitness("centre", centre)
    seen = []
    finding = witness.look(np.zeros((30, 40, 3), np.uint8), lambda *numbers: seen.append(numbers))
    localization_map = finding.localization_map
    assert np.array_equal(localization_map, centre(np.zeros((30, 40, 3), np.uint8)))
    assert finding.raw_score == largest_region(localization_map)
    assert seen == [(1, 1)]
    assert len(witness.sha256) == 64
    assert witness.estimate_seconds((1000, 1000)) < 1


class _OneRegion:
    """An engine that finds one square of bright pixels, if it sees any, and says where as exactly as it can."""

    precision = "fp32"

    def __init__(self, settings: ConstrainedRCNNSettings = NETWORKS["constrained-rcnn"]) -> None:
        self.settings = settings
        self.seen: list[tuple[int, ...]] = []
        self.released_after: list[int] = []

    def release_memory(self) -> None:
        self.released_after.append(len(self.seen))

    def regions(self, image_tile: np.ndarray) -> TileRegions:
        self.seen.append(image_tile.shape[:2])
        rows, columns = np.nonzero(image_tile[..., 0])
        boxes = np.zeros((0, 4), np.float32)
        if len(rows):
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            boxes = np.array([edges], np.float32)
        count = len(boxes)
        return TileRegions(
            boxes,
            np.full(count, 0.75, np.float32),
            np.full(count, 3, np.int64),
            np.ones((count, 14, 14), np.float32),
            np.concatenate([boxes, [[0, 0, 9, 9]]]).astype(np.float32),
            np.array([4.0] * count + [-2.0], np.float32),
        )


@pytest.mark.parametrize("box", [(100, 200, 160, 300), (1500, 300, 2300, 1300), (1010, 1000, 1190, 1190)])
def test_a_region_comes_once_wherever_the_tiles_end(
    box: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("doctored.predict.witnesses.REDUCTIONS", (1,))
    pixels = np.zeros((1900, 2600, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    engine, steps = _OneRegion(), []
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", engine)
    tiles = len(witness._tiles((1900, 2600)))
    finding = witness.look(pixels, lambda *step: steps.append(step))
    (region,) = finding.regions
    assert region.box_xyxy == box
    assert (region.technique, region.score) == ("removal", 0.75)
    assert region.mask.all()
    inside = pixels[..., 0] > 0
    votes = 0.5 * np.tanh(2) + 0.5  # of the one RoI, whose logit is 4; where tiles overlap, it is one too
    as_expected = np.isclose(finding.localization_map[inside], 1 - np.exp(-votes * 0.8), atol=1e-6)
    assert as_expected.mean() > 0.99  # each tile has one more RoI in its corner
    assert finding.localization_map[~inside].max() < 0.01
    assert len(set(engine.seen)) == 1
    assert engine.seen[0][0] * engine.seen[0][1] <= 1_500_000
    assert len(engine.seen) == 4 * tiles == witness.steps((1900, 2600))
    assert steps == [(done, 4 * tiles) for done in range(1, 4 * tiles + 1)]
    assert finding.scale == 1


def test_the_score_is_that_of_the_votes_as_the_picture_is():
    pixels = np.zeros((1900, 2600, 3), np.uint8)
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", _OneRegion())
    quiet = witness.look(pixels, None)
    assert quiet.regions == ()
    assert quiet.localization_map.max() < 0.01
    pixels[500:900, 600:1000] = 255
    loud, scored = witness.look(pixels, None), witness.scored_map(pixels, None)
    assert loud.raw_score == witness.score_rule.score(scored) > quiet.raw_score
    votes = 0.5 * np.tanh(2) + 0.5
    np.testing.assert_allclose(
        scored[pixels[..., 0] > 0], votes, atol=0.13
    )  # 0.12 of one more RoI in its corner
    assert loud.raw_score == pytest.approx(np.log(votes * 400 * 400 / (0.05 * scored.size) + 0.01), abs=0.1)


def test_the_map_is_the_mean_over_all_views_and_the_first_gives_the_regions():
    """An engine that always finds the top left corner, whichever way up it is shown the picture."""
    found_there = 1 - np.exp(-(0.5 * np.tanh(2) + 0.5) * 0.8)

    class Corner(_OneRegion):
        def regions(self, image_tile: np.ndarray) -> TileRegions:
            found = super().regions(np.ones((10, 20, 3), np.uint8))
            return replace(found, rois=found.rois[:1], roi_logits=found.roi_logits[:1])

    pixels = np.zeros((100, 100, 3), np.uint8)
    finding = ConstrainedRCNNWitness("constrained-rcnn", "00", Corner()).look(pixels, None)
    assert [region.box_xyxy for region in finding.regions] == [(0, 0, 20, 10)]
    corners = np.zeros((100, 100), bool)
    for rows, columns in ((slice(0, 10), slice(0, 20)), (slice(90, 100), slice(80, 100))):
        corners[rows, columns] = corners[rows, columns][::-1] = True
    corners |= corners[:, ::-1]
    assert corners.sum() == 4 * 200
    np.testing.assert_allclose(finding.localization_map, np.where(corners, found_there / 4, 0), atol=1e-6)
    released = ConstrainedRCNNWitness("constrained-rcnn", "00", Corner(compat())).look(pixels, None)
    assert released.localization_map[:10, :20].min() > 0.5
    assert not released.localization_map[90:].any()


def test_large_pictures_are_seen_reduced_too(monkeypatch: pytest.MonkeyPatch):
    pixels = np.zeros((512, 701, 3), np.uint8)
    pixels[100:261, 201:330] = 255
    engine, steps = _OneRegion(), []
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", engine)
    finding = witness.look(pixels, lambda *step: steps.append(step))
    assert engine.seen == 4 * [(512, 701)] + 4 * [(256, 351)] + 4 * [(128, 176)]
    assert steps == [(done, 12) for done in range(1, 13)]

    monkeypatch.setattr("doctored.predict.witnesses.REDUCTIONS", (1,))
    expected = np.zeros((512, 701))
    for factor in (1, 2, 4):
        wide = np.pad(pixels.astype(float), ((0, 0), (0, -701 % factor), (0, 0)), mode="edge")
        small = wide.reshape(512 // factor, factor, -1, factor, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        alone = ConstrainedRCNNWitness("constrained-rcnn", "00", _OneRegion()).look(small, None)
        large = ndimage.zoom(alone.localization_map, factor, order=1, mode="nearest", grid_mode=True)
        expected += large[:512, :701] / factor / (1 + 1 / 2 + 1 / 4)
        if factor == 1:
            assert finding.raw_score == alone.raw_score
    assert [region.box_xyxy for region in finding.regions] == [(201, 100, 330, 261)]
    np.testing.assert_allclose(finding.localization_map, expected, atol=1e-5)


def test_memory_is_released_after_the_last_look_at_a_large_picture_only():
    engine = _OneRegion()
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", engine, tile_px=600)
    witness.look(np.zeros((500, 500, 3), np.uint8), None)
    assert not engine.released_after
    witness.look(np.zeros((900, 700, 3), np.uint8), None)
    assert engine.released_after == [len(engine.seen)]


def test_a_region_that_only_a_reduction_shows_is_one_of_the_picture():
    class OfQuarters(_OneRegion):
        def regions(self, image_tile: np.ndarray) -> TileRegions:
            return super().regions(image_tile if len(image_tile) == 150 else np.zeros_like(image_tile))

    pixels = np.zeros((600, 800, 3), np.uint8)
    pixels[40:600, 120:400] = 255
    (region,) = ConstrainedRCNNWitness("constrained-rcnn", "00", OfQuarters()).look(pixels, None).regions
    assert region.box_xyxy == (120, 40, 400, 600)
    assert region.mask.shape == (560, 280)
    assert region.mask.all()


def test_scores_are_finer_than_those_of_regions():
    """Of regions that no longer differ, more and surer regions of interest do."""
    found = _OneRegion().regions(np.ones((40, 40, 3), np.uint8))
    scores = []
    for logit in (3.0, 3.1):
        engine = _OneRegion()
        engine.regions = lambda tile, logit=logit: replace(  # type: ignore[method-assign]
            found, scores=np.float32([1]), roi_logits=np.float32([logit, -2])
        )
        witness = ConstrainedRCNNWitness("constrained-rcnn", "00", engine)
        scores.append(witness.look(np.zeros((40, 40, 3), np.uint8), None).raw_score)
    assert scores[0] < scores[1]


def test_pictures_are_seen_whole_up_to_a_megapixel_and_a_half_and_in_given_tiles():
    engine = _OneRegion()
    ConstrainedRCNNWitness("constrained-rcnn", "00", engine).look(np.zeros((1000, 1500, 3), np.uint8), None)
    assert engine.seen == 4 * [(1000, 1500)] + 4 * [(500, 750)] + 4 * [(250, 375)]
    engine.seen.clear()
    ConstrainedRCNNWitness("constrained-rcnn", "00", engine, 600).look(
        np.zeros((1000, 1500, 3), np.uint8), None
    )
    assert len(engine.seen) > 1
    assert all(height * width <= 600**2 for height, width in engine.seen)
    with pytest.raises(ConfigError, match="the tile size is 300 px; constrained-rcnn needs 512 or more"):
        ConstrainedRCNNWitness("constrained-rcnn", "00", engine, 300)


def test_networks_of_another_scale_see_all_at_once_and_say_so():
    engine = _OneRegion(compat())
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", engine)
    finding = witness.look(np.zeros((2000, 3000, 3), np.uint8), None)
    assert engine.seen == [(2000, 3000)]
    assert finding.scale == pytest.approx(0.3)
    assert finding.to_json()["scale"] == pytest.approx(0.3)


def test_an_estimate_counts_overlaps_and_the_networks_own_scale(monkeypatch: pytest.MonkeyPatch):
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", _OneRegion())
    monkeypatch.setattr(witness, "_time_probe", lambda: 1e-6)
    assert witness.estimate_seconds((500, 500)) == pytest.approx(1)  # seen four times
    assert witness.estimate_seconds((1000, 1000)) == pytest.approx(4 * (1 + 1 / 4 + 1 / 16))
    assert 4 * 15.75 < witness.estimate_seconds((3000, 4000)) < 4 * 30
    resizing = ConstrainedRCNNWitness("constrained-rcnn", "00", _OneRegion(compat()))
    monkeypatch.setattr(resizing, "_time_probe", lambda: 1e-6)
    assert resizing.estimate_seconds((2000, 3000)) == pytest.approx(0.54)


def test_regions_of_a_network_are_those_of_the_whole_picture():
    network = overfitted_toy()
    witness = ConstrainedRCNNWitness("constrained-rcnn", "00", TorchRCNNEngine(network, "cpu", "fp32"))
    pixels = tiny_pictures()[0]
    finding = witness.look(pixels, None)
    views = torch.stack([torch.from_numpy(pixels).permute(2, 0, 1).flip(axes) for axes in ((), 2, 1, (1, 2))])
    with torch.no_grad():
        found = [network(view[None] / 255)[0] for view in views]
    expected = found[0]
    maps = [
        np.flip(one.localization_map.numpy(), axes)
        for one, axes in zip(found, ((), 1, 0, (0, 1)), strict=True)
    ]
    np.testing.assert_allclose(finding.localization_map, np.mean(maps, 0), atol=1e-5)
    assert len(finding.regions) == len(expected.scores)
    for region, box, score in zip(finding.regions, expected.boxes_xyxy, expected.scores, strict=True):
        assert np.abs(np.array(region.box_xyxy) - box.numpy()).max() < 1
        assert region.score == pytest.approx(score.item(), abs=1e-5)
    assert finding.regions[0].technique == "splicing"
    votes = roi_votes(expected.rois.numpy(), expected.roi_logits.numpy(), pixels.shape[:2])
    assert finding.raw_score == pytest.approx(most_voted(votes), abs=1e-4)
    assert witness.estimate_seconds((96, 96)) > 0
