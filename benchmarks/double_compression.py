"""How often traces of an earlier JPEG save are found in pictures saved once, and in pictures saved twice."""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from doctored.core.double_compression import DoubleCompression, double_compression
from doctored.core.errors import ImageReadError
from doctored.core.read_image import decode_image, read_image

# Photographs are reduced by this before they are saved, so that saves before these leave nothing.
_REDUCTION = 0.55
_SMALLEST_SIDE_PX = 160


def saved(pixels: np.ndarray, *qualities: int) -> tuple[np.ndarray, DoubleCompression | None]:
    """The pixels after one save for each quality, and what is found in the last file."""
    for quality in qualities:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        picture = decode_image("photo.jpg", file.getvalue())
        pixels = picture.pixels
    return pixels, double_compression(picture)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs, searched with its folders")
    parser.add_argument("--limit", type=int, default=200, help="a fixed random choice of so many")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    files = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    cases: dict[str, list[DoubleCompression | None]] = {}
    errors = []
    for index in rng.permutation(len(files))[: arguments.limit]:
        try:
            image = Image.fromarray(read_image(files[index]).pixels)
        except ImageReadError as error:
            print(f"left out: {error}")
            continue
        size = round(image.width * _REDUCTION), round(image.height * _REDUCTION)
        if min(size) < _SMALLEST_SIDE_PX:
            continue
        pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        second = int(rng.integers(75, 99))
        for name, first in (
            ("saved once, quality 50 to 98", None),
            ("before by 5 points lower or more, now 75 to 98", int(rng.integers(50, second - 4))),
            ("before by 1 to 4 points lower", second - int(rng.integers(1, 5))),
            ("before at the same quality", second),
            ("before at a higher quality", int(rng.integers(second, 100))),
        ):
            qualities = (int(rng.integers(50, 99)),) if first is None else (first, second)
            _, found = saved(pixels, *qualities)
            cases.setdefault(name, []).append(found)
            if found is not None and found.found and first is not None and first < second - 4:
                errors.append(abs(found.earlier_quality - first))
    print("| pictures | n | can be told | found | largest gain |")
    print("|---|---|---|---|---|")
    for name, results in cases.items():
        told = [result for result in results if result is not None]
        count = sum(result.found for result in told)
        largest = max((result.gain for result in told), default=float("nan"))
        print(f"| {name} | {len(results)} | {len(told)} | {count} | {largest:.3f} |")
    print(f"median error of the earlier quality: {np.median(errors):.1f}")


if __name__ == "__main__":
    main()
