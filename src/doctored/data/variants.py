"""Smaller and re-saved versions of a photograph, so that small and compressed pictures have something to be like."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture

SMALLEST_SIDE_PX = 64
LOWEST_QUALITY = 70
_SMALL_SIDES = 5
_LONGEST_JPEG_SIDE_PX = 65500
_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True, eq=False)
class Variant:
    """One version of a photograph.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        jpeg_quality: As estimated from the file that holds them; None where they are stored without loss.
    """

    pixels: NDArray[np.uint8]
    jpeg_quality: float | None


def short_sides(short_side_px: int) -> list[int]:
    """Short sides of the smaller versions, in pixels: 64, 91, 128, 181, 256, 512, 1024, ... below the photograph's own.

    Up to 256 the areas double, beyond they quadruple: there a version costs as much as all smaller ones together, and
    pictures are still alike at twice and at half the side.
    """
    small = (round(SMALLEST_SIDE_PX * 2 ** (step / 2)) for step in range(_SMALL_SIDES))
    large = (512 * 2**step for step in itertools.count())
    return list(itertools.takewhile(lambda side: side < short_side_px, itertools.chain(small, large)))


def variants(picture: Picture, seed: int = 0) -> Iterator[Variant]:
    """Versions of a photograph, apart from the file as it is.

    For each of `short_sides` the picture is, with equal chances, cut to a window of its proportions at any place, or
    reduced (Lanczos). Up to 256 px these pixels are one version, stored without loss, and saved as JPEG they are
    the next; beyond, they are by turns saved as JPEG (512, 2048, ...) and stored without loss (1024, 4096, ...). JPEG
    is Pillow's, with chroma 4:2:0 or 4:4:4, equally likely, and a quality of 100 - 30 u^2, rounded: from 70 to
    100 the step of quantisation doubles every few points at the upper end, where cameras save, and every fifteen at
    the lower. u starts anywhere in 0..1 and goes on in steps of the golden ratio, modulo 1, so that versions of like
    size have unlike qualities.

    Args:
        picture: The photograph.
        seed: With the hash of the file it decides every choice, so that a photograph has the same versions
            in whatever company.
    """
    rng = np.random.default_rng([seed, int(picture.sha256[:16], 16)])
    image = Image.fromarray(picture.pixels)
    u = rng.random()
    for number, side in enumerate(short_sides(min(image.size))):
        smaller = _cut(image, side, rng) if rng.random() < 0.5 else _reduced(image, side)
        is_small, turn = number < _SMALL_SIDES, (number - _SMALL_SIDES) % 2
        if is_small or turn == 1:
            yield Variant(np.asarray(smaller), None)
        u = (u + _GOLDEN_RATIO) % 1
        if (is_small or turn == 0) and max(smaller.size) <= _LONGEST_JPEG_SIDE_PX:
            yield _saved(smaller, u, rng)


def _size_of(image: Image.Image, side: int) -> tuple[int, int]:
    """Width and height of a version with that short side."""
    scale = side / min(image.size)
    return max(side, round(image.width * scale)), max(side, round(image.height * scale))


def _cut(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    width, height = _size_of(image, side)
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _reduced(image: Image.Image, side: int) -> Image.Image:
    return image.resize(_size_of(image, side), Image.Resampling.LANCZOS)


def _saved(image: Image.Image, u: float, rng: np.random.Generator) -> Variant:
    file = io.BytesIO()
    quality = round(100 - (100 - LOWEST_QUALITY) * u**2)
    image.save(file, "JPEG", quality=quality, subsampling=("4:2:0", "4:4:4")[int(rng.integers(2))])
    with JpegImageFile(io.BytesIO(file.getvalue())) as saved:
        return Variant(np.asarray(saved.convert("RGB")), JpegFacts.from_header(saved).estimated_quality)
