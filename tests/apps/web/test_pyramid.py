import io

import numpy as np
import pytest
from PIL import Image

from core.made_files import scene
from doctored.apps.outputs import overlay_bands, suspicion_colours
from doctored.apps.web import pyramid


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [((1, 1), 0), ((512, 512), 0), ((513, 1), 1), ((1024, 1024), 1), ((1025, 3), 2), ((2049, 9), 3)],
)
def test_halvings_until_it_fits_into_one_tile(size_hw, expected):
    assert pyramid.halvings(size_hw) == expected
    assert -(-max(size_hw) // 2**expected) <= pyramid.TILE_PX


@pytest.fixture
def written(tmp_path):
    """A picture of 3 x 2 tiles with two maps, and its folder."""
    pixels = scene(1100, 700)
    maps = {
        name: np.random.default_rng(seed).random((700, 1100), np.float32)
        for seed, name in enumerate(("answer", "mantranet"))
    }
    pyramid.write_pyramid(tmp_path, pixels, maps)
    return tmp_path, pixels, maps


def decoded(view):
    with Image.open(io.BytesIO(view.data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def all_tiles(folder, kind, map_name, columns, rows):
    return np.concatenate(
        [
            np.concatenate(
                [decoded(pyramid.tile(folder, kind, map_name, 0, c, r, None)) for c in range(columns)], axis=1
            )
            for r in range(rows)
        ]
    )


def test_tiles_put_together_are_the_picture_without_loss(written):
    folder, pixels, _ = written
    assert np.array_equal(all_tiles(folder, "picture", "answer", 3, 2), pixels)


@pytest.mark.parametrize("name", ["answer", "mantranet"])
def test_tiles_of_a_map_have_its_colours(written, name):
    folder, _, maps = written
    colours = np.rint(suspicion_colours()[0])[np.rint(maps[name] * 255).astype(int)]
    assert np.array_equal(all_tiles(folder, "map", name, 3, 2), colours)


def test_tiles_of_the_overlay_are_what_detect_writes(written):
    folder, pixels, maps = written
    expected = np.concatenate(list(overlay_bands(pixels, maps["mantranet"])))
    assert np.array_equal(all_tiles(folder, "overlay", "mantranet", 3, 2), expected)


def test_halved_tiles_keep_the_highest_value(tmp_path):
    answer = np.zeros((600, 600), np.float32)
    answer[301, 77] = 1
    pyramid.write_pyramid(tmp_path, np.zeros((600, 600, 3), np.uint8), {"answer": answer})
    found = decoded(pyramid.tile(tmp_path, "map", "answer", 1, 0, 0, None))
    assert found.shape == (300, 300, 3)
    brightest = np.unravel_index(found.sum(axis=2).argmax(), (300, 300))
    assert brightest == (150, 38)


def test_there_is_no_tile_outside(written):
    folder, _, _ = written
    for kind in ("picture", "map", "overlay"):
        assert pyramid.tile(folder, kind, "answer", 0, 3, 0, None) is None
        assert pyramid.tile(folder, kind, "answer", 0, 0, 2, None) is None
        assert pyramid.tile(folder, kind, "answer", 3, 0, 0, None) is None


def test_tiles_carry_the_colour_profile(written):
    view = pyramid.tile(written[0], "picture", "answer", 0, 0, 0, b"a profile")
    with Image.open(io.BytesIO(view.data)) as image:
        assert image.info["icc_profile"] == b"a profile"
