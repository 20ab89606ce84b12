"""Compression: JPEG once, JPEG twice with shifted grids, and WebP."""

import cv2
import numpy as np

from doctored.synth.operators.arrays import Rgb


def jpeg_compress(image: Rgb, quality: int, rng: np.random.Generator) -> Rgb:
    """One JPEG generation with standard tables and 4:2:0 chroma; the grid starts at the upper left pixel."""
    return _through_codec(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def jpeg_double_compress(image: Rgb, qualities: tuple[int, int], rng: np.random.Generator) -> Rgb:
    """Two JPEG generations whose 8 x 8 grids never coincide.

    Between the two, 1..7 rows above and 1..7 columns on the left (both from ``rng``) are added by mirroring;
    they are cut off at the end.

    Differs: the original seeds the shift by a hash of the first pixel values.
    """
    first_quality, second_quality = qualities
    rows, columns = (int(shift) for shift in rng.integers(1, 8, size=2))
    once = _through_codec(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, first_quality])
    shifted = np.pad(once, ((rows, 0), (columns, 0), (0, 0)), mode="symmetric")
    return _through_codec(shifted, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, second_quality])[rows:, columns:]


def webp_compress(image: Rgb, quality: int, rng: np.random.Generator) -> Rgb:
    """One lossy WebP generation, quality 100 included."""
    return _through_codec(image, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])


def _through_codec(image: Rgb, extension: str, settings: list[int]) -> Rgb:
    # OpenCV's codecs take their channels as blue, green, red.
    _, encoded = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
