from dataclasses import replace

import numpy as np
import pytest

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
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
from doctored.predict.tiling import Span, Tile, blocks

SETTINGS = ConstrainedRCNNSettings()
ONES = np.ones((14, 14), np.float32)
LEFT, RIGHT = (0.0, 0.0, 600.0, 500.0), (344.0, 0.0, 944.0, 500.0)


def _found(*boxes: tuple[float, float, float, float], scores: tuple[float, ...] = ()) -> TileRegions:
    count = len(boxes)
    return TileRegions(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.9] * count, np.float32),
        np.ones(count, np.int64),
        np.ones((count, 14, 14), np.float32),
        np.array([[0, 0, 5, 5]], np.float32),
        np.array([1.5], np.float32),
    )


def _piece(box, seen, score=0.9, label=1, cut=False) -> Piece:
    return Piece(box, score, label, ONES, seen, cut)


def test_only_inner_ends_of_a_tile_cut():
    tile = Tile(Span((0, 500), (0, 450)), Span((300, 900), (350, 900)))
    boxes = [(5, 100, 90, 200), (100, 2, 200, 90), (510, 100, 598, 200), (100, 400, 200, 499)]
    pieces = pieces_of(tile, _found(*boxes), (800, 900))
    assert pieces[0].box == (305, 100, 390, 200)
    assert pieces[0].seen == (300, 0, 900, 500)
    # Left and bottom of the tile lie within the picture; top and right are ends of the picture itself.
    assert [piece.cut for piece in pieces] == [True, False, False, True]


def test_a_region_that_two_tiles_show_whole_comes_once_the_surest_way():
    first, second = _piece((400, 100, 500, 200), LEFT, 0.7), _piece((404, 98, 504, 203), RIGHT, 0.8)
    assert merge([first, second], 8) == [(second,)]


def test_a_region_seen_at_two_sizes_comes_once():
    whole = (0.0, 0.0, 80.0, 60.0)
    large = _piece((10, 10, 30, 40), whole, 0.6)
    small = enlarged(_piece((5, 5, 15, 21), (0, 0, 40, 30), 0.7), 2)
    assert (small.box, small.seen, small.reduction) == ((10, 10, 30, 42), whole, 2)
    assert merge([large, small], 8) == [(small,)]
    of_one_tile = replace(small, reduction=1)
    assert merge([large, of_one_tile], 8) == [(of_one_tile,), (large,)]


def test_regions_of_one_tile_are_left_as_the_network_told_them_apart():
    pieces = [_piece((400, 100, 500, 200), LEFT, 0.7), _piece((404, 98, 504, 203), LEFT, 0.8)]
    assert merge(pieces, 8) == [(pieces[1],), (pieces[0],)]


def test_a_region_that_no_tile_shows_whole_is_put_together():
    """From 200 to 800 px: what the tiles see of it overlaps by .43 only, but they agree on what both see."""
    first, second = (
        _piece((200, 100, 600, 300), LEFT, 0.7, 2, True),
        _piece((344, 104, 800, 300), RIGHT, 0.8, 3, True),
    )
    (whole,) = merge([first, second], 8)
    assert whole == (second, first)
    (region,) = as_regions([whole], (500, 944), SETTINGS)
    assert region.box_xyxy == (200, 100, 800, 300)
    assert (region.score, region.technique) == (0.8, SETTINGS.classes[3])
    assert region.mask is not None
    assert region.mask[10].all()
    assert region.mask[0, :400].all()
    assert not region.mask[0, 400:].any()  # the second tile shows it from 104 on
    localization_map = map_of([whole], np.ones((500, 944), np.float32), SETTINGS)
    masks = np.array([0, 0.7, 0.8, 0.8, 0])
    np.testing.assert_allclose(
        localization_map[200, [150, 250, 500, 700, 850]], 1 - np.exp(-masks - 0.05), rtol=1e-5
    )


def test_votes_of_overlapping_tiles_are_not_added():
    votes = np.zeros((4, 12), np.float32)
    box = np.array([[0, 0, 6, 4], [0, 0, 2, 4]], np.float32)
    for left in (0, 4):
        found = replace(_found((0, 0, 5, 5)), rois=box, roi_logits=np.zeros(2, np.float32))
        count_votes(votes[:, left : left + 8], found)
    assert votes[0].tolist() == [1, 1, 0.5, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.5, 0, 0]


def test_a_whole_region_wins_over_a_surer_half_of_it():
    half = _piece((344, 100, 420, 200), RIGHT, 0.95, cut=True)
    whole = _piece((300, 102, 420, 200), LEFT, 0.6)
    assert merge([half, whole], 8) == [(whole,)]


def test_neighbours_that_disagree_are_two_regions():
    first, second = (
        _piece((450, 100, 600, 200), LEFT, 0.7, cut=True),
        _piece((344, 300, 480, 400), RIGHT, 0.8, cut=True),
    )
    assert merge([first, second], 8) == [(second,), (first,)]


def test_a_region_across_three_tiles_is_one():
    third = (688.0, 0.0, 1288.0, 500.0)
    pieces = [
        _piece((100, 50, 600, 150), LEFT, 0.5, cut=True),
        _piece((344, 50, 944, 150), RIGHT, 0.6, cut=True),
        _piece((688, 50, 1100, 150), third, 0.7, cut=True),
    ]
    (whole,) = merge(pieces, 8)
    assert len(whole) == 3
    assert as_regions([whole], (500, 1288), SETTINGS)[0].box_xyxy == (100, 50, 1100, 150)


def test_no_more_regions_than_asked_for_and_the_surest_of_them():
    pieces = [_piece((100 * i, 0, 100 * i + 50, 50), LEFT, 0.1 * i) for i in range(1, 6)]
    assert [whole[0].score for whole in merge(pieces, 2)] == pytest.approx([0.5, 0.4])


def test_boxes_are_rounded_outwards_into_the_picture_and_empty_ones_dropped():
    pieces = [
        _piece((-3.2, 0.4, 20.3, 9.6), LEFT),
        _piece((60, 3, 60, 9), LEFT),
        _piece((59.5, 1, 64, 9), LEFT),
    ]
    regions = as_regions([(piece,) for piece in pieces], (10, 60), SETTINGS)
    assert [region.box_xyxy for region in regions] == [(0, 0, 21, 10), (59, 1, 60, 9)]
    assert all(
        region.mask.shape == (r[3] - r[1], r[2] - r[0]) for region in regions for r in [region.box_xyxy]
    )


def test_every_size_of_region_comes_back_once_from_tiles():
    """What exact detectors would say in each tile of a cut-up picture, put together, is what is in the picture."""
    size_hw = (2600, 3300)
    truths = [(40, 60, 300, 200), (900, 800, 1500, 1300), (1700, 100, 3290, 2590), (1200, 2000, 1230, 2040)]
    tiles = blocks(size_hw, 1_500_000, 128)
    assert len(tiles) > 4
    pieces = []
    for tile in tiles:
        top, left = tile.origin_yx
        height, width = tile.seen_hw
        seen = []
        for x1, y1, x2, y2 in truths:
            box = (max(x1, left), max(y1, top), min(x2, left + width), min(y2, top + height))
            if box[2] - box[0] > 16 and box[3] - box[1] > 16:
                seen.append((box[0] - left, box[1] - top, box[2] - left, box[3] - top))
        pieces += pieces_of(tile, _found(*seen), size_hw)
    found = [region.box_xyxy for region in as_regions(merge(pieces, 8), size_hw, SETTINGS)]
    assert sorted(found) == sorted(truths)


def test_damaged_numbers_are_refused():
    with pytest.raises(ModelError, match="NaN or infinity; its weights are damaged"):
        _found((0, 0, np.nan, 5))


def test_nothing_found_is_a_flat_map():
    assert merge([], 8) == []
    assert not map_of([], np.zeros((5, 6), np.float32), SETTINGS).any()
    assert as_regions([], (5, 6), SETTINGS) == ()
