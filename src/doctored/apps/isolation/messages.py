"""What the two processes say to each other: a length, that much JSON, and raw bytes of lengths stated in it.

The answers come from a process that a hostile file may have taken over. So nothing in them is executed, unpickled or
believed: every value is checked for type, range and length before anything is made of it, and what is not as it should
be raises ValueError.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from doctored.core.exif_facts import LARGEST_THUMBNAIL, ExifFacts
from doctored.core.jpeg_facts import SUBSAMPLINGS, JpegFacts

if TYPE_CHECKING:
    from doctored.core.picture import Picture

LONGEST_ANSWER = 1 << 16
LONGEST_TEXT = 1000
LONGEST_PROFILE = 1 << 24
"""In bytes; a longer profile may come from a file that is longer itself."""

_LENGTH = struct.Struct(">I")
_FORMATS = frozenset({"AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"})
_EXIF_TEXTS = ("camera", "lens", "software", "taken", "digitised", "changed", "author")
_EXIF_FLAGS = ("readable", "has_position")
_EXIF_NAMES = (*_EXIF_TEXTS, *_EXIF_FLAGS, "position")
_LARGEST_NUMBER = 1e300
# A date and its offset, of 200 characters each.
_LONGEST_EXIF_TEXT = 400


def send(stream: BinaryIO | IO[bytes], message: dict[str, Any], *blobs: Any) -> None:
    """Write a message and raw bytes after it.

    Args:
        stream: Buffered or not.
        message: Plain JSON types.
        blobs: Bytes or contiguous arrays; their lengths are for the message to state.
    """
    text = json.dumps(message, allow_nan=False).encode("ascii")
    stream.write(_LENGTH.pack(len(text)) + text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def receive(stream: BinaryIO | IO[bytes], longest: int | None = None) -> dict[str, Any]:
    """Read a message without the raw bytes after it.

    Args:
        stream: Buffered.
        longest: Most bytes of JSON; None for a sender that is trusted.

    Raises:
        ValueError: It is no such message, or longer.
        EOFError: The stream ends before it does.
    """
    (length,) = _LENGTH.unpack(read_exactly(stream, _LENGTH.size))
    if longest is not None and length > longest:
        raise ValueError(f"a message of {length} bytes")
    try:
        message = json.loads(read_exactly(stream, length), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("a message that is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError(f"a message that is a {type(message).__name__}")
    return message


def read_exactly(stream: BinaryIO | IO[bytes], length: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: There are fewer.
    """
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(f"a number that is {name}")


def facts_of(picture: Picture) -> dict[str, Any]:
    """What is sent of a picture, before its pixels, its profile and its thumbnail as raw bytes."""
    exif = picture.exif
    return {
        "size_hw": list(picture.size_hw),
        "stored_size_hw": list(picture.stored_size_hw),
        "format": picture.format,
        "orientation": picture.orientation,
        "bit_depth": picture.bit_depth,
        "mode": picture.mode,
        "profile_bytes": None if picture.icc_profile is None else len(picture.icc_profile),
        "thumbnail_bytes": None if exif is None or exif.thumbnail is None else len(exif.thumbnail),
        "jpeg": None if picture.jpeg is None else _jpeg_json(picture.jpeg),
        "exif": None if exif is None else {name: getattr(exif, name) for name in _EXIF_NAMES},
    }


def _jpeg_json(jpeg: JpegFacts) -> dict[str, Any]:
    # Pillow's tables are arrays of another integer type in some versions.
    tables = [[int(step) for step in table] for table in jpeg.quantization_tables]
    return asdict(jpeg) | {"quantization_tables": tables}


class CheckedFacts:
    """The facts of a picture as another process states them, checked.

    Args:
        facts: As `facts_of` makes them, or anything else.
        max_megapixels: Most pixels of the picture, in millions.
        file_bytes: Length of its file.

    Attributes:
        size_hw: Height and width.
        profile_bytes: Length of the profile; None if there is none.
        thumbnail_bytes: Length of the thumbnail; None likewise.

    Raises:
        ValueError: Something is not as it should be.
    """

    def __init__(self, facts: Any, max_megapixels: float, file_bytes: int) -> None:
        most_pixels = int(max_megapixels * 1e6)
        self._facts = a_dict(facts)
        self.size_hw = _size(facts.get("size_hw"), most_pixels)
        self._stored_size_hw = _size(facts.get("stored_size_hw"), most_pixels)
        self._format = one_of(facts.get("format"), _FORMATS)
        self._orientation = whole(facts.get("orientation"), 1, 8)
        self._bit_depth = whole(facts.get("bit_depth"), 1, 64)
        self._mode = text(facts.get("mode"), 16)
        longest = max(file_bytes, LONGEST_PROFILE)
        self.profile_bytes = or_none(facts.get("profile_bytes"), lambda value: whole(value, 0, longest))
        self.thumbnail_bytes = or_none(
            facts.get("thumbnail_bytes"), lambda value: whole(value, 1, LARGEST_THUMBNAIL)
        )
        self._jpeg = or_none(facts.get("jpeg"), _jpeg)
        self._exif = or_none(facts.get("exif"), lambda value: _exif_values(a_dict(value)))
        if self._exif is None and self.thumbnail_bytes is not None:
            raise ValueError("a thumbnail without an EXIF block")

    def picture(
        self,
        pixels: Any,
        profile: bytes | None,
        thumbnail: bytes | None,
        name: str,
        sha256: str,
        file_bytes: int,
    ) -> Picture:
        """The picture.

        Args:
            pixels: (H, W, 3) uint8.
            profile: As announced.
            thumbnail: As announced.
            name: What the caller calls it.
            sha256: Of its file, worked out by the caller.
            file_bytes: Likewise.
        """
        from doctored.core.picture import Picture

        return Picture(
            pixels=pixels,
            path=name,
            format=self._format,
            stored_size_hw=self._stored_size_hw,
            orientation=self._orientation,
            bit_depth=self._bit_depth,
            mode=self._mode,
            icc_profile=profile,
            jpeg=self._jpeg,
            exif=None if self._exif is None else ExifFacts(**self._exif, thumbnail=thumbnail),
            sha256=sha256,
            file_bytes=file_bytes,
        )


def _jpeg(value: Any) -> JpegFacts:
    facts = a_dict(value)
    tables = a_list(facts.get("quantization_tables"), 4)
    sampling = a_list(facts.get("sampling_hv"), 4)
    if not tables:
        raise ValueError("no quantization table")
    return JpegFacts(
        quantization_tables=tuple(
            tuple(whole(step, 0, 65535) for step in a_list(table, 64, 64)) for table in tables
        ),
        sampling_hv=tuple(_pair(factors, 0, 255) for factors in sampling),
        subsampling=one_of(facts.get("subsampling"), SUBSAMPLINGS),
        progressive=flag(facts.get("progressive")),
    )


def _exif_values(facts: dict[str, Any]) -> dict[str, Any]:
    texts = {
        name: or_none(facts.get(name), lambda value: text(value, _LONGEST_EXIF_TEXT)) for name in _EXIF_TEXTS
    }
    flags = {name: flag(facts.get(name)) for name in _EXIF_FLAGS}
    return texts | flags | {"position": or_none(facts.get("position"), _position)}


def _position(value: Any) -> tuple[float, float]:
    north, east = a_list(value, 2, 2)
    return _finite(north), _finite(east)


def _size(value: Any, most_pixels: int) -> tuple[int, int]:
    height, width = _pair(value, 1, most_pixels)
    if height * width > most_pixels:
        raise ValueError(f"a picture of {height} x {width} pixels")
    return height, width


def _pair(value: Any, least: int, most: int) -> tuple[int, int]:
    first, second = a_list(value, 2, 2)
    return whole(first, least, most), whole(second, least, most)


def credentials_of(value: Any) -> dict[str, Any]:
    """The checked fields of Content Credentials."""
    from doctored.apps.report.content_credentials import CREDENTIAL_STATES

    facts = a_dict(value)
    names = {name: or_none(facts.get(name), text) for name in ("signer", "generator")}
    failures = tuple(text(failure) for failure in a_list(facts.get("failures"), 100))
    state = one_of(facts.get("state"), frozenset(CREDENTIAL_STATES))
    return {"state": state, "sentence": text(facts.get("sentence")), "failures": failures} | names


def a_dict(value: Any) -> dict[str, Any]:
    """The value, if it is an object."""
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def a_list(value: Any, longest: int, shortest: int = 0) -> list[Any]:
    """The value, if it is a list of such a length."""
    if not (isinstance(value, list) and shortest <= len(value) <= longest):
        raise ValueError(f"no list of {shortest} to {longest}")
    return value


def whole(value: Any, least: int, most: int) -> int:
    """The value, if it is a whole number in a range."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"no whole number of {least} to {most}")
    return value


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < _LARGEST_NUMBER:  # which is false of NaN, too
        raise ValueError("no number")
    return float(value)


def flag(value: Any) -> bool:
    """The value, if it is true or false."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """The value, if it is one line of such a length without control characters."""
    if not (isinstance(value, str) and len(value) <= longest and value.isprintable()):
        raise ValueError(f"no line of up to {longest} characters")
    return value


def one_of(value: Any, known: frozenset[str]) -> str:
    """The value, if it is one of some words."""
    if not (isinstance(value, str) and value in known):
        raise ValueError("an unknown word")
    return value


def or_none(value: Any, check: Callable[[Any], Any]) -> Any:
    """The checked value; None stays None."""
    return None if value is None else check(value)
