"""Picture files with known contents, put together byte by byte where Pillow has no way to."""

import base64
import io
import struct

import numpy as np
from PIL import ExifTags, Image

# 24 x 16 pixels in four flat quarters, written by x265 with full chroma.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAa5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "AA5waXRtAAAAAAACAAAAEGlkYXQAAAAAABgAEAAAADhpbG9jAQAAAERAAAIAAQAAAAAAAAHSAAEAAAAAAAAAmgACAAEAAAAAAAAA"
    "AQAAAAAAAAAIAAAAOGlpbmYAAAAAAAIAAAAVaW5mZQIAAAEAAQAAaHZjMQAAAAAVaW5mZQIAAAAAAgAAZ3JpZAAAAADZaXBycAAA"
    "ALdpcGNvAAAAd2h2Y0MBBAgAAAAAAAAAAAAe8AD8//j4AAAPAyAAAQAXQAEMAf//BAgAAAMAnjgAAAMAAB66AkAhAAEAKkIBAQQI"
    "AAADAJ44AAADAAAekAQQILLdVdNc3AgIGBAAAAMAEAAAAwAQgCIAAQAIRAHBcxgwGJAAAAAUaXNwZQAAAAAAAABAAAAAQAAAABRp"
    "c3BlAAAAAAAAABgAAAAQAAAAEHBpeGkAAAAAAwgICAAAABppcG1hAAAAAAAAAAIAAQKBAgACAgOEAAAAGmlyZWYAAAAAAAAADmRp"
    "bWcAAgABAAEAAACibWRhdAAAAJYoAa8GMhsaDIBdQcV288///3nvQ9nMf03mZ/55/+9DR18wrlG4AW/75uEgD7tV8Mmqxmqt+P1w"
    "fsbD9KgEwDR81zm2rCCizzy1aCfx49gtHtaDwBz9cQfstH5WT7z/7OZQbVbQXVVyc5ntG5B3CgVNJJ+RP4g88X2T56+r9D/rAw8w"
    "uzHqCAXjevWcFKmpiDJjm20TZDA="
)


def scene(width=480, height=360, seed=0):
    """A picture with edges, slopes and noise at all scales, without saturated pixels; (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (4, 8, 16, 32, 64, 128):
        small = rng.normal(0, 1, (cells * height // width + 2, cells, 3))
        planes = [
            np.asarray(Image.fromarray(small[:, :, c]).resize((width, height), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        total += np.stack(planes, axis=2) * 40 / cells**0.5
    total += 25 * (np.indices((height, width)).sum(axis=0) // 60 % 2)[:, :, None]
    total += rng.normal(0, 2, total.shape)
    return np.clip(110 + total, 5, 250).astype(np.uint8)


def jpeg_bytes(pixels, **options):
    """The pixels as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def exif_block(main=None, details=None, gps=None, thumbnail=None):
    """An EXIF block with its header; Pillow writes the tags, and the second directory is appended by hand."""
    exif = Image.Exif()
    exif.update(main or {0x010E: "x"})
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    tiff = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
    if thumbnail is not None:
        order = "<" if tiff[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, first)
        tiff += b"\0" * (len(tiff) % 2)
        struct.pack_into(order + "I", tiff, first + 2 + 12 * count, len(tiff))
        data_at = len(tiff) + 2 + 2 * 12 + 4
        tiff += struct.pack(order + "H", 2)
        tiff += struct.pack(order + "HHII", 0x0201, 4, 1, data_at)
        tiff += struct.pack(order + "HHII", 0x0202, 4, 1, len(thumbnail))
        tiff += struct.pack(order + "I", 0) + thumbnail
    return b"Exif\0\0" + bytes(tiff)
