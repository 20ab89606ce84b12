import io
import json

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ShapeError
from doctored.core.read_image import read_image
from doctored.synth.histories import (
    DOMAIN_SHARES,
    History,
    Origin,
    Resize,
    Save,
    Sharpen,
    Trim,
    draw_history,
    encode,
    follow,
    jpeg_tables,
    render,
    saved,
    smallest_side_px,
)

PHOTO_SIZES = [(112, 112), (120, 300), (256, 200), (600, 800)]
SIZE_PX = 96


def photo(size_hw, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def draws(count, seed=0):
    rng = np.random.default_rng(seed)
    for number in range(count):
        host_hw, donor_hw = PHOTO_SIZES[number % 4], PHOTO_SIZES[number // 4 % 4]
        yield host_hw, donor_hw, draw_history(rng, host_hw, donor_hw, SIZE_PX)


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 98])
def test_standard_tables_are_those_of_libjpeg(quality):
    file = io.BytesIO(encode(photo((16, 16)), Save("jpeg", quality)))
    with Image.open(file) as picture:
        tables = picture.quantization
    assert [tables[0], tables[1]] == jpeg_tables(Save("jpeg", quality))


@pytest.mark.parametrize(("tables", "flatter"), [("flat", True), ("steep", False)])
def test_bent_tables_arrive_in_the_file_in_natural_order(tables, flatter):
    save = Save("jpeg", 70, tables, "4:4:4")
    with Image.open(io.BytesIO(encode(photo((16, 16)), save))) as picture:
        written = [list(picture.quantization[0]), list(picture.quantization[1])]
    assert written == jpeg_tables(save)
    luma, standard = written[0], jpeg_tables(Save("jpeg", 70))[0]
    assert (luma[0] > standard[0]) == flatter
    assert sum(luma) == pytest.approx(sum(standard), rel=0.03)


def test_saving_reads_back_what_read_image_reads(tmp_path):
    pixels = photo((40, 56))
    for number, save in enumerate((Save("jpeg", 80, "flat", "4:2:0"), Save("jpeg", 95), Save("webp", 70))):
        path = tmp_path / f"{number}.{save.format}"
        path.write_bytes(encode(pixels, save))
        np.testing.assert_array_equal(saved(pixels, save), read_image(path).pixels)


def test_a_trim_moves_picture_and_masks_alike():
    pixels = photo((32, 40))
    image, (mask,) = follow(pixels, [pixels[..., 0] > 128], [Trim(3, 5)])
    np.testing.assert_array_equal(image, pixels[3:, 5:])
    np.testing.assert_array_equal(mask, pixels[3:, 5:, 0] > 128)


def test_a_resize_keeps_mask_and_picture_together():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:60, 30:80] = 255
    for name in ("area", "bilinear", "bicubic", "lanczos"):
        image, (mask,) = follow(pixels, [pixels[..., 0] > 0], [Resize(0.6, name)])
        assert image.shape == (60, 60, 3)
        assert np.count_nonzero(mask != (image[..., 0] > 127)) <= 6


def test_sharpening_steepens_an_edge_and_leaves_flats():
    pixels = np.full((20, 20, 3), 100, np.uint8)
    pixels[:, 10:] = 150
    image, _ = follow(pixels, [], [Sharpen(0.5)])
    assert image[5, 10, 0] > 150
    assert image[5, 9, 0] < 100
    assert image[5, 0, 0] == 100


def test_every_history_can_be_followed_to_its_crop():
    for host_hw, donor_hw, history in draws(120):
        canvas = render(photo(host_hw), history.host)
        assert canvas.shape == (history.host.canvas_px, history.host.canvas_px, 3)
        assert render(photo(donor_hw), history.donor).shape == canvas.shape
        image, _ = follow(canvas, [], history.after)
        for start, side in zip(history.crop_yx, image.shape[:2], strict=True):
            assert 0 <= start <= side - SIZE_PX
        for origin, size_hw in ((history.host, host_hw), (history.donor, donor_hw)):
            assert all(
                start + origin.region_px <= side for start, side in zip(origin.start_yx, size_hw, strict=True)
            )


def test_hosts_lie_on_the_grid_and_donors_anywhere():
    histories = [history for *_, history in draws(200)]
    assert all(start % 16 == 0 for history in histories for start in history.host.start_yx)
    assert len({start % 16 for history in histories for start in history.donor.start_yx}) > 12
    assert len({history.crop_yx[0] % 8 for history in histories}) == 8


def test_domains_come_by_their_shares_and_do_what_they_say():
    histories = [history for *_, history in draws(400, seed=1)]
    for domain, share in DOMAIN_SHARES.items():
        assert np.mean([history.domain == domain for history in histories]) == pytest.approx(share, abs=0.08)
    for history in histories:
        saves = [step for step in history.after if isinstance(step, Save)]
        if history.domain == "lossless":
            assert history.after == history.host.steps == history.donor.steps == ()
            assert history.host.region_px == history.host.canvas_px
        elif history.domain == "web":
            assert [70 <= save.quality <= 95 for save in saves] == [True]
        else:
            assert len(history.host.steps) + len(saves) >= 2


def test_a_large_web_host_is_reduced_as_pictures_for_the_web_are():
    rng = np.random.default_rng(2)
    scales = []
    for _ in range(50):
        host = draw_history(rng, (600, 800), (600, 800), SIZE_PX, "web").host
        scales.append(host.canvas_px / host.region_px)
    assert 0.24 < min(scales) < 0.35
    assert 0.5 < max(scales) <= 0.61


def test_the_window_is_what_the_crop_shows():
    steps = (Trim(5, 2), Resize(0.5, "area"))
    origin = Origin((0, 0), 96, 96, "area", ())
    history = History("chain", origin, origin, steps, (7, 4), 20)
    inside = np.zeros((96, 96), bool)
    window = history.window
    inside[window.top : window.bottom, window.left : window.right] = True
    _, (mask,) = follow(np.zeros((96, 96, 3), np.uint8), [inside], steps)
    expected = np.zeros_like(mask)
    expected[7:27, 4:24] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_history_is_plain_json():
    for *_, history in draws(30):
        recipe = history.to_recipe()
        assert json.loads(json.dumps(recipe)) == recipe or "steps" in recipe["host"]
        assert all("step" in step for step in recipe["after"])


def test_a_photograph_that_is_too_small_is_named():
    assert smallest_side_px(SIZE_PX) == 112
    with pytest.raises(ShapeError, match="donor is 111 x 300"):
        draw_history(np.random.default_rng(0), (112, 112), (111, 300), SIZE_PX)
