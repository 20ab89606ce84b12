"""NIST16, also called NC2016: three techniques, with a reference table.

The table is a text file with `|` between its columns. By position, from 0: 1 the probe's identifier, 2 its path, 3 the
path of its mask, 7 whether it is manipulated, 11 removal, 12 splice, 13 copy-clone (Y or N). Masks are black where
manipulated.

Differs: the released script splits an unsorted directory listing, so 404 and 160 could be had again but not the same
    pictures; here names decide. It also gives a picture without a technique the boxes of the one before it; here it
    is "manipulated" and has its own.
"""

import csv
import os
from pathlib import Path, PurePosixPath

from doctored.core.errors import DataError
from doctored.core.sample import MANIPULATED
from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    Entry,
    Listing,
    MaskFile,
    Options,
    only_file,
)
from doctored.data.boxes import BoxRule
from doctored.data.hash_split import split_pictures
from doctored.data.photographs import Skipped

_PATTERN = "*manipulation-ref.csv"
_COLUMNS = 14
_PROBE, _MASK, _IS_TARGET = 2, 3, 7
_TECHNIQUES = {11: "removal", 12: "splicing", 13: "copy_move"}
_TEST_SHARE = 0.282


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked NIST16 by its reference table.

    Where several techniques apply, the first of removal, splicing and copy-move counts.
    """
    table = options.reference or only_file(source, _PATTERN, "reference table", "--reference")
    rows = _rows(table)
    root = _root(source, table, rows)
    left_out = []
    by_probe: dict[str, list[str]] = {}
    for row in rows:
        if row[_PROBE] in by_probe:
            left_out.append(Skipped(row[_PROBE], f"{table.name} lists it again; the first row counts"))
        else:
            by_probe[row[_PROBE]] = row
    sides: dict[str, str] = {}
    for target in ("Y", "N"):
        stems = {PurePosixPath(probe).stem for probe, row in by_probe.items() if row[_IS_TARGET] == target}
        sides |= split_pictures(sorted(stems), _TEST_SHARE)
    entries = []
    for probe, row in by_probe.items():
        image, mask, split = root / probe, root / row[_MASK], sides[PurePosixPath(probe).stem]
        if not os.path.isfile(image):  # unlike the method, it takes a path that is too long
            left_out.append(Skipped(probe, f"{table.name} lists it but it is not there"))
        elif row[_IS_TARGET] == "N":
            entries.append(Entry(image, AUTHENTIC, split))
        elif not row[_MASK] or not os.path.isfile(mask):
            left_out.append(Skipped(probe, f"its mask {row[_MASK] or '(none named)'} is not there"))
        else:
            technique = next(
                (name for column, name in _TECHNIQUES.items() if row[column] == "Y"), MANIPULATED
            )
            note = "" if technique != MANIPULATED else f"{table.name} names no technique"
            entries.append(Entry(image, technique, split, MaskFile(mask, "black"), note=note))
    return Listing(entries, left_out)


def _rows(table: Path) -> list[list[str]]:
    """The rows below the heading."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter="|") if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a reference table ({error})") from error
    for number, row in enumerate(rows[1:], 2):
        if len(row) < _COLUMNS or row[_IS_TARGET] not in ("Y", "N"):
            raise DataError(
                f"{table}, row {number}: expected at least {_COLUMNS} columns separated by | with Y or N in the "
                f"eighth; got {'|'.join(row)!r:.80}"
            )
    if len(rows) < 2:
        raise DataError(f"{table} lists no pictures; give the reference table of NIST16")
    return rows[1:]


def _root(source: Path, table: Path, rows: list[list[str]]) -> Path:
    """The folder that the paths of the table begin in."""
    for folder in (source, *table.parents):
        if any(os.path.isfile(folder / row[_PROBE]) for row in rows):
            return folder
    raise DataError(f"none of the pictures that {table} lists is there, for instance {rows[0][_PROBE]}")


NIST16 = Benchmark(
    "nist16",
    read,
    published={"manipulated": 564, "train": 404, "test": 160},
    takes=("reference",),
    boxes=BoxRule(more_boundary_points_than=175),
    labels={"splicing": "splice", "removal": "removal", "copy_move": "copyclone"},
)
