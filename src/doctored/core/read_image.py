"""From a path to a picture or a mask: bounded, read once, and one sentence if it cannot be read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, JpegImagePlugin

from doctored.core.decoding import decode_upright, open_picture, pillow_limit_lifted, stored_bit_depth
from doctored.core.errors import (
    ConfigError,
    DataError,
    DoctoredError,
    ImageReadError,
    ShapeError,
    TooLargeError,
)
from doctored.core.exif_facts import ExifFacts
from doctored.core.image_formats import CAMERA_RAW, recognise, webp_size_wh
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture

_Outcome = TypeVar("_Outcome")

MASK_CONVENTIONS = ("auto", "white", "black", "one")
"""How masks say which pixels are manipulated; see `read_mask`."""


def read_image(
    path: str | os.PathLike[str], *, max_megapixels: float = 400, max_megabytes: float = 500
) -> Picture:
    """Read a picture file as it was stored: upright RGB pixels, no colour management, no blending.

    JPEG, PNG, WebP, AVIF, TIFF, BMP and GIF, and HEIC with the extra `heif`. Grey becomes RGB, a palette is
    looked up, alpha is dropped (what lies under transparent pixels shows; only TIFF files with premultiplied
    alpha have it divided out), CMYK is converted without its profile and read as inverted in JPEG files, as
    Adobe writes them. Of several pictures or frames the first is read. An EXIF block that cannot be parsed
    counts as no orientation. The file is read into memory once, so pixels and hash belong together.

    Grey of more than 8 bits is scaled to 0..255 and rounded. Of deep RGB pixels only the high byte is known to
    Pillow, so these are cut off instead, which differs by at most 1.

    Args:
        path: The file.
        max_megapixels: Largest accepted picture in millions of pixels, checked before any is decoded.
        max_megabytes: Largest accepted file in millions of bytes, checked before it is read.

    Raises:
        ImageReadError: The file is missing, too large, damaged, cut off, or of a kind that is not read.
        MissingExtraError: It is a HEIC file and the package that decodes those is not installed.
        ConfigError: A limit is not positive.
    """
    for limit, value in (("max_megapixels", max_megapixels), ("max_megabytes", max_megabytes)):
        if not value > 0:
            raise ConfigError(f"{limit} must be a positive number, got {value}")
    name = os.fsdecode(path)
    return decode_image(name, read_file(name, max_megabytes), max_megapixels=max_megapixels)


def decode_image(name: str, data: bytes, *, max_megapixels: float = 400) -> Picture:
    """Decode a picture file that is in memory already, as `read_image` does.

    Args:
        name: What messages call it; its ending helps to spot camera RAW files.
        data: The whole file.
        max_megapixels: As for `read_image`.

    Raises:
        ImageReadError: As for `read_image`, and so is the other error.
    """
    return _read(name, data, lambda image_format: _decode(name, data, image_format, max_megapixels))


def check_header(name: str, data: bytes, *, max_megapixels: float = 400) -> None:
    """Refuse a picture file that is no picture or too large, without decoding it.

    `decode_image` may still find out that the rest of it is damaged.

    Args:
        name: As for `decode_image`.
        data: The whole file.
        max_megapixels: As for `read_image`.

    Raises:
        ImageReadError: As for `read_image`, and so is the other error.
    """

    def check(image_format: str) -> None:
        with _opened(name, data, image_format, max_megapixels):
            pass

    _read(name, data, check)


def _read(name: str, data: bytes, read: Callable[[str], _Outcome]) -> _Outcome:
    """What `read` makes of a file whose format it is given; whatever goes wrong is one sentence."""
    image_format, description = recognise(data, Path(name).suffix.lower())
    if image_format is None:
        raw = description == CAMERA_RAW
        advice = (
            "convert it to TIFF or JPEG first"
            if raw
            else "give a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or HEIC"
        )
        raise ImageReadError(f"{name} is {description}, not a picture that can be read; {advice}")
    try:
        return read(image_format)
    except DoctoredError:
        raise
    except MemoryError as error:
        raise ImageReadError(
            f"{name} does not fit into memory; close other programs, or leave it out"
        ) from error
    except Exception as error:  # decoders raise nearly everything on damaged files
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageReadError(
            f"{name} looks like {image_format} but is damaged, cut off or of a rare variant ({detail}); "
            "get a complete copy, or save it as PNG first"
        ) from error


def read_file(name: str, max_megabytes: float) -> bytes:
    """The bytes of a file of limited size, whatever it holds.

    Args:
        name: Its path.
        max_megabytes: Largest accepted file in millions of bytes, checked before it is read.

    Raises:
        ImageReadError: It is missing, empty, too large, no regular file, or still being written.
    """
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise ImageReadError(f"{name} is a folder, not a picture; name the files in it")
        if not stat.S_ISREG(status.st_mode):
            # Opening a pipe would wait for a writer, and a device may never end.
            raise ImageReadError(f"{name} is a device or pipe, not a file; save the picture to disk first")
        if status.st_size > max_megabytes * 1e6:
            raise TooLargeError(
                f"{name} has {status.st_size / 1e6:.4g} MB, more than the limit of {max_megabytes:g} MB",
                "max_megabytes",
            )
        with open(name, "rb") as file:
            data = file.read(status.st_size + 1)  # one more, to notice a file that is still being written
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageReadError(
            f"{name} cannot be opened ({reason}); check the path and its permissions"
        ) from error
    if not data:
        raise ImageReadError(f"{name} is empty (0 bytes), not a picture; get a complete copy of it")
    if len(data) != status.st_size:
        raise ImageReadError(f"{name} changed while it was read; try again once it is complete")
    return data


def _decode(name: str, data: bytes, image_format: str, max_megapixels: float) -> Picture:
    with _opened(name, data, image_format, max_megapixels) as image:
        mode, bit_depth = image.mode, stored_bit_depth(image, data)
        jpeg = JpegFacts.from_header(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None
        pixels, orientation, stored_size_hw = decode_upright(name, image, bit_depth)
        icc_profile = image.info.get("icc_profile")
        exif = _exif(image, image_format, data)
    return Picture(
        pixels=pixels,
        path=name,
        format=image_format,
        stored_size_hw=stored_size_hw,
        orientation=orientation,
        bit_depth=bit_depth,
        mode=mode,
        icc_profile=icc_profile if isinstance(icc_profile, bytes) else None,
        jpeg=jpeg,
        exif=exif,
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
    )


@contextmanager
def _opened(
    name: str, data: bytes, image_format: str, max_megapixels: float
) -> Iterator[ImageFile.ImageFile]:
    """A picture file with its header read and its size checked."""
    if image_format == "WEBP":
        _check_megapixels(name, webp_size_wh(data), max_megapixels)  # opening it already reserves the memory
    with pillow_limit_lifted(), open_picture(name, data, image_format) as image:
        _check_megapixels(name, image.size, max_megapixels)
        yield image


def _exif(image: Image.Image, image_format: str, data: bytes) -> ExifFacts | None:
    if image_format == "TIFF":  # the file itself is laid out like an EXIF block
        facts = ExifFacts.from_block(data, with_thumbnail=False)
        return facts if facts != ExifFacts() else None
    block = image.info.get("exif")
    return ExifFacts.from_block(block) if isinstance(block, bytes) and block else None


def _check_megapixels(name: str, size_wh: tuple[int, int], max_megapixels: float) -> None:
    width, height = size_wh
    if width * height > max_megapixels * 1e6:
        raise TooLargeError(
            f"{name} is {width} x {height} pixels ({width * height / 1e6:.1f} megapixels), more than the "
            f"limit of {max_megapixels:g}",
            "max_megapixels",
        )


def read_mask(
    path: str | os.PathLike[str],
    size_hw: tuple[int, int] | None = None,
    *,
    convention: str = "auto",
    threshold: int = 127,
    max_megapixels: float = 400,
    max_megabytes: float = 500,
) -> npt.NDArray[np.bool_]:
    """Read a ground-truth mask: True where the picture was manipulated.

    The file is read as `read_image` reads it and turned to grey.

    Args:
        path: The mask file.
        size_hw: Height and width of the picture it belongs to; not checked if None.
        convention: "white" (True above the threshold), "black" (True up to the threshold), "one" (0 for authentic
            and 1 for manipulated, in at most 8 bits), or "auto": "one" if the file is lossless and its largest value
            is 1, where "white" would find nothing at all; else "white".
        threshold: For "white" and "black", 0..255.
        max_megapixels: As for `read_image`.
        max_megabytes: As for `read_image`.

    Returns:
        (H, W) bool.

    Raises:
        ShapeError: The mask's size is not size_hw.
        DataError: The convention is "one" and a value is larger.
        ConfigError: There is no such convention, or as for `read_image`.
        ImageReadError: As for `read_image`, and so are the other errors.
    """
    if convention not in MASK_CONVENTIONS:
        raise ConfigError(f"a mask's convention is one of {', '.join(MASK_CONVENTIONS)}; got {convention!r}")
    picture = read_image(path, max_megapixels=max_megapixels, max_megabytes=max_megabytes)
    if size_hw is not None and picture.size_hw != tuple(size_hw):
        raise ShapeError(
            f"the mask {picture.path} is {picture.size_hw} (height, width) but its picture is "
            f"{tuple(size_hw)}; pair it with the picture it was drawn for"
        )
    grey: npt.NDArray[np.uint8] = np.asarray(Image.fromarray(picture.pixels).convert("L"))
    if convention == "auto":
        # Compression leaves ones in the black of a JPEG file.
        convention = "one" if picture.format != "JPEG" and grey.max() == 1 else "white"
    if convention == "one":
        if grey.max() > 1:
            raise DataError(
                f"{picture.path} should hold 0 and 1 only, but holds {grey.max()}; it follows another convention"
            )
        threshold = 0
    return np.less_equal(grey, threshold) if convention == "black" else np.greater(grey, threshold)
