import numpy as np
import pytest
from PIL import Image

from core.made_files import exif_block, jpeg_bytes, scene
from doctored.core.errors import ImageReadError
from doctored.core.read_image import decode_image
from doctored.core.thumbnail import compare_thumbnail

PIXELS = scene(480, 360, seed=4)


def small(pixels, width, height):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def compare(pixels, thumbnail_pixels, orientation=1):
    block = exif_block({0x0112: orientation}, thumbnail=jpeg_bytes(thumbnail_pixels, quality=80))
    return compare_thumbnail(decode_image("photo.jpg", jpeg_bytes(pixels, quality=90, exif=block)))


def test_the_thumbnail_of_the_picture_shows_the_same():
    found = compare(PIXELS, small(PIXELS, 160, 120))
    assert found.same_picture is True
    assert found.same_shape
    assert found.turned == 0
    assert found.difference < 4
    assert found.pixels.shape == (120, 160, 3)


def test_brighter_is_the_same_picture():
    brighter = (small(PIXELS, 160, 120) * 0.6 + 90).astype(np.uint8)
    found = compare(PIXELS, brighter)
    assert found.same_picture is True
    assert found.difference < 4


def test_the_thumbnail_of_another_picture_shows_something_else():
    found = compare(PIXELS, small(scene(480, 360, seed=5), 160, 120))
    assert found.same_picture is False
    assert found.turned == 0
    assert found.difference > 8


def test_an_object_that_only_the_thumbnail_has_lowers_the_similarity():
    changed = PIXELS.copy()
    changed[80:280, 100:330] = changed[80:280, 100:330].mean(axis=(0, 1))
    same, other = compare(PIXELS, small(PIXELS, 160, 120)), compare(changed, small(PIXELS, 160, 120))
    assert other.similarity < same.similarity - 0.03
    assert other.difference > 2 * same.difference


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_the_file_holds_for_its_thumbnail_too(orientation):
    found = compare(PIXELS, small(PIXELS, 160, 120), orientation)
    assert found.same_picture is True
    assert found.turned == 0
    assert found.pixels.shape[:2] == ((160, 120) if orientation >= 5 else (120, 160))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_thumbnail_that_was_not_turned_with_its_picture_is_recognised(quarters):
    """Counter-clockwise turns of the picture have to be made up for by the thumbnail, clockwise degrees."""
    found = compare(np.rot90(PIXELS, quarters), small(PIXELS, 160, 120))
    assert found.same_picture is True
    assert found.turned == (360 - 90 * quarters) % 360


def test_bars_around_a_thumbnail_do_not_count():
    wide = scene(480, 270, seed=6)
    barred = np.zeros((120, 160, 3), np.uint8)
    barred[15:105] = small(wide, 160, 90)
    found = compare(wide, barred)
    assert not found.same_shape
    assert found.same_picture is True


def test_a_square_thumbnail_of_the_middle_shows_the_same():
    found = compare(PIXELS, small(PIXELS[:, 60:420], 120, 120))
    assert not found.same_shape
    assert found.same_picture is True


def test_a_picture_that_was_cropped_shows_another_part():
    found = compare(PIXELS[:180, :240], small(PIXELS, 160, 120))
    assert found.same_picture is False


def test_a_single_colour_has_no_similarity():
    found = compare(PIXELS, np.full((120, 160, 3), 80, np.uint8))
    assert found.similarity is None
    assert found.same_picture is None


def test_no_thumbnail_is_none_and_a_damaged_one_a_sentence():
    assert compare_thumbnail(decode_image("photo.jpg", jpeg_bytes(PIXELS))) is None
    block = exif_block({271: "x"}, thumbnail=jpeg_bytes(PIXELS)[:300])
    picture = decode_image("photo.jpg", jpeg_bytes(PIXELS, exif=block))
    with pytest.raises(ImageReadError, match=r"the thumbnail in photo\.jpg looks like JPEG but is damaged"):
        compare_thumbnail(picture)


def test_a_huge_thumbnail_is_refused_before_it_is_decoded():
    block = exif_block(
        {271: "x"}, thumbnail=jpeg_bytes(np.zeros((2100, 2100, 3), np.uint8), quality=1)[:60_000]
    )
    picture = decode_image("photo.jpg", jpeg_bytes(PIXELS, exif=block))
    with pytest.raises(ImageReadError, match="limit of 4"):
        compare_thumbnail(picture)
