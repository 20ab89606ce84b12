import io

import pytest
from PIL import Image

from doctored.core.image_formats import recognise, webp_size_wh


def written(image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 7)).save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_formats_are_told_from_content_whatever_the_name(image_format: str) -> None:
    for suffix in ("", ".jpg", ".txt"):
        assert recognise(written(image_format), suffix) == (image_format, "")


def file_type_box(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x08meta"


@pytest.mark.parametrize(
    ("data", "suffix", "expected"),
    [
        (file_type_box(b"avif", b"mif1"), "", ("AVIF", "")),
        (file_type_box(b"mif1", b"miaf", b"avif"), "", ("AVIF", "")),
        (file_type_box(b"mif1", b"miaf", b"heic"), "", ("HEIF", "")),
        (file_type_box(b"heic", b"mif1"), "", ("HEIF", "")),
        (file_type_box(b"crx ", b"isom"), "", (None, "a camera RAW file")),
        (file_type_box(b"isom", b"avc1"), "", (None, "a video or audio file")),
        (file_type_box(b"qt  "), "", (None, "a video or audio file")),
        (b"RIFF\0\0\0\0AVI LIST", "", (None, "a video or audio file")),
        (b"\x1aE\xdf\xa3\0\0", "", (None, "a video or audio file")),
        (b"%PDF-1.7\n", "", (None, "a PDF document")),
        (b"8BPS\0\1", "", (None, "a Photoshop document")),
        (b"II*\0\x10\0\0\0CR\2\0", "", (None, "a camera RAW file")),
        (b"II*\0\x08\0\0\0", ".nef", (None, "a camera RAW file")),
        (b"II*\0\x08\0\0\0", ".tif", ("TIFF", "")),
        (b"\xff\xd8\xff\xe0", ".nef", ("JPEG", "")),
        (b"FUJIFILMCCD-RAW 0201", "", (None, "a camera RAW file")),
        (b"\xff\0\x01\x02", ".kdc", (None, "a camera RAW file")),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "", (None, "an SVG drawing")),
        (b"<!DOCTYPE html><p>", "", (None, "a web page")),
        ("Grüße, no picture".encode(), "", (None, "a text file")),
        (b"a" * 1023 + "é".encode(), "", (None, "a text file")),
        (b"PK\x03\x04\x14", "", (None, "a ZIP archive or office document")),
        (b"\x01\x02\x03\xff\xfe", "", (None, "a file of an unknown kind")),
        (b"\0" * 64, "", (None, "a file of an unknown kind")),
    ],
)
def test_what_is_not_read_is_called_by_its_name(
    data: bytes, suffix: str, expected: tuple[str | None, str]
) -> None:
    assert recognise(data, suffix) == expected


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}])
def test_a_webp_file_states_its_size_in_each_of_three_headers(options: dict[str, object]) -> None:
    data = written("WEBP", **options)
    assert webp_size_wh(data) == (5, 7)
    with pytest.raises(ValueError, match="size"):
        webp_size_wh(data[:25])
