"""Pictures whose objects are outlined in an annotation file of the kind that COCO uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.core.json_text import parse_json

# fillPoly takes coordinates as integers with so many bits behind the point.
_FRACTION_BITS = 8
_LARGEST_COORDINATE = 2**22
_MOST_PIXELS = 400_000_000  # as `read_image` takes them
_LONGEST_RUN_BITS = 40


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of a picture.

    Args:
        category: Name of its category.
        segmentation: As in the file: a list of polygons [x1, y1, x2, y2, ...] in pixels, or a run-length code
            with `size` (height, width) and `counts`.
    """

    category: str
    segmentation: Any

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """The object's pixels.

        Args:
            size_hw: Height and width of the picture that the annotation was made for.

        Returns:
            (H, W) bool.

        Raises:
            DataError: The segmentation is neither kind, or does not fit the size.
        """
        if isinstance(self.segmentation, list):
            return _filled_polygons(self.segmentation, size_hw)
        return _decoded_runs(self.segmentation, size_hw)


@dataclass(frozen=True)
class AnnotatedPicture:
    """One picture of an annotation file.

    Args:
        id: Its identifier in the file, as text.
        file: Its file name, as in the annotation file.
        size_hw: Height and width that the outlines refer to.
        objects: Those not marked as a crowd, in the order of the file.
    """

    id: str
    file: str
    size_hw: tuple[int, int]
    objects: tuple[AnnotatedObject, ...]


def read_annotations(path: Path) -> list[AnnotatedPicture]:
    """Read the keys `images`, `annotations` and `categories` of an annotation file, and ignore all others.

    Returns:
        All its pictures, those without objects too, in the order of the file.

    Raises:
        DataError: The file cannot be read or lacks something.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        names = {category["id"]: str(category["name"]) for category in document["categories"]}
        objects: dict[Any, list[AnnotatedObject]] = {image["id"]: [] for image in document["images"]}
        for annotation in document["annotations"]:
            if not annotation.get("iscrowd"):
                category = names[annotation["category_id"]]
                objects[annotation["image_id"]].append(AnnotatedObject(category, annotation["segmentation"]))
        return [
            AnnotatedPicture(
                str(image["id"]),
                str(image["file_name"]),
                _size_hw(image),
                tuple(objects[image["id"]]),
            )
            for image in document["images"]
        ]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{path} is no annotation file ({type(error).__name__}: {error}); expected COCO's JSON with images (id, "
            "file_name, height, width), annotations (image_id, category_id, segmentation) and categories (id, name)"
        ) from error


def _size_hw(image: dict[str, Any]) -> tuple[int, int]:
    height, width = int(image["height"]), int(image["width"])
    if min(height, width) < 1 or height * width > _MOST_PIXELS:
        raise ValueError(f"a picture of {width} x {height} pixels")
    return height, width


def _filled_polygons(polygons: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of some polygons.

    Differs: pixels that the outline touches belong to the object, so a shape may be a pixel larger than in
        COCO's own tools.
    """
    filled = np.zeros(size_hw, np.uint8)
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, np.float64).reshape(-1, 2)
            # Written so that it holds for what is no number, too.
            if not len(corners) or not (np.abs(corners) <= _LARGEST_COORDINATE).all():
                raise ValueError("no corners, or one far outside")
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(
                f"a polygon must be a list x1, y1, x2, y2, ... of pixels; got {polygon!r:.80}"
            ) from error
        # Coordinates count from the picture's corner, those of fillPoly from the middle of the corner pixel.
        fixed = np.rint((corners - 0.5) * 2**_FRACTION_BITS).astype(np.int32)
        cv2.fillPoly(filled, [fixed], 1, shift=_FRACTION_BITS)
    return filled > 0


def _decoded_runs(code: Any, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of a run-length code: lengths of alternating runs of background and object, column by column."""
    try:
        counts, (height, width) = code["counts"], code["size"]
        runs = _unpacked(counts) if isinstance(counts, str) else [int(run) for run in counts]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"a segmentation must be polygons or a run-length code; got {code!r:.80}") from error
    if (height, width) != size_hw or sum(runs) != height * width or min(runs, default=0) < 0:
        raise DataError(
            f"a run-length code of size {height} x {width} with {sum(runs)} pixels does not fit its picture of "
            f"{size_hw[0]} x {size_hw[1]}"
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T.copy()


def _unpacked(text: str) -> list[int]:
    """The runs of COCO's compressed form: 5 bits a character, the lowest first, each run but the first three as the
    difference to the one before the last."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[position]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position += 1
            shift += 5
            if shift > _LONGEST_RUN_BITS:
                raise ValueError("a run longer than any picture")
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs
