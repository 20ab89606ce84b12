"""IMD2020, the real-life manipulated pictures: one folder for each original and what people made of it.

`<folder>/<name>_orig` is the original, `<folder>/<name>_mask` the mask of `<folder>/<name>`, white where manipulated.
"""

from collections import defaultdict
from pathlib import Path

from doctored.core.sample import MANIPULATED
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
from doctored.data.photographs import Skipped

_ORIGINAL_ENDING, _MASK_ENDING = "_orig", "_mask"


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked IMD2020."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in find_pictures(source):
        by_folder[path.parent].append(path)
    entries: list[Entry] = []
    left_out: list[Skipped] = []
    for paths in by_folder.values():
        masks = by_stem((p for p in paths if p.stem.lower().endswith(_MASK_ENDING)), _MASK_ENDING)
        for path in paths:
            stem = path.stem.lower()
            if stem.endswith(_ORIGINAL_ENDING):
                entries.append(Entry(path, AUTHENTIC, "test"))
            elif stem in masks:
                entries.append(Entry(path, MANIPULATED, "test", MaskFile(masks.pop(stem))))
            elif not stem.endswith(_MASK_ENDING):
                left_out.append(Skipped(str(path), f"has no mask {path.stem}{_MASK_ENDING} beside it"))
        left_out += [Skipped(str(path), "is a mask without a picture") for path in masks.values()]
    return Listing(entries, left_out)


IMD2020 = Benchmark("imd2020", read, published={"manipulated": 2010, "authentic": 414})
