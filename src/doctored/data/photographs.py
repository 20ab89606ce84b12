"""Folders of photographs without manipulation: what they hold, who may learn from which, and their pixels."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.name_digest import name_digest
from doctored.core.picture import Picture
from doctored.core.read_image import read_image

SUFFIXES = frozenset({".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MANIFEST = "manifest.csv"
ROLES = ("train", "calibration", "test", "unused")
_NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class Photograph:
    """One file of a folder of photographs.

    Args:
        path: Where it is.
        file: Its name relative to the folder, with forward slashes on every system.
        source: The collection it comes from; None where no manifest says.
        camera: The camera model in lower case and single spaces; None where no manifest says.
        make: Who made the camera, spelled likewise; None where no manifest says.
        licence: In the manifest's words; None where no manifest says.
    """

    path: Path
    file: str
    source: str | None = None
    camera: str | None = None
    make: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A photograph that was left out, and why in one sentence."""

    file: str
    reason: str


def list_photographs(folder: Path) -> list[Photograph]:
    """Find the photographs of a folder and its sub-folders, by suffix, sorted by name.

    A `manifest.csv` in the folder may give, for each `file` (relative to the folder), its `source`,
    camera `model`, its `make` and the `licence`; further columns are ignored, and files that it doesn't list have
    none of these.

    Raises:
        DataError: There is no such folder, no photograph in it, or the manifest has no column `file` or lists
            files that are not there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the photographs")
    manifest = _read_manifest(folder / MANIFEST)
    photographs = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            file = path.relative_to(folder).as_posix()
            photographs.append(Photograph(path, file, *manifest.get(file, ())))
    if not photographs:
        raise DataError(
            f"{folder} holds no photographs; expected files ending in {', '.join(sorted(SUFFIXES))}"
        )
    absent = sorted(manifest.keys() - {photograph.file for photograph in photographs})
    if absent:
        raise DataError(
            f"{folder / MANIFEST} lists files that are not there or are no pictures: {some_of(absent)}"
        )
    return sorted(photographs, key=lambda photograph: photograph.file)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path, of a file that may not exist yet, is a folder itself or leads into it, also through links."""
    return path.resolve().is_relative_to(folder.resolve())


def check_apart(output: Path, photos: Path) -> None:
    """Refuse a folder of results among photographs, where a later call would take its pictures for photographs.

    Raises:
        ConfigError: The output is in the folder of the photographs.
    """
    if lies_in(output, photos):
        raise ConfigError(
            f"{output} lies in {photos}, so its pictures would be taken for photographs later; choose an --output "
            "outside"
        )


def split_photographs(
    photographs: Sequence[Photograph], held_out_fraction: float = 0.1
) -> tuple[list[Photograph], list[Photograph]]:
    """Set some photographs apart for checking, the same ones every time.

    Photographs of one camera model stay together, those of an unknown camera by source, those of unknown
    source one by one. Groups are taken in the order of a hash of their names as long as they fit into the
    fraction, so that adding photographs to a folder moves few others.

    Args:
        photographs: At least two.
        held_out_fraction: Share to hold out, above 0 and below 1; never exceeded, but by the smallest group
            where none fits.

    Returns:
        The photographs to learn from and those held out; neither is empty, both keep their order.

    Raises:
        ConfigError: The fraction is out of range.
        DataError: All photographs belong to one group.
    """
    if not 0 < held_out_fraction < 1:
        raise ConfigError(f"held_out_fraction must lie between 0 and 1, got {held_out_fraction}")
    groups: dict[tuple[str, str], int] = defaultdict(int)
    for photograph in photographs:
        groups[_group(photograph)] += 1
    if len(groups) < 2:
        raise DataError(
            f"{len(photographs)} photographs of one camera or source cannot be split; add some of another"
        )
    room = held_out_fraction * len(photographs)
    held_out = set()
    for group in sorted(groups, key=lambda group: name_digest("\0".join(group))):
        if groups[group] <= room:
            held_out.add(group)
            room -= groups[group]
    if not held_out:
        held_out.add(min(groups, key=lambda group: (groups[group], group)))
    return (
        [photograph for photograph in photographs if _group(photograph) not in held_out],
        [photograph for photograph in photographs if _group(photograph) in held_out],
    )


