"""What the EXIF block of a file says about camera, software and dates. Anyone can write or remove it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

LARGEST_THUMBNAIL = 1 << 20
"""In bytes; a larger one counts as none."""

_LONGEST_TEXT = 200
_HEADER = b"Exif\0\0"


@dataclass(frozen=True)
class ExifFacts:
    """Facts of an EXIF block, each None where it states none.

    Texts are one line of at most 200 characters, without control characters, and otherwise as stored: whoever shows
    them must escape them. Dates are texts too ("2024:05:01 12:30:00+02:00"), since many files hold invalid ones.

    Attributes:
        readable: False if there is a block that cannot be parsed; everything else is then None.
        camera: Make and model.
        lens: Model of the lens.
        software: The program, or firmware, that wrote the file last.
        taken: When the picture was taken.
        digitised: When it was digitised.
        changed: When the file was last changed.
        author: Photographer or owner.
        has_position: Whether there is a GPS position.
        position: Degrees north and east of it; None if it is incomplete.
        thumbnail: The embedded JPEG file.
    """

    readable: bool = True
    camera: str | None = None
    lens: str | None = None
    software: str | None = None
    taken: str | None = None
    digitised: str | None = None
    changed: str | None = None
    author: str | None = None
    has_position: bool = False
    position: tuple[float, float] | None = None
    thumbnail: bytes | None = None

    @classmethod
    def from_block(cls, block: bytes, *, with_thumbnail: bool = True) -> ExifFacts:
        """The facts of an EXIF block.

        Args:
            block: As stored, with or without its header; a whole TIFF file is one too.
            with_thumbnail: Whether a second directory holds a thumbnail and not, as in TIFF files, the next page.
        """
        exif = Image.Exif()
        try:
            exif.load(block)
            main = dict(exif)
            details = exif.get_ifd(ExifTags.IFD.Exif)
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
            second = exif.get_ifd(ExifTags.IFD.IFD1) if with_thumbnail else {}
        except Exception:  # Pillow raises nearly everything on damaged blocks
            return cls(readable=False)
        tags, gps_tags = ExifTags.Base, ExifTags.GPS
        return cls(
            camera=_camera(_text(main.get(tags.Make)), _text(main.get(tags.Model))),
            lens=_text(details.get(tags.LensModel)),
            software=_text(main.get(tags.Software)),
            taken=_date(details, tags.DateTimeOriginal, tags.OffsetTimeOriginal),
            digitised=_date(details, tags.DateTimeDigitized, tags.OffsetTimeDigitized),
            changed=_text(main.get(tags.DateTime)),
            author=_text(main.get(tags.Artist)),
            has_position=gps_tags.GPSLatitude in gps or gps_tags.GPSLongitude in gps,
            position=_position(gps),
            thumbnail=_thumbnail(block, second),
        )


def _text(value: Any) -> str | None:
    """A value as one line of text; None if it is no text, or an empty one."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")  # many programs write UTF-8, Pillow reads Latin-1
    return one_line(value.split("\0")[0]) or None


def one_line(text: str) -> str:
    """What a file says of itself as one line of at most 200 characters, without control characters."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_LONGEST_TEXT]


def _camera(make: str | None, model: str | None) -> str | None:
    """Make and model, without the make twice."""
    if make and model and not model.casefold().startswith(make.casefold()):
        return f"{make} {model}"
    return model or make


def _date(details: Mapping[int, Any], date_tag: int, offset_tag: int) -> str | None:
    date = _text(details.get(date_tag))
    return date and date + (_text(details.get(offset_tag)) or "")


def _position(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    tags = ExifTags.GPS
    north = _degrees(gps.get(tags.GPSLatitude), gps.get(tags.GPSLatitudeRef) == "S")
    east = _degrees(gps.get(tags.GPSLongitude), gps.get(tags.GPSLongitudeRef) == "W")
    return None if north is None or east is None else (north, east)


def _degrees(value: Any, negative: bool) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    angle = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(angle):
        return None
    return -angle if negative else angle


def _thumbnail(block: bytes, directory: Mapping[int, Any]) -> bytes | None:
    offset = directory.get(ExifTags.Base.JpegIFOffset)
    length = directory.get(ExifTags.Base.JpegIFByteCount)
    if not (isinstance(offset, int) and isinstance(length, int) and 0 < length <= LARGEST_THUMBNAIL):
        return None
    start = offset + (len(_HEADER) if block.startswith(_HEADER) else 0)
    return block[start : start + length] or None
