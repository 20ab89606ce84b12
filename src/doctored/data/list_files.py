"""List files of Constrained R-CNN and RGB-N: one picture a line, with its boxes and their labels.

`name x1 y1 x2 y2 label [x1 y1 x2 y2 label ...]`, separated by spaces. Two ways to count are in use. Ours is
everywhere else `box_xyxy`: from 0, right and bottom just outside.

- Counted from 1, both ends inside: the released readers of COCO-synthetic and CASIA subtract 1 from all four numbers
  and take both ends as inside. Below 1 they stop at the border, and so does `read_list`.
- As OpenCV counts, from 0, right and bottom just outside: COVERAGE, Columbia and NIST16.

Paper: Yang et al., ICME 2020 (Constrained R-CNN), which follows Zhou et al., CVPR 2018 (learning rich features for
    image manipulation detection).
Differs: the released reader keeps coordinates in 16 bits and the network takes both ends as inside for all sets, so
    boxes of the second kind come out a pixel larger there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from doctored.core.errors import DataError
from doctored.data.photographs import SUFFIXES

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels from 0; right and bottom are just outside."""

LARGEST_COORDINATE = 2**31 - 1
"""In pixels; more is a mistake."""

TAMPERED = "tamper"
"""The label of sets that do not tell techniques apart."""

COCO_LISTS = {"train": "train_filter_single.txt", "test": "test_filter_single.txt"}
"""The lists of COCO-synthetic by split."""


@dataclass(frozen=True)
class ListedPicture:
    """A line of a list.

    Attributes:
        name: Of the picture, without folder and ending.
        boxes_xyxy: Its manipulated areas; none for an authentic picture.
        labels: One for each box.
    """

    name: str
    boxes_xyxy: tuple[Box, ...]
    labels: tuple[str, ...]


def list_box(box_xyxy: Box, *, counts_from_one: bool) -> Box:
    """A box as lists have it.

    Example:
        >>> list_box((10, 5, 17, 9), counts_from_one=True)
        (11, 6, 17, 9)
    """
    left, top, right, bottom = box_xyxy
    return (left + 1, top + 1, right, bottom) if counts_from_one else (left, top, right, bottom)


def list_line(picture: ListedPicture, *, counts_from_one: bool) -> str:
    """A line of a list, without its end.

    Args:
        picture: What it says.
        counts_from_one: Which of the two ways to count.

    Raises:
        DataError: The name or a label is empty or holds white space, or the labels do not fit the boxes.
    """
    if len(picture.boxes_xyxy) != len(picture.labels):
        raise DataError(
            f"{picture.name} has {len(picture.boxes_xyxy)} boxes and {len(picture.labels)} labels; give one for each"
        )
    fields = [picture.name]
    for box, label in zip(picture.boxes_xyxy, picture.labels, strict=True):
        fields += [*map(str, list_box(box, counts_from_one=counts_from_one)), label]
    for field in fields:
        if field.split() != [field]:
            raise DataError(f"{field!r} cannot stand in a list, whose fields end at a space; rename it")
    return " ".join(fields)


def read_list(path: Path, *, counts_from_one: bool) -> list[ListedPicture]:
    """Read a list.

    Args:
        path: A text file; empty lines are passed over.
        counts_from_one: Which of the two ways to count.

    Returns:
        The pictures in the order of the file, endings of picture files taken off their names.

    Raises:
        DataError: The file cannot be read, or a line is not of this format; file and line are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of pictures ({error})") from error
    pictures = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                pictures.append(_parsed(line.split(), counts_from_one))
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number}: {error}; expected: name x1 y1 x2 y2 label, and the last five again for "
                    "each further box"
                ) from error
    return pictures


def _parsed(fields: Sequence[str], counts_from_one: bool) -> ListedPicture:
    if len(fields) % 5 != 1:
        raise ValueError(f"{len(fields) - 1} fields after the name are no multiple of five")
    boxes, labels = [], []
    for start in range(1, len(fields), 5):
        left, top, right, bottom = (int(field) for field in fields[start : start + 4])
        if counts_from_one:
            left, top = max(left - 1, 0), max(top - 1, 0)
        if not (0 <= left < right <= LARGEST_COORDINATE and 0 <= top < bottom <= LARGEST_COORDINATE):
            raise ValueError(f"the box {' '.join(fields[start : start + 4])} holds no pixel")
        boxes.append((left, top, right, bottom))
        labels.append(fields[start + 4])
    stem, dot, suffix = fields[0].rpartition(".")
    name = stem if dot + suffix.lower() in SUFFIXES else fields[0]
    return ListedPicture(name, tuple(boxes), tuple(labels))
