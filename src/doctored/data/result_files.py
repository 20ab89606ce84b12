"""Bytes of the files in which commands describe what they made and what they made it from."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.data.photographs import Photograph


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask as the bytes of a grey PNG file: 255 where True, else 0."""
    file = io.BytesIO()
    Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(file, "PNG")
    return file.getvalue()


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as the bytes of a CSV file; names of files that are no text are written with escapes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def fingerprint(photographs: Iterable[Photograph]) -> str:
    """A hash of the names and sizes of files, which tells whether a folder still is the same."""
    lines = [f"{photograph.file} {photograph.path.stat().st_size}\n" for photograph in photographs]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def as_text(name: str) -> str:
    """A name of a file; bytes of it that are no text, as old disks have them, are written as escapes.

    Example:
        >>> as_text("caf\\udce9.jpg")
        'caf\\\\udce9.jpg'
    """
    return name.encode("utf-8", "backslashreplace").decode()
