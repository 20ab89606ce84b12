import io

import numpy as np
import pytest
from PIL import Image

from core.made_files import exif_block, jpeg_bytes, scene
from doctored.core.exif_facts import ExifFacts, one_line
from doctored.core.read_image import decode_image

MAIN = {271: "Nikon", 272: "NIKON D750", 305: "Photoshop 25.1", 306: "2024:05:02 09:11:00", 315: "A. Person"}
DETAILS = {
    0x9003: "2024:05:01 17:00:12",
    0x9011: "+02:00",
    0x9004: "2024:05:01 17:00:13",
    0xA434: "50 mm f/1.8",
}
GPS = {1: "S", 2: (33.0, 51.0, 36.0), 3: "W", 4: (70.0, 30.0, 0.0)}
PIXELS = scene(64, 48)
FACTS = ExifFacts(
    camera="NIKON D750",
    lens="50 mm f/1.8",
    software="Photoshop 25.1",
    taken="2024:05:01 17:00:12+02:00",
    digitised="2024:05:01 17:00:13",
    changed="2024:05:02 09:11:00",
    author="A. Person",
    has_position=True,
    position=(-33.86, -70.5),
)


def saved(image_format, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, image_format, **options)
    return decode_image(f"photo.{image_format.lower()}", file.getvalue())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_facts_are_those_that_were_written(image_format):
    facts = saved(image_format, exif=exif_block(MAIN, DETAILS, GPS)).exif
    assert facts.position == pytest.approx(FACTS.position)
    assert facts.camera == FACTS.camera
    assert facts.has_position
    names = ("lens", "software", "taken", "digitised", "changed", "author", "readable", "thumbnail")
    assert [getattr(facts, name) for name in names] == [getattr(FACTS, name) for name in names]


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
def test_a_file_without_facts_has_none(image_format):
    assert saved(image_format).exif is None


def test_make_and_model_are_joined_once():
    assert ExifFacts.from_block(exif_block({271: "Canon", 272: "Canon EOS R5"})).camera == "Canon EOS R5"
    assert ExifFacts.from_block(exif_block({271: "SONY", 272: "ILCE-7M3"})).camera == "SONY ILCE-7M3"
    assert ExifFacts.from_block(exif_block({271: "SONY"})).camera == "SONY"


def test_the_thumbnail_is_the_file_that_was_embedded():
    thumbnail = jpeg_bytes(PIXELS)
    block = exif_block(MAIN, thumbnail=thumbnail)
    assert ExifFacts.from_block(block).thumbnail == thumbnail
    assert ExifFacts.from_block(block.removeprefix(b"Exif\0\0")).thumbnail == thumbnail
    assert ExifFacts.from_block(block, with_thumbnail=False).thumbnail is None


@pytest.mark.parametrize("length", [0, 1, 5, 9, 14, 30, 60])
def test_a_block_that_is_cut_off_is_not_readable_or_loses_facts_but_raises_nothing(length):
    facts = ExifFacts.from_block(exif_block(MAIN, DETAILS, GPS)[:length])
    assert facts.position is None


def test_random_bytes_raise_nothing():
    rng = np.random.default_rng(0)
    block = exif_block(MAIN, DETAILS, GPS, jpeg_bytes(PIXELS))
    for _ in range(200):
        damaged = bytearray(block)
        for position in rng.integers(6, len(MAIN) * 40, 5):
            damaged[position] = rng.integers(256)
        assert isinstance(ExifFacts.from_block(bytes(damaged)), ExifFacts)
    assert not ExifFacts.from_block(b"Exif\0\0no such thing").readable


def test_a_picture_with_a_damaged_block_is_read_and_says_so():
    picture = decode_image("photo.jpg", jpeg_bytes(PIXELS, exif=b"Exif\0\0no such thing"))
    assert picture.exif == ExifFacts(readable=False)


def test_texts_are_one_line_of_bounded_length():
    facts = ExifFacts.from_block(exif_block({305: "a\r\n\tb\x07c" + "x" * 300, 315: "   "}))
    assert facts.software == ("a b c" + "x" * 300)[:200]
    assert facts.author is None
    assert one_line("a\u202eb\u0000c") == "a b c"


def test_utf_8_is_read_as_such():
    assert ExifFacts.from_block(exif_block({315: "Zoë 中".encode()})).author == "Zoë 中"


def test_half_a_position_is_none():
    facts = ExifFacts.from_block(exif_block(gps={1: "N", 2: (1.0, 2.0, 3.0)}))
    assert facts.has_position
    assert facts.position is None
