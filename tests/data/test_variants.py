import io

import numpy as np
import pytest
from PIL import Image

from doctored.core.picture import Picture
from doctored.data.variants import short_sides, variants

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
PICTURE = Picture.from_array(PIXELS)


def test_short_sides_grow_by_the_root_of_two_and_then_by_two():
    assert short_sides(300) == [64, 91, 128, 181, 256]
    assert short_sides(64) == []
    assert short_sides(65) == [64]
    assert short_sides(3000)[4:] == [256, 512, 1024, 2048]


def test_small_ones_come_in_pairs_without_and_with_loss():
    small = list(variants(PICTURE))
    for side, lossless, saved in zip(short_sides(300), small[::2], small[1::2], strict=True):
        assert lossless.pixels.shape == saved.pixels.shape == (side, round(side * 4 / 3), 3)
        assert lossless.jpeg_quality is None
        assert not np.array_equal(lossless.pixels, saved.pixels)


def test_large_ones_take_turns():
    large = Picture.from_array(np.random.default_rng(1).integers(0, 256, (2100, 2200, 3), np.uint8))
    found = [(min(one.pixels.shape[:2]), one.jpeg_quality is None) for one in variants(large)]
    assert found[10:] == [(512, False), (1024, True), (2048, False)]


def test_lossless_ones_are_windows_or_reductions():
    kinds = set()
    for seed in range(4):
        for variant in list(variants(PICTURE, seed))[::2]:
            height, width, _ = variant.pixels.shape
            windows = np.lib.stride_tricks.sliding_window_view(PIXELS[..., 0], (height, 1))[:, :, :, 0]
            column = (windows == variant.pixels[:, 0, 0]).all(axis=2)
            reduced = np.asarray(Image.fromarray(PIXELS).resize((width, height), Image.Resampling.LANCZOS))
            is_window = bool(column.any())
            assert is_window or np.array_equal(variant.pixels, reduced)
            kinds.add(is_window)
    assert kinds == {True, False}


def test_they_are_what_a_file_of_that_quality_would_hold():
    """Estimated from the header that was written, and decoded by the decoder of `read_image`."""
    lossless, saved, *_ = variants(PICTURE)
    candidates = []
    for quality in range(70, 101):
        for subsampling in ("4:2:0", "4:4:4"):
            file = io.BytesIO()
            Image.fromarray(lossless.pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
            if np.array_equal(np.asarray(Image.open(file)), saved.pixels):
                candidates.append(quality)
    assert len(candidates) == 1
    assert saved.jpeg_quality == pytest.approx(candidates[0], abs=1)


def test_a_seed_and_a_picture_decide_everything():
    def digest(picture: Picture, seed: int) -> list[bytes]:
        return [variant.pixels.tobytes() for variant in variants(picture, seed)]

    assert digest(PICTURE, 1) == digest(PICTURE, 1)
    assert digest(PICTURE, 1) != digest(PICTURE, 2)
    other = Picture.from_array(PIXELS[:, ::-1])
    shapes = [len(one) for one in digest(other, 1)]
    assert shapes == [len(one) for one in digest(PICTURE, 1)]


def test_qualities_favour_the_upper_end():
    tiny = [Picture.from_array(np.full((65, 65, 3), value, np.uint8)) for value in range(256)]
    qualities = [list(variants(picture, seed))[1].jpeg_quality for picture in tiny for seed in range(2)]
    assert min(qualities) < 72
    # 100 - 30 u^2 has the median 92.5.
    assert 91 < np.median(qualities) < 94
