"""The reader of pictures and masks, in all formats."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

import mutations
from core.made_files import HEIC, exif_block, scene
from doctored.core.read_image import check_header, decode_image, read_mask
from parser import Parser, Reader, file_reader

MEGAPIXELS = 4

_SAVED = (
    *(
        ("RGB", "JPEG", {"quality": 60}),
        ("RGB", "JPEG", {"progressive": True, "quality": 50, "subsampling": 2}),
    ),
    *(("L", "JPEG", {}), ("CMYK", "JPEG", {}), ("RGB", "PNG", {}), ("P", "PNG", {"transparency": 0})),
    *(
        ("1", "PNG", {}),
        ("I;16", "PNG", {}),
        ("LA", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "WEBP", {"quality": 40}),
    ),
    *(
        ("RGB", "WEBP", {"lossless": True}),
        ("RGBA", "WEBP", {}),
        ("RGB", "AVIF", {"quality": 40}),
        ("RGB", "BMP", {}),
    ),
    *(("P", "BMP", {}), ("1", "BMP", {}), ("P", "GIF", {}), ("L", "GIF", {}), ("RGB", "TIFF", {})),
    *(("RGB", "TIFF", {"compression": "tiff_lzw"}), ("RGB", "TIFF", {"compression": "tiff_adobe_deflate"})),
    *(("1", "TIFF", {"compression": "group4"}), ("RGB", "TIFF", {"compression": "jpeg"})),
    *(
        ("RGB", "TIFF", {"compression": "packbits"}),
        ("I;16", "TIFF", {}),
        ("CMYK", "TIFF", {}),
        ("LAB", "TIFF", {}),
    ),
)


def picture_files() -> list[bytes]:
    """A small file of every format and of most of their variants."""
    pixels = Image.fromarray(scene(24, 16))
    exif = exif_block(
        {0x010F: "Maker", 0x0112: 6}, {0x9003: "2024:05:01 12:30:00"}, {1: "N", 2: (1.0, 2.0, 3.0)}
    )
    files = []
    for mode, image_format, options in _SAVED:
        image = (
            Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24) * 170)
            if mode == "I;16"
            else pixels.convert("LAB")
            if mode == "LAB"
            else pixels.convert(mode)
        )
        files.append(saved(image, image_format, **options))
    files += [saved(pixels, image_format, exif=exif) for image_format in ("JPEG", "PNG", "WEBP", "AVIF")]
    frames = [pixels, pixels.rotate(90)]
    files += [
        saved(frames[0], kind, save_all=True, append_images=frames)
        for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
    ]
    files.append(saved(pixels, "MPO", save_all=True, append_images=frames[1:]))
    return [*files, HEIC]


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def _picture(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        check_header("a.jpg", data, max_megapixels=MEGAPIXELS)
        return decode_image("a.jpg", data, max_megapixels=MEGAPIXELS)

    return read


PARSERS = [
    Parser("picture", _picture, picture_files, mutations.picture),
    Parser(
        "mask",
        file_reader("mask", lambda path: read_mask(path, max_megapixels=MEGAPIXELS)),
        lambda: picture_files()[4:8],
        mutations.picture,
    ),
]
