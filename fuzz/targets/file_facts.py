"""What a report reads from a picture's file apart from its pixels."""

import io
import json
import random
import struct
from dataclasses import replace
from pathlib import Path

from PIL import Image

import mutations
from apps.report.signing import signed_file
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.isolation import messages
from doctored.apps.report.content_credentials import read_content_credentials
from doctored.apps.report.file_evidence import gather_file_evidence
from doctored.core.double_compression import double_compression
from doctored.core.errors import ImageReadError
from doctored.core.exif_facts import ExifFacts
from doctored.core.read_image import decode_image
from doctored.core.thumbnail import compare_thumbnail
from parser import Parser, Reader
from targets.pictures import MEGAPIXELS, picture_files, saved

_EXIF = {
    "main": {
        0x010F: "Maker",
        0x0110: "Maker One",
        0x0112: 6,
        0x0131: "firmware",
        0x0132: "2024:05:01 12:30:00",
    },
    "details": {0x9003: "2024:05:01 12:30:00", 0x9011: "+02:00", 0xA434: "50 mm"},
    "gps": {1: "N", 2: (1.0, 2.0, 3.0), 3: "W", 4: (4.0, 5.0, 6.0)},
}


def _evidence(folder: Path) -> Reader:
    """Everything that a report says of a file."""
    path = folder / "picture"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        evidence = gather_file_evidence(
            decode_image(str(path), data, max_megapixels=MEGAPIXELS), show_position=True
        )
        for title, text in evidence.sentences():
            if not (title + text).isprintable():
                raise AssertionError(f"a report says {text!r}")
        return json.dumps(evidence.to_json(), allow_nan=False)

    return read


def _exif(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        return ExifFacts.from_block(data), ExifFacts.from_block(data, with_thumbnail=False)

    return read


def _thumbnail(folder: Path) -> Reader:
    picture = decode_image("a.jpg", jpeg_bytes(scene(96, 64)))

    def read(data: bytes) -> object:
        return compare_thumbnail(replace(picture, exif=ExifFacts(thumbnail=data)))

    return read


def _double_compression(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        return double_compression(decode_image("a.jpg", data, max_megapixels=MEGAPIXELS))

    return read


def _credentials(folder: Path) -> Reader:
    path = folder / "picture"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return read_content_credentials(decode_image(str(path), data, max_megapixels=MEGAPIXELS)).to_json()

    return read


def _evidence_files() -> list[bytes]:
    """Pictures with EXIF blocks, thumbnails and colour profiles."""
    from PIL import ImageCms

    thumbnail = jpeg_bytes(scene(24, 16), quality=50)
    block = exif_block(**_EXIF, thumbnail=thumbnail)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = Image.fromarray(scene(48, 32))
    return [
        *(saved(pixels, kind, exif=block, icc_profile=profile) for kind in ("JPEG", "PNG", "WEBP")),
        *picture_files()[::3],
    ]


def _large_jpegs() -> list[bytes]:
    """With enough blocks to look for an earlier save."""
    once = jpeg_bytes(scene(200, 200), quality=50)
    again = decode_image("a.jpg", once).pixels
    return [once, jpeg_bytes(again, quality=85), jpeg_bytes(again[:, :, 0], quality=85)]


def _isolated(folder: Path) -> Reader:
    """What a process that a hostile file took over may answer."""

    def read(data: bytes) -> object:
        try:
            message = messages.receive(io.BytesIO(data), messages.LONGEST_ANSWER)
            facts = messages.CheckedFacts(message, MEGAPIXELS, len(data))
            return facts.picture(None, None, None, "a.jpg", "", len(data))
        except (ValueError, EOFError) as error:
            raise ImageReadError("the answer is none") from error

    return read


def _answer() -> bytes:
    stream = io.BytesIO()
    messages.send(stream, messages.facts_of(decode_image("a.jpg", _evidence_files()[0])))
    return stream.getvalue()


def _answers(data: bytes, rng: random.Random) -> bytes:
    """Values of the answer, whose stated length stays right."""
    text = mutations.json_values(data[4:], rng)
    return struct.pack(">I", len(text)) + text


PARSERS = [
    Parser("file-evidence", _evidence, _evidence_files, mutations.picture),
    Parser(
        "exif",
        _exif,
        lambda: [exif_block(**_EXIF, thumbnail=b"\xff\xd8\xff\xd9"), exif_block()],
        mutations.tiff_entries,
    ),
    Parser(
        "thumbnail",
        _thumbnail,
        lambda: [jpeg_bytes(scene(24, 16)), jpeg_bytes(scene(16, 24)), *picture_files()[4:12]],
    ),
    Parser("double-compression", _double_compression, _large_jpegs),
    Parser("isolated-facts", _isolated, lambda: [_answer()], _answers),
    Parser("content-credentials", _credentials, lambda: [signed_file(scene(48, 32))[0]]),
]
