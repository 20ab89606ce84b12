import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from apps.report.cases import high_map, inspection_of, picture_file
from doctored.apps.outputs import suspicion_colours
from doctored.apps.report.views import MOST_REGIONS, colour_scale, make_views
from doctored.core.inspection import Region
from doctored.core.picture import Picture


def pixels_of(view):
    with Image.open(io.BytesIO(view.data)) as image:
        assert image.size == (view.width, view.height)
        return np.asarray(image.convert("RGB"))


def test_a_small_picture_is_shown_at_its_own_pixels(tmp_path):
    picture = picture_file(tmp_path)
    views = make_views(picture, inspection_of(picture))
    assert views.factor == 1
    assert pixels_of(views.original).shape == picture.pixels.shape
    assert np.abs(pixels_of(views.original).astype(int) - picture.pixels).mean() < 6
    assert not views.calm


def test_the_map_has_the_colours_of_the_overlay_files(tmp_path):
    picture = picture_file(tmp_path)
    shown = pixels_of(make_views(picture, inspection_of(picture)).map)
    colours, _ = suspicion_colours()
    assert np.abs(shown[10, 10] - colours[round(0.2 * 255)]).max() <= 1
    assert np.abs(shown[90, 130] - colours[round(0.9 * 255)]).max() <= 1
    scale = pixels_of(colour_scale())
    assert np.abs(scale[0] - colours).max() <= 1


def test_a_find_of_one_pixel_survives_the_reduction():
    picture = Picture.from_array(np.zeros((3000, 2000, 3), np.uint8))
    localization_map = np.zeros(picture.size_hw, np.float32)
    localization_map[1234, 567] = 1
    views = make_views(picture, inspection_of(picture, maps=[localization_map]))
    assert views.factor == 3
    assert (views.map.width, views.map.height) == (667, 1000)
    colours, _ = suspicion_colours()
    assert np.abs(pixels_of(views.map)[1234 // 3, 567 // 3] - colours[255]).max() <= 1
    (place,) = views.close_ups
    x1, y1, x2, y2 = place.region_box_xyxy
    assert x1 <= 567 < x2
    assert y1 <= 1234 < y2
    assert place.highest == 1


def test_close_ups_hold_the_pixels_of_the_picture(tmp_path):
    picture = picture_file(tmp_path)
    region = Region((100, 60, 160, 120), "splicing", 0.7)
    views = make_views(picture, inspection_of(picture, regions=[region]))
    (close_up,) = views.close_ups
    assert close_up.box_xyxy == (84, 44, 176, 136)
    assert np.array_equal(pixels_of(close_up.picture), picture.pixels[44:136, 84:176])
    assert close_up.region == region.to_json()
    assert close_up.mean == pytest.approx(0.9)


def test_a_large_region_is_shown_around_its_highest_value():
    picture = Picture.from_array(np.random.default_rng(0).integers(0, 256, (900, 1000, 3), np.uint8))
    localization_map = np.full(picture.size_hw, 0.4, np.float32)
    localization_map[700, 800] = 1
    inspection = inspection_of(
        picture, maps=[localization_map], regions=[Region((0, 0, 1000, 900), None, 0.7)]
    )
    (close_up,) = make_views(picture, inspection).close_ups
    assert close_up.box_xyxy == (640, 540, 960, 860)
    assert np.array_equal(pixels_of(close_up.picture), picture.pixels[540:860, 640:960])


def test_the_surest_regions_come_first_and_the_rest_is_counted(tmp_path):
    picture = picture_file(tmp_path)
    regions = [Region((x, 0, x + 9, 9), None, x / 100) for x in range(10, 100, 10)]
    views = make_views(picture, inspection_of(picture, regions=regions))
    scores = [close_up.region["score"] for close_up in views.close_ups]
    assert scores == sorted((region.score for region in regions), reverse=True)[:MOST_REGIONS]
    assert views.regions_left_out == len(regions) - MOST_REGIONS


def test_places_without_regions_are_where_the_map_is_high(tmp_path):
    picture = picture_file(tmp_path, size=(800, 600))
    inspection = inspection_of(picture, maps=[high_map(picture.size_hw, (500, 300, 620, 420))])
    first, *others = make_views(picture, inspection).close_ups
    x1, y1, x2, y2 = first.region_box_xyxy
    assert x1 <= 500 < 620 <= x2
    assert y1 <= 300 < 420 <= y2
    for other in others:
        assert other.mean <= first.mean
        a, b, c, d = other.region_box_xyxy
        assert c <= x1 or a >= x2 or d <= y1 or b >= y2, "places overlap"


def test_a_calm_map_has_no_places(tmp_path):
    picture = picture_file(tmp_path)
    views = make_views(picture, inspection_of(picture, maps=[np.full(picture.size_hw, 0.05, np.float32)]))
    assert views.calm
    assert views.close_ups == ()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 900), (900, 1), (2, 5000)])
def test_odd_shapes_can_be_shown(size_hw):
    picture = Picture.from_array(np.zeros((*size_hw, 3), np.uint8))
    maps = [np.full(size_hw, 0.5, np.float32)]
    views = make_views(picture, inspection_of(picture, maps=maps))
    for close_up in views.close_ups:
        x1, y1, x2, y2 = close_up.region_box_xyxy
        assert 0 <= x1 < x2 <= size_hw[1]
        assert 0 <= y1 < y2 <= size_hw[0]


def test_two_witnesses_are_compared_and_one_is_not(tmp_path):
    picture = picture_file(tmp_path)
    left, right = high_map(picture.size_hw, (0, 0, 120, 180)), high_map(picture.size_hw, (60, 0, 240, 180))
    views = make_views(picture, inspection_of(picture, maps=[left, right]))
    assert len(views.witness_maps) == 2
    agreement = views.agreement
    assert agreement.names == ("mantranet", "constrained-rcnn")
    assert (agreement.both, agreement.first, agreement.second) == pytest.approx((0.25, 0.25, 0.5))
    assert np.array_equal(
        pixels_of(agreement.view),
        pixels_of(make_views(picture, inspection_of(picture, maps=[np.minimum(left, right)])).map),
    )
    alone = make_views(picture, inspection_of(picture))
    assert alone.agreement is None
    assert alone.witness_maps == ()


def test_a_search_is_not_asked_whether_it_agrees(tmp_path):
    """Its map is dark wherever it found nothing, and that was shown as a disagreement of the first two."""
    picture = picture_file(tmp_path)
    light = high_map(picture.size_hw, (0, 0, 240, 180))
    inspection = inspection_of(picture, maps=[light, light, np.zeros(picture.size_hw, np.float32)])
    mantranet, rcnn, search = inspection.witnesses
    mixed = make_views(picture, replace(inspection, witnesses=(search, rcnn, mantranet)))
    assert mixed.agreement.names == ("constrained-rcnn", "mantranet")
    assert mixed.agreement.both == 1
    of_one = make_views(picture, replace(inspection, witnesses=(mantranet, search)))
    assert of_one.agreement is None
    assert len(of_one.witness_maps) == 2
