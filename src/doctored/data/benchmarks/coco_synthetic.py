"""COCO-synthetic: the pre-training set of Constrained R-CNN, as its list files name it.

`train_filter_single.txt` and `test_filter_single.txt` lie beside the pictures. The published set has boxes only; sets
made by `doctored forge --protocol coco-synthetic` have masks too, in `mask/`.
"""

from pathlib import Path

from doctored.core.errors import DataError
from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    Entry,
    Listing,
    MaskFile,
    Options,
    by_stem,
    pictures_in,
)
from doctored.data.list_files import COCO_LISTS, read_list
from doctored.data.photographs import Skipped


def read(source: Path, options: Options) -> Listing:
    """List the pictures that the two lists name; a picture without boxes is authentic."""
    pictures = by_stem([*pictures_in(source), *pictures_in(source / "probe")])
    masks = by_stem(pictures_in(source / "mask"))
    entries: list[Entry] = []
    left_out: list[Skipped] = []
    split_of: dict[str, str] = {}
    for split, file in COCO_LISTS.items():
        for listed in read_list(source / file, counts_from_one=True):
            key = listed.name.lower()
            if key in split_of:
                if split_of[key] != split:
                    raise DataError(f"{source} lists {listed.name} for training and for testing; remove one")
                left_out.append(Skipped(listed.name, f"{file} lists it again; the first line counts"))
                continue
            split_of[key] = split
            if key not in pictures:
                left_out.append(Skipped(listed.name, f"{file} lists it but it is not there"))
            elif not listed.boxes_xyxy:
                entries.append(Entry(pictures[key], AUTHENTIC, split))
            else:
                mask = MaskFile(masks[key]) if key in masks else None
                entries.append(Entry(pictures[key], "splicing", split, mask, boxes_xyxy=listed.boxes_xyxy))
    left_out += [
        Skipped(str(path), "is in none of the lists") for key, path in pictures.items() if key not in split_of
    ]
    return Listing(entries, left_out)


COCO_SYNTHETIC = Benchmark("coco-synthetic", read, counts_from_one=True)
