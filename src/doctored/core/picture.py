"""A picture as it was stored: its pixels, and what its file says about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.exif_facts import ExifFacts
from doctored.core.jpeg_facts import JpegFacts


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels ready for analysis, with the facts a decoder would throw away.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, contiguous, upright (the orientation tag is already applied).
        path: The file as the caller named it; None for an array.
        format: "JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF", or "array".
        stored_size_hw: Height and width in the file, before the orientation was applied.
        orientation: The EXIF orientation tag, 1..8; 1 where there is none.
        bit_depth: Bits per channel in the file.
        mode: Colour layout in the file, in Pillow's words ("RGB", "L", "P", "CMYK", "I;16", ...).
        icc_profile: The embedded colour profile, kept for display and never applied to `pixels`.
        jpeg: Compression facts of a JPEG file; None for every other format.
        exif: What its EXIF block says; None if it has none.
        sha256: Hash of the file's bytes, in hex; of the pixels' bytes for an array.
        file_bytes: Length of the file; of the pixels for an array.
    """

    pixels: npt.NDArray[np.uint8]
    path: str | None
    format: str
    stored_size_hw: tuple[int, int]
    orientation: int
    bit_depth: int
    mode: str
    icc_profile: bytes | None
    jpeg: JpegFacts | None
    exif: ExifFacts | None
    sha256: str
    file_bytes: int

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of `pixels`."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @classmethod
    def from_array(cls, array: npt.NDArray[np.uint8]) -> Picture:
        """A picture that never was a file.

        The pixels are shared with `array` where its layout allows, so change neither afterwards.

        Args:
            array: uint8, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGB and alpha; alpha is dropped.

        Raises:
            ConfigError: array is no NumPy array, or not uint8.
            ShapeError: array has no pixels, or another number of axes or channels.

        Example:
            >>> Picture.from_array(np.zeros((4, 6), np.uint8)).pixels.shape
            (4, 6, 3)
        """
        if not isinstance(array, np.ndarray):
            raise ConfigError(
                f"a picture must be a NumPy array, got {type(array).__name__}; convert it first"
            )
        if array.dtype != np.uint8:
            advice = (
                "scale it to 0..255, round it and call .astype(numpy.uint8)"
                if np.issubdtype(array.dtype, np.floating)
                else "convert it with .astype(numpy.uint8) once its values lie in 0..255"
            )
            raise ConfigError(f"a picture must be uint8 with values 0..255, got {array.dtype}; {advice}")
        channels = 1 if array.ndim == 2 else array.shape[-1]
        if array.ndim not in (2, 3) or (array.ndim == 3 and channels not in (3, 4)):
            raise ShapeError(
                f"a picture must be (H, W), (H, W, 3) or (H, W, 4), got {array.shape}; "
                "put the channels last and pass one picture at a time"
            )
        if array.size == 0:
            raise ShapeError(f"a picture needs at least one pixel, got {array.shape}")
        rgb = np.repeat(array[:, :, None], 3, axis=2) if array.ndim == 2 else array[:, :, :3]
        pixels = np.ascontiguousarray(rgb)
        return cls(
            pixels=pixels,
            path=None,
            format="array",
            stored_size_hw=(pixels.shape[0], pixels.shape[1]),
            orientation=1,
            bit_depth=8,
            mode={1: "L", 3: "RGB", 4: "RGBA"}[channels],
            icc_profile=None,
            jpeg=None,
            exif=None,
            sha256=hashlib.sha256(pixels.data).hexdigest(),
            file_bytes=pixels.nbytes,
        )
