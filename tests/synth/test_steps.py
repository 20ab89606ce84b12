import io
import json

import numpy as np
import pytest
from PIL import Image

from doctored.core.read_image import read_image
from doctored.synth.masks import Window
from doctored.synth.steps import (
    Frame,
    Grain,
    Recolour,
    Resize,
    Save,
    Sharpen,
    Trim,
    encode,
    follow,
    quantisation_tables,
    saved,
    step_from_recipe,
    step_to_recipe,
    window_before,
)

EVERY_STEP = [
    Save("jpeg", 80, "flat", "4:4:4"),
    Resize(0.7, "lanczos"),
    Trim(3, 5),
    Frame(4, 7, 32),
    Sharpen(0.3),
    Grain(1.5, 77),
    Recolour((0.9, 1.0, 1.1), 1.2, 0.8),
]


def photo(size_hw, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: type(step).__name__)
def test_a_step_comes_back_from_json_and_does_the_same(step):
    entry = json.loads(json.dumps(step_to_recipe(step)))
    assert step_from_recipe(entry) == step
    pixels = photo((64, 64))
    first, again = (follow(pixels, [], [one])[0] for one in (step, step_from_recipe(entry)))
    np.testing.assert_array_equal(first, again)
    assert first.shape != pixels.shape or not np.array_equal(first, pixels)


@pytest.mark.parametrize("tables", ["standard", "flat", "steep", "nikon_d90"])
def test_tables_arrive_in_the_file_in_natural_order(tables):
    save = Save("jpeg", 70, tables, "4:4:4")
    with Image.open(io.BytesIO(encode(photo((16, 16)), save))) as picture:
        written = [list(picture.quantization[0]), list(picture.quantization[1])]
    assert written == quantisation_tables(save)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_subsampling_is_that_of_the_file(subsampling, tmp_path):
    path = tmp_path / "one.jpg"
    path.write_bytes(encode(photo((32, 32)), Save("jpeg", 70, "canon_eos_d60", subsampling)))
    assert read_image(path).jpeg.subsampling == subsampling


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


def test_a_frame_surrounds_the_picture_and_is_authentic():
    pixels = photo((20, 24))
    image, (mask,) = follow(pixels, [np.ones((20, 24), bool)], [Frame(5, 3, 32)])
    assert (image[:5] == 32).all()
    assert (image[:, :3] == 32).all()
    np.testing.assert_array_equal(image[5:, 3:], pixels)
    assert mask.sum() == 20 * 24
    assert mask[5:, 3:].all()


@pytest.mark.parametrize("factor", [0.6, 1.3])
def test_a_resize_keeps_mask_and_picture_together(factor):
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:60, 30:80] = 255
    for name in ("area", "bilinear", "bicubic", "lanczos"):
        image, (mask,) = follow(pixels, [pixels[..., 0] > 0], [Resize(factor, name)])
        assert image.shape == (100 * factor, 100 * factor, 3)
        assert np.count_nonzero(mask != (image[..., 0] > 127)) <= 10


def test_sharpening_steepens_an_edge_and_leaves_flats():
    pixels = np.full((20, 20, 3), 100, np.uint8)
    pixels[:, 10:] = 150
    image, _ = follow(pixels, [], [Sharpen(0.5)])
    assert image[5, 10, 0] > 150
    assert image[5, 9, 0] < 100
    assert image[5, 0, 0] == 100


def test_grain_has_the_strength_asked_for():
    image, _ = follow(np.full((64, 64, 3), 128, np.uint8), [], [Grain(2.0, 5)])
    assert image.std() == pytest.approx(2.0, rel=0.05)
    assert image.mean() == pytest.approx(128, abs=0.1)


def test_recolouring_by_hand():
    grey = np.full((1, 1, 3), 100, np.uint8)
    image, _ = follow(grey, [], [Recolour((1.5, 1.0, 0.5), 1.0, 1.0)])
    np.testing.assert_array_equal(image[0, 0], (150, 100, 50))
    image, _ = follow(image, [], [Recolour((1.0, 1.0, 1.0), 1.0, 0.0)])
    np.testing.assert_array_equal(image[0, 0], round(0.299 * 150 + 0.587 * 100 + 0.114 * 50))
    image, _ = follow(grey, [], [Recolour((1.0, 1.0, 1.0), 2.0, 1.0)])
    np.testing.assert_array_equal(image[0, 0], round(255 * (100 / 255) ** 2))


def test_a_window_is_found_where_its_content_was():
    steps = (Trim(5, 2), Resize(0.5, "area"), Frame(6, 4, 0))
    inside = np.zeros((96, 96), bool)
    window = window_before(Window(13, 8, 33, 28), steps)
    inside[window.top : window.bottom, window.left : window.right] = True
    _, (mask,) = follow(np.zeros((96, 96, 3), np.uint8), [inside], steps)
    expected = np.zeros_like(mask)
    expected[13:33, 8:28] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_large_pictures_are_saved_too(monkeypatch, format):
    pixels, save = photo((60, 80)), Save(format, 90)
    expected = saved(pixels, save)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(saved(pixels, save), expected)
    assert Image.MAX_IMAGE_PIXELS == 100