def read_split(path: Path) -> dict[str, str]:
    """Read a CSV file with the columns `file` and `role`: role by file.

    Raises:
        DataError: The file cannot be read, lacks a column, or names a role that is not one of `ROLES`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            split = {_named_file(row, path): row["role"] for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise DataError(f"{path} is no readable CSV file with the columns file and role ({error})") from error
    unknown = sorted({str(role) for role in split.values()} - set(ROLES))
    if unknown:
        raise DataError(f"{path} names the roles {some_of(unknown)}; expected {', '.join(ROLES)}")
    return split


def development_split() -> dict[str, str]:
    """Which of the development photographs is for what: `train`, `calibration`, `test` or `unused`, by file.

    The first three share neither a source nor a camera model. Model cards refer to this list.
    """
    with resources.as_file(resources.files("doctored.data") / "splits" / "development.csv") as path:
        return read_split(path)


def with_role(photographs: Iterable[Photograph], split: Mapping[str, str], role: str) -> list[Photograph]:
    """The photographs that a split gives one role.

    Args:
        photographs: Every one of them must be in the split.
        split: Role by file.
        role: One of `ROLES`.

    Raises:
        ConfigError: There is no such role.
        DataError: The split says nothing about some of the photographs, or gives none of them the role.
    """
    if role not in ROLES:
        raise ConfigError(f"role must be one of {', '.join(ROLES)}; got {role!r}")
    photographs = list(photographs)
    unknown = [photograph.file for photograph in photographs if photograph.file not in split]
    if unknown:
        raise DataError(f"the split gives no role to {some_of(unknown)}; it was made for another folder")
    chosen = [photograph for photograph in photographs if split[photograph.file] == role]
    if not chosen:
        raise DataError(f"the split gives none of the {len(photographs)} photographs the role {role!r}")
    return chosen


def read_photographs(
    photographs: Iterable[Photograph],
    *,
    min_side_px: int = 1,
    max_megapixels: float = 400,
    max_megabytes: float = 500,
) -> tuple[dict[str, NDArray[np.uint8]], list[Skipped]]:
    """Read photographs into memory, going on past those that cannot be read.

    Args:
        photographs: In any order, which is kept.
        min_side_px: Pictures with a shorter side are skipped.
        max_megapixels: As in `read_image`.
        max_megabytes: As in `read_image`.

    Returns:
        The pixels by file, each (H, W, 3) uint8 RGB, and what was skipped.

    Raises:
        DataError: Nothing is left.
    """
    skipped: list[Skipped] = []
    limits = {"max_megapixels": max_megapixels, "max_megabytes": max_megabytes}
    pixels = {
        photograph.file: picture.pixels
        for photograph, picture in usable_pictures(photographs, skipped, min_side_px=min_side_px, **limits)
    }
    if not pixels:
        raise none_usable(skipped)
    return pixels, skipped


def usable_pictures(
    photographs: Iterable[Photograph],
    skipped: list[Skipped],
    *,
    min_side_px: int = 1,
    max_megapixels: float = 400,
    max_megabytes: float = 500,
) -> Iterator[tuple[Photograph, Picture]]:
    """Read photographs one by one, going on past those that cannot be read or are too small.

    Args:
        photographs: In any order, which is kept.
        skipped: What is left out is added here.
        min_side_px: Pictures with a shorter side are skipped.
        max_megapixels: As in `read_image`.
        max_megabytes: As in `read_image`.
    """
    for photograph in photographs:
        try:
            picture = read_image(photograph.path, max_megapixels=max_megapixels, max_megabytes=max_megabytes)
        except DoctoredError as error:
            skipped.append(Skipped(photograph.file, str(error)))
            continue
        height, width = picture.size_hw
        if min(height, width) < min_side_px:
            reason = f"is {width} x {height} pixels; both sides must be at least {min_side_px}"
            skipped.append(Skipped(photograph.file, f"{photograph.file} {reason}"))
            continue
        yield photograph, picture


def none_usable(skipped: Sequence[Skipped]) -> DataError:
    """The error to raise where every photograph was skipped."""
    first = f" (the first: {skipped[0].reason})" if skipped else ""
    return DataError(f"none of the {len(skipped)} photographs can be used{first}")


def some_of(names: Sequence[str]) -> str:
    """The first few names of a list and how many more there are, for an error message."""
    rest = len(names) - _NAMED_IN_ERRORS
    return ", ".join(names[:_NAMED_IN_ERRORS]) + (f" and {rest} more" if rest > 0 else "")


def _read_manifest(path: Path) -> dict[str, tuple[str | None, str | None, str | None, str | None]]:
    """Source, camera model, make and licence by file."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if "file" not in (rows.fieldnames or ()):
                raise DataError(
                    f"{path} has no column 'file'; expected file, and optionally source and model"
                )
            return {
                _named_file(row, path): (
                    row.get("source") or None,
                    _spelled(row.get("model")),
                    _spelled(row.get("make")),
                    row.get("licence") or None,
                )
                for row in rows
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no readable CSV file ({error}); expected it in UTF-8") from error


def _named_file(row: Mapping[str, str | None], path: Path) -> str:
    file = row["file"]
    if file is None:
        raise DataError(f"{path} has a row that ends before its column 'file'; complete it")
    return file


def _spelled(name: str | None) -> str | None:
    """A name in lower case and single spaces; None for an empty one."""
    return " ".join((name or "").lower().split()) or None


def _group(photograph: Photograph) -> tuple[str, str]:
    if photograph.camera is not None:
        return "camera", photograph.camera
    if photograph.source is not None:
        return "source", photograph.source
    return "file", photograph.file
