"""The pictures of one or several data sets, in the order in which they are evaluated."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.core.read_image import read_mask
from doctored.core.sample import MANIPULATED
from doctored.data.list_files import Box
from doctored.data.paired_folder import PairedFolder, list_ignore_masks, list_pairs
from doctored.data.prepared_set import AUTHENTIC, IMAGES, MANIFEST, MASKS, ManifestRow, read_manifest
from doctored.data.result_files import as_text


@dataclass(frozen=True)
class Case:
    """One picture of a data set.

    Attributes:
        data: Name of the data set.
        path: The picture.
        mask: Its mask, white where manipulated; None for an authentic picture, and where a set gives boxes only.
        ignore: Mask of the pixels that count as neither, white where ignored; None where there is none.
        technique: What made it, if the manifest of the set says; else "manipulated".
        boxes_xyxy: Its manipulated areas, if the manifest says; None where only the mask tells.
    """

    data: str
    path: Path
    mask: Path | None
    ignore: Path | None = None
    technique: str = MANIPULATED
    boxes_xyxy: tuple[Box, ...] | None = None

    @property
    def authentic(self) -> bool:
        """Whether nothing was manipulated."""
        return self.mask is None and not self.boxes_xyxy

    @property
    def name(self) -> str:
        """Of its file; bytes that are no text are written as escapes."""
        return as_text(self.path.name)

    @property
    def key(self) -> str:
        """What tells it from every other case of an evaluation."""
        return f"{self.data}/{'authentic' if self.authentic else 'images'}/{self.name}"


def list_cases(folders: Sequence[Path], limit: int | None = None) -> list[Case]:
    """The cases of some folders, each with `images/`, `masks/`, perhaps `authentic/` and perhaps `ignore/`.

    A prepared set that gives boxes only has no `masks/`; its manifest says where they are.

    Args:
        folders: One data set each; two of the same name are told apart by a number.
        limit: Of each folder only the fixed subset of so many pictures, half of each class.

    Raises:
        ConfigError: The limit leaves no picture of a class.
        DataError: A folder is missing or empty, or a file has no partner.
    """
    cases: list[Case] = []
    names: set[str] = set()
    for folder in folders:
        name = _new_name(folder, names)
        rows = _manifest(folder)
        pairs = (
            _pairs_of_boxes(folder, rows) if rows and not (folder / MASKS).exists() else list_pairs(folder)
        )
        ignored = list_ignore_masks(folder, {path.stem for path, _ in pairs.forged})
        if limit is not None:
            pairs = pairs.limited(limit)
        for path, mask in pairs.forged:
            case = Case(name, path, None if mask == path else mask, ignored.get(path.stem))
            if path.name in rows:
                row = rows[path.name]
                case = replace(case, technique=row.technique, boxes_xyxy=row.boxes_xyxy)
            cases.append(case)
        cases += [Case(name, path, None) for path in pairs.authentic]
    return cases


def read_masks(cases: Sequence[Case]) -> Iterator[NDArray[np.bool_]]:
    """The masks of manipulated cases, (H, W) bool each, one at a time.

    Raises:
        ImageReadError: A mask cannot be read.
    """
    return (read_mask(case.mask) for case in cases if case.mask is not None)


def _new_name(folder: Path, names: set[str]) -> str:
    base = as_text(folder.resolve().name) or "data"
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base}-{number}"
    names.add(name)
    return name


def _manifest(folder: Path) -> dict[str, ManifestRow]:
    """What the manifest of a prepared set says of its manipulated pictures, by file name; nothing for other folders."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            if "boxes_xyxy" not in next(csv.reader(lines), []):  # that of `doctored forge`
                return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} is no readable CSV file ({error}); remove it, or prepare the set again"
        ) from error
    rows = ((Path(row.file), row) for row in read_manifest(folder))
    return {file.name: row for file, row in rows if file.parent.name == IMAGES}


def _pairs_of_boxes(folder: Path, rows: dict[str, ManifestRow]) -> PairedFolder:
    """Pictures without masks, each in the place of its own mask."""
    authentic = folder / AUTHENTIC
    return PairedFolder(
        tuple((folder / IMAGES / name, folder / IMAGES / name) for name in sorted(rows)),
        tuple(sorted(authentic.iterdir())) if authentic.is_dir() else (),
    )
