"""COVERAGE: copy-moves among similar but genuine objects, as TIFF files.

`<n>.tif` is an original, `<n>t.tif` its forgery, `<n>forged.tif` the mask of the pasted copy; masks of where it was
copied from are not used. A few masks are not of their picture's size; these are scaled to it, and the manifest says so.
"""

import re
from pathlib import Path

from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    Entry,
    Listing,
    MaskFile,
    Options,
    by_stem,
    find_pictures,
)
from doctored.data.boxes import BoxRule
from doctored.data.hash_split import split_pictures
from doctored.data.photographs import Skipped

_NAME = re.compile(r"(\d+)(|t|forged|copy|paste)")
_TEST_SHARE = 0.25


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked COVERAGE."""
    files = by_stem(find_pictures(source))
    matches = {stem: _NAME.fullmatch(stem) for stem in files}
    left_out = [
        Skipped(str(files[stem]), "its name is not that of a picture or mask of COVERAGE")
        for stem, match in matches.items()
        if match is None
    ]
    numbers = {match[1] for match in matches.values() if match and match[2] == "t"}
    split = split_pictures(sorted(numbers), _TEST_SHARE)
    entries = []
    for stem, match in matches.items():
        if match is None:
            continue
        number, kind = match.groups()
        if kind == "":
            entries.append(Entry(files[stem], AUTHENTIC, split.get(number, "train")))
        elif kind == "t" and f"{number}forged" in files:
            mask = MaskFile(files[f"{number}forged"], "white", may_be_scaled=True)
            entries.append(Entry(files[stem], "copy_move", split[number], mask))
        elif kind == "t":
            left_out.append(Skipped(str(files[stem]), f"has no mask {number}forged"))
        elif kind == "forged" and f"{number}t" not in files:
            left_out.append(Skipped(str(files[stem]), f"is a mask without a picture {number}t"))
    return Listing(entries, left_out)


COVERAGE = Benchmark(
    "coverage",
    read,
    published={"manipulated": 100, "authentic": 100, "train": 75, "test": 25},
    boxes=BoxRule("longest"),
)
