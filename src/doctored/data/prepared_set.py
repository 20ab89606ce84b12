"""Prepared data sets: one layout on disk for all, with a manifest of what each picture is."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctored.core.errors import DataError
from doctored.core.read_image import read_image, read_mask
from doctored.core.sample import Sample
from doctored.data.list_files import LARGEST_COORDINATE, Box
from doctored.data.photographs import some_of

IMAGES, MASKS, AUTHENTIC, IGNORE, LISTS = "images", "masks", "authentic", "ignore", "lists"
MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = (
    "name", "file", "mask", "ignore", "technique", "split", "manipulated_fraction", "boxes_xyxy", "source_file", "note",
)  # fmt: skip


@dataclass(frozen=True)
class ManifestRow:
    """What a manifest says of one picture.

    Attributes:
        name: Of the picture; its mask and its ignore mask have the same.
        file: The picture, relative to the set, with forward slashes: in `images/` or in `authentic/`.
        mask: Its mask in `masks/`, white where manipulated; empty for authentic pictures and sets of boxes.
        ignore: Mask in `ignore/` of the pixels that count as neither, white; empty where there is none.
        technique: As in `Sample`.
        split: "train", "test", or empty.
        manipulated_fraction: Share of manipulated pixels; None where there is no mask.
        boxes_xyxy: As in `Sample`.
        source_file: Where it came from, relative to the published set.
        note: How its mask was made or put right.
    """

    name: str
    file: str
    mask: str
    ignore: str
    technique: str
    split: str
    manipulated_fraction: float | None
    boxes_xyxy: tuple[Box, ...]
    source_file: str
    note: str

    def to_csv(self) -> dict[str, str]:
        """The columns of the manifest, as text; boxes as `x1 y1 x2 y2`, separated by semicolons."""
        columns = {column: str(getattr(self, column)) for column in MANIFEST_COLUMNS}
        if self.manipulated_fraction is None:
            columns["manipulated_fraction"] = ""
        columns["boxes_xyxy"] = ";".join(" ".join(map(str, box)) for box in self.boxes_xyxy)
        return columns

    @classmethod
    def from_csv(cls, columns: dict[str, Any]) -> "ManifestRow":
        """Read what `to_csv` wrote.

        Raises:
            ValueError: A column has no such value.
            KeyError: A column is missing.
        """
        values: dict[str, Any] = {column: columns[column] or "" for column in MANIFEST_COLUMNS}
        fraction, boxes = values["manipulated_fraction"], []
        for text in filter(None, values["boxes_xyxy"].split(";")):
            left, top, right, bottom = (int(field) for field in text.split())
            if not (0 <= left < right <= LARGEST_COORDINATE and 0 <= top < bottom <= LARGEST_COORDINATE):
                raise ValueError(f"the box {text!r:.80} holds no pixel")
            boxes.append((left, top, right, bottom))
        values |= {"manipulated_fraction": float(fraction) if fraction else None, "boxes_xyxy": tuple(boxes)}
        return cls(**values)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Read the manifest of a prepared set.

    Raises:
        DataError: There is none, or it is not one of a prepared set.
    """
    path = folder / MANIFEST
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if missing := set(MANIFEST_COLUMNS) - set(rows.fieldnames or ()):
                raise KeyError(*sorted(missing))
            return [ManifestRow.from_csv(columns) for columns in rows]
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is not there; make it with 'doctored data prepare', for plain folders of pictures and masks too"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} is no manifest of a prepared set ({error!r}); expected the columns {', '.join(MANIFEST_COLUMNS)}"
        ) from error


def is_prepared_set(folder: Path) -> bool:
    """Whether a folder has the manifest of a prepared set; one of plain photographs has other columns."""
    try:
        with (folder / MANIFEST).open(encoding="utf-8", newline="") as lines:
            return set(MANIFEST_COLUMNS) <= set(csv.DictReader(lines).fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


class PreparedSet:
    """The samples of a prepared set, read when they are asked for, in the order of the manifest.

    Args:
        folder: Made by `doctored data prepare`.
        split: "train" or "test"; None takes all.

    Raises:
        DataError: There is no manifest, a file that it names is missing, a file is not in it, or nothing is left.
    """

    def __init__(self, folder: Path, split: str | None = None) -> None:
        rows = read_manifest(folder)
        missing, unnamed = manifest_problems(folder, rows)
        if missing:
            raise DataError(
                f"{folder / MANIFEST} lists files that are not there: {some_of(missing)}; prepare them again"
            )
        if unnamed:
            raise DataError(
                f"{folder} holds files that its manifest does not list: {some_of(unnamed)}; remove them"
            )
        self.folder = folder
        self.rows: Sequence[ManifestRow] = [row for row in rows if split is None or row.split == split]
        if not self.rows:
            raise DataError(f"{folder} holds no pictures{'' if split is None else f' of split {split!r}'}")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Sample]:
        """Yield samples; raises as `read_sample`."""
        return (read_sample(self.folder, row) for row in self.rows)


def read_sample(folder: Path, row: ManifestRow) -> Sample:
    """Read one picture of a prepared set with its masks.

    Raises:
        ImageReadError: A file cannot be read.
        ShapeError: A mask is not of its picture's size.
    """
    picture = read_image(folder / row.file)
    gt_mask = ignore_mask = None
    if row.mask:
        gt_mask = read_mask(folder / row.mask, picture.size_hw, convention="white")
    elif row.technique == "authentic":
        gt_mask = np.zeros(picture.size_hw, bool)
    if row.ignore:
        ignore_mask = read_mask(folder / row.ignore, picture.size_hw, convention="white")
    boxes_xyxy = np.array(row.boxes_xyxy, np.int64).reshape(-1, 4)
    return Sample(picture.pixels, gt_mask, ignore_mask, boxes_xyxy, row.technique, row.name)


def manifest_problems(folder: Path, rows: Sequence[ManifestRow]) -> tuple[list[str], list[str]]:
    """Files that a manifest lists but are not there, and files that are there but not listed, relative to the set."""
    named = {file for row in rows for file in (row.file, row.mask, row.ignore) if file}
    present = {
        f"{kind}/{path.name}"
        for kind in (IMAGES, MASKS, AUTHENTIC, IGNORE)
        if (folder / kind).is_dir()
        for path in (folder / kind).iterdir()
        if path.is_file() and not path.name.startswith(".")
    }
    return sorted(named - present), sorted(present - named)
