"""From the bytes of a picture file to upright RGB pixels, through Pillow's decoders alone.

Pillow's readers are called directly and not through `Image.open`, which would also try formats that run
other programs (EPS) and would apply Pillow's limit on pixels where the caller's counts.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from doctored.core.errors import ImageReadError, MissingExtraError

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "AVIF": AvifImagePlugin.AvifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,  # of multi-picture and gain-map files it reads the first picture
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
_GREY_MODES = {"L", "LA"}
_DEEP_GREY_MODES = {"I;16", "I;16B"}
_RGB_MODES = {"RGB", "RGBA", "RGBX"}
_CONVERTED_MODES = {"1", "P", "PA", "CMYK", "YCbCr"}
_MODES = _GREY_MODES | _DEEP_GREY_MODES | _RGB_MODES | _CONVERTED_MODES

_ORIENTATION_TAG = 0x0112
_NEW_SUBFILE_TYPE_TAG = 0x00FE
_DNG_VERSION_TAG = 0xC612
_WHITE_IS_ZERO = 0
_SEPARATE_PLANES = 2

_BAND_PIXELS = 1 << 18


def open_picture(name: str, data: bytes, image_format: str) -> ImageFile.ImageFile:
    """Parse the header of a picture file; nothing is decoded yet.

    Raises:
        MissingExtraError: The format needs a package that is not installed.
        Exception: Nearly any, if the file is damaged.
    """
    if image_format != "HEIF":
        return _READERS[image_format](io.BytesIO(data))
    try:
        import pi_heif
    except ImportError as error:
        raise MissingExtraError(f"reading {name}", "heif") from error
    return cast(ImageFile.ImageFile, pi_heif.HeifImageFile(io.BytesIO(data)))


def stored_bit_depth(image: ImageFile.ImageFile, data: bytes) -> int:
    """Bits per channel in the file; 8 for colours that come from a palette."""
    if image.mode in ("P", "PA"):
        return 8
    if isinstance(image, PngImagePlugin.PngImageFile):
        return data[
            24
        ]  # the header chunk is always the first: signature, length, "IHDR", width, height, depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
    if isinstance(image, AvifImagePlugin.AvifImageFile):
        flags = data[data.index(b"av1C") + 6]
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    return int(image.info.get("bit_depth", 8))


def decode_upright(
    name: str, image: ImageFile.ImageFile, bit_depth: int
) -> tuple[npt.NDArray[np.uint8], int, tuple[int, int]]:
    """Decode an opened picture.

    Args:
        name: The file's name, for messages.
        image: As `open_picture` returned it.
        bit_depth: As `stored_bit_depth` returned it.

    Returns:
        (H, W, 3) uint8 RGB, upright; the orientation that was applied, 1..8; height and width as stored.

    Raises:
        ImageReadError: The picture is stored in a way that Pillow would show wrongly.
        Exception: Nearly any, if the file is damaged.
    """
    if image.mode not in _MODES:
        raise ImageReadError(
            f"{name} stores pixels that have no fixed 8-bit RGB values (Pillow's mode {image.mode}); "
            "save it as 8-bit or 16-bit RGB or grey first"
        )
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _decode_upright_tiff(name, image, bit_depth)
    stored_size_hw = image.height, image.width
    image.load()
    # Only now, because a PNG file may state its orientation after its pixels.
    orientation = _exif_orientation(image)
    return _copy_upright(image, orientation, bit_depth), orientation, stored_size_hw


def _decode_upright_tiff(
    name: str, image: TiffImagePlugin.TiffImageFile, bit_depth: int
) -> tuple[npt.NDArray[np.uint8], int, tuple[int, int]]:
    tags = image.tag_v2
    if _DNG_VERSION_TAG in tags or tags.get(_NEW_SUBFILE_TYPE_TAG, 0) & 1:
        raise ImageReadError(
            f"{name} is a camera RAW file, or begins with a thumbnail as those do; "
            "convert it to TIFF or JPEG first"
        )
    separate = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE_PLANES
    if separate and bit_depth > 8 and image.tile[0].codec_name == "raw":
        # Pillow reads such planes as if they had 8 bits: no error, and noise for a picture.
        raise ImageReadError(
            f"{name} is an uncompressed TIFF with separate planes of {bit_depth} bits per colour, "
            "which is not read; save it with interleaved colours first"
        )
    stored_size_hw = int(tags[TiffImagePlugin.IMAGELENGTH]), int(tags[TiffImagePlugin.IMAGEWIDTH])
    orientation = _valid_orientation(tags.get(_ORIENTATION_TAG))
    # Pillow turns TIFF pictures itself while it decodes them. It would also follow an orientation in the XMP
    # packet, which other readers ignore.
    image.info.pop("xmp", None)
    image.load()
    pixels = _copy_upright(image, 1, bit_depth)
    if (
        image.mode in _DEEP_GREY_MODES
        and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    ):
        np.invert(pixels, out=pixels)  # Pillow inverts such pictures only up to 8 bits
    return pixels, orientation, stored_size_hw


def _exif_orientation(image: ImageFile.ImageFile) -> int:
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return _valid_orientation(exif.get(_ORIENTATION_TAG))
    except Exception:
        return 1  # an EXIF block that cannot be parsed states no orientation; the picture itself may be fine


def _valid_orientation(tag: object) -> int:
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def _copy_upright(image: Image.Image, orientation: int, bit_depth: int) -> npt.NDArray[np.uint8]:
    """Copy a decoded picture into an upright RGB array, in bands to hold no third copy of it."""
    width, height = image.size
    # Alpha that a palette or a colour key defines; Pillow would warn that converting to RGB loses it.
    image.info.pop("transparency", None)
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = as_stored(upright, orientation)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        stored[top:bottom] = _rgb_values(image.crop((0, top, width, bottom)), bit_depth)
    return upright


def as_stored(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """A view of an upright picture whose rows and columns run as in the file.

    Args:
        upright: (H, W, 3) uint8.
        orientation: The EXIF orientation that made it upright, 1..8.
    """
    transposed = upright.transpose(1, 0, 2)
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: transposed,
        6: transposed[::-1],
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],
    }[orientation]


def _rgb_values(band: Image.Image, bit_depth: int) -> npt.NDArray[np.uint8]:
    """Values of a band of rows: (rows, W, 3), or (rows, W, 1) for grey; uint8, without alpha."""
    if band.mode in _CONVERTED_MODES:
        return np.asarray(band.convert("RGB"))
    values = np.asarray(band).reshape(band.height, band.width, -1)
    if band.mode in _DEEP_GREY_MODES:
        white = 2**bit_depth - 1
        # 255 x / white, rounded to the nearest.
        scaled: npt.NDArray[np.uint32] = (values.astype(np.uint32) * 510 + white) // (2 * white)
        return scaled.astype(np.uint8)
    return values[:, :, :3] if band.mode in _RGB_MODES else values[:, :, :1]


_limit_lock = threading.Lock()
_limit_holders = 0
_limit_before: int | None = None


@contextmanager
def pillow_limit_lifted() -> Iterator[None]:
    """Switch Pillow's own limit on pixels off while at least one thread is in here.

    Pillow has one limit for the whole process and some of its readers check it anew. It comes back when the
    last thread leaves.
    """
    global _limit_holders, _limit_before
    with _limit_lock:
        if _limit_holders == 0:
            _limit_before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _limit_holders += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_holders -= 1
            if _limit_holders == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before
