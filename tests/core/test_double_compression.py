import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from core.made_files import jpeg_bytes, scene
from doctored.core import double_compression as module
from doctored.core.double_compression import double_compression
from doctored.core.picture import Picture
from doctored.core.read_image import decode_image

SCENES = [scene(seed=seed) for seed in range(3)]


def saved(pixels, *qualities, **options):
    """The picture of a file after one save for each quality."""
    for quality in qualities:
        picture = decode_image("photo.jpg", jpeg_bytes(pixels, quality=quality, **options))
        pixels = picture.pixels
    return picture


@pytest.mark.parametrize("quality", [55, 75, 85, 92, 97])
@pytest.mark.parametrize("scene_pixels", SCENES, ids="abc")
def test_a_single_save_is_none_before(scene_pixels, quality):
    found = double_compression(saved(scene_pixels, quality))
    assert not found.found
    assert found.gain < 0.05


@pytest.mark.parametrize("qualities", [(50, 75), (60, 90), (75, 85), (75, 95), (85, 95)])
@pytest.mark.parametrize("scene_pixels", SCENES, ids="abc")
def test_an_earlier_coarser_save_is_found_with_its_quality(scene_pixels, qualities):
    picture = saved(scene_pixels, *qualities)
    found = double_compression(picture)
    assert found.found
    assert found.earlier_quality == pytest.approx(qualities[0], abs=4)


@pytest.mark.parametrize("qualities", [(90, 75), (75, 75)])
def test_an_earlier_save_of_the_same_or_a_higher_quality_leaves_too_little(qualities):
    """The limit that the report states; if this fails, the wording may say more."""
    assert not double_compression(saved(SCENES[0], *qualities)).found


def test_nothing_is_found_once_the_picture_was_cut_off_the_block_grid():
    first = saved(SCENES[0], 60).pixels
    assert not double_compression(saved(first[3:, 5:], 90)).found


def test_a_picture_that_lies_on_its_side_in_the_file_is_looked_at_as_it_is_stored():
    first = saved(SCENES[0], 60).pixels
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = saved(first, 90, exif=exif)
    assert picture.orientation == 6
    upright = double_compression(saved(first, 90))
    assert double_compression(picture) == upright


def test_grey_files_count_too():
    grey = np.asarray(Image.fromarray(SCENES[0]).convert("L"))
    first = saved(grey, 60).pixels[:, :, 0]
    assert double_compression(saved(first, 90)).found
    assert not double_compression(saved(grey, 90)).found


def test_it_says_nothing_where_it_cannot_tell():
    assert double_compression(Picture.from_array(SCENES[0])) is None
    assert double_compression(saved(SCENES[0][:40, :60], 90)) is None
    assert double_compression(saved(np.full((400, 400, 3), 90, np.uint8), 90)) is None
    assert double_compression(saved(np.full((400, 400, 3), 255, np.uint8), 90)) is None
    assert double_compression(saved(SCENES[0][:3, :60], 90)) is None


def test_colours_that_are_stored_as_rgb_are_not_taken_for_luma():
    assert double_compression(saved(SCENES[0], 60, keep_rgb=True)) is None


def test_the_transform_is_that_of_scipy():
    blocks = np.random.default_rng(1).normal(0, 50, (4, 12, 12)).astype(np.float32)
    expected = dctn(blocks[:, 4:, 4:], axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(module._coefficients(blocks, 4), expected, atol=1e-3)


def test_expected_counts_agree_with_a_slow_simulation():
    rng = np.random.default_rng(2)
    coefficients = np.rint(rng.laplace(0, 25, 200_000)).clip(-1024, 1024)
    histogram = np.bincount((coefficients + 1024).astype(int), minlength=2049).astype(float)
    first = 7 * np.rint(coefficients / 7) + rng.normal(0, 0.4, len(coefficients))
    multiples = np.abs(np.rint(first / 3))
    counted = [(multiples == k).sum() for k in range(1, 16)]
    expected = module._expected_counts(histogram, 7, 3)
    assert np.abs(expected - counted).max() < 4 * np.sqrt(max(counted))


def test_a_step_of_zero_says_nothing():
    """The standard forbids it, but such files open; they ended in a ValueError, and so did their reports."""
    data = jpeg_bytes(scene(200, 200), quality=50)
    table = data.index(b"\xff\xdb") + 5
    changed = data[: table + 2] + b"\0" + data[table + 3 :]
    picture = decode_image("a.jpg", changed)
    assert picture.jpeg is not None
    assert 0 in picture.jpeg.quantization_tables[0]
    assert double_compression(picture) is None
