import json

import numpy as np
import pytest

from doctored.core.errors import ShapeError
from doctored.core.forgery import Source
from doctored.synth.histories import (
    DOMAIN_SHARES,
    History,
    Origin,
    draw_history,
    draw_jpeg,
    origin_around,
    render,
    smallest_side_px,
)
from doctored.synth.jpeg_tables import camera_tables
from doctored.synth.steps import Frame, Grain, Recolour, Resize, Save, Sharpen, Trim, follow

PHOTO_SIZES = [(112, 112), (120, 300), (256, 200), (600, 800)]
SIZE_PX = 96


def source(size_hw, seed=0, grid_yx=(0, 0)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    return Source("photo.png", "0" * 64, pixels, grid_yx=grid_yx)


def draws(count, seed=0, domain=None):
    rng = np.random.default_rng(seed)
    photographs = [source(size_hw) for size_hw in PHOTO_SIZES]
    for number in range(count):
        host, donor = photographs[number % 4], photographs[number // 4 % 4]
        yield host, donor, draw_history(rng, host, donor, SIZE_PX, domain)


def test_every_history_can_be_followed_to_its_crop():
    for host, donor, history in draws(240):
        canvas = render(host.pixels, history.host)
        assert canvas.shape == (*history.host.canvas_hw, 3)
        assert render(donor.pixels, history.donor).shape == canvas.shape
        image, _ = follow(canvas, [], history.after)
        for start, side in zip(history.crop_yx, image.shape[:2], strict=True):
            assert 0 <= start <= side - SIZE_PX
        for origin, of in ((history.host, host), (history.donor, donor)):
            for start, length, side in zip(origin.start_yx, origin.region_hw, of.size_hw, strict=True):
                assert start >= 0
                assert start + length <= side


def test_hosts_lie_on_the_grid_and_donors_anywhere():
    histories = [history for *_, history in draws(200)]
    assert all(start % 16 == 0 for history in histories for start in history.host.start_yx)
    assert len({start % 16 for history in histories for start in history.donor.start_yx}) > 12
    assert len({history.crop_yx[0] % 8 for history in histories}) == 8


def test_hosts_that_were_turned_start_where_their_blocks_do():
    rng = np.random.default_rng(0)
    host = source((203, 150), grid_yx=(11, 0))
    for _ in range(20):
        top, left = draw_history(rng, host, host, SIZE_PX).host.start_yx
        assert (top % 16, left % 16) == (11, 0)


def test_domains_come_by_their_shares_and_do_what_they_say():
    histories = [history for *_, history in draws(400, seed=1)]
    for domain, share in DOMAIN_SHARES.items():
        assert np.mean([history.domain == domain for history in histories]) == pytest.approx(share, abs=0.08)
    for history in histories:
        saves = [step for step in history.after if isinstance(step, Save)]
        if history.domain == "lossless":
            assert history.after == history.host.steps == history.donor.steps == ()
            assert history.host.region_hw == history.host.canvas_hw
        elif history.domain == "web":
            assert [68 <= save.quality <= 97 for save in saves] == [True]
        else:
            assert len(history.host.steps) + len(saves) >= 2


def test_the_chains_hold_every_kind_of_step():
    steps = [step for *_, history in draws(400, seed=3, domain="chain") for step in history.after]
    assert {type(step) for step in steps} == {Save, Resize, Trim, Frame, Sharpen, Grain, Recolour}
    saves = [step for step in steps if isinstance(step, Save)]
    assert {save.format for save in saves} == {"jpeg", "webp"}
    assert {save.subsampling for save in saves} == {"4:4:4", "4:2:2", "4:2:0"}
    assert any(step.factor > 1 for step in steps if isinstance(step, Resize))


def test_jpeg_saves_use_standard_and_camera_tables():
    rng = np.random.default_rng(0)
    saves = [draw_jpeg(rng, 75, 95) for _ in range(300)]
    of_cameras = [save for save in saves if save.tables in camera_tables()]
    assert 0.2 < len(of_cameras) / 300 < 0.5
    assert len({save.tables for save in of_cameras}) > 12
    assert all(73 <= save.quality <= 97 for save in saves)


def test_a_large_web_host_is_reduced_as_pictures_for_the_web_are():
    rng = np.random.default_rng(2)
    large = source((600, 800))
    scales = [draw_history(rng, large, large, SIZE_PX, "web").host.scale for _ in range(50)]
    assert 0.24 < min(scales) < 0.35
    assert 0.5 < max(scales) <= 0.61


def test_the_window_is_what_the_crop_shows():
    steps = (Trim(5, 2), Resize(0.5, "area"))
    origin = Origin((0, 0), (96, 96), (96, 96), "area", ())
    history = History("chain", origin, origin, steps, (7, 4), 20)
    inside = np.zeros((96, 96), bool)
    window = history.window
    inside[window.top : window.bottom, window.left : window.right] = True
    _, (mask,) = follow(np.zeros((96, 96, 3), np.uint8), [inside], steps)
    expected = np.zeros_like(mask)
    expected[7:27, 4:24] = True
    np.testing.assert_array_equal(mask, expected)


def test_an_outline_moves_with_the_pixels():
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[60:100, 80:160] = 255
    outline = (np.array([[80, 60], [159, 60], [159, 99], [80, 99]], np.int32),)
    base = Origin((0, 0), (112, 112), (112, 112), "area", ())
    for seed in range(10):
        origin = origin_around(base, (200, 300), outline, 0.5, np.random.default_rng(seed))
        canvas = render(pixels, origin)
        (ring,) = origin.on_canvas(outline)
        assert 0.45 < origin.scale < 0.55
        left, top = ring.min(axis=0)
        right, bottom = ring.max(axis=0)
        white = np.argwhere(canvas[..., 0] > 127)
        np.testing.assert_allclose((top, left), white.min(axis=0), atol=1)
        np.testing.assert_allclose((bottom, right), white.max(axis=0), atol=1)


def test_a_history_comes_back_from_json():
    for *_, history in draws(60):
        assert History.from_recipe(json.loads(json.dumps(history.to_recipe()))) == history


def test_a_photograph_that_is_too_small_is_named():
    assert smallest_side_px(SIZE_PX) == 112
    with pytest.raises(ShapeError, match="donor is 111 x 300"):
        draw_history(np.random.default_rng(0), source((112, 112)), source((111, 300)), SIZE_PX)
