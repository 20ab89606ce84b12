"""DSO-1: groups of people with somebody spliced in, PNG files.

`DSO-1` holds `normal-*` and `splicing-*`, `DSO-1-Fake-Images-Masks` a mask of the same name for each splice, black
where manipulated. Masks of another size are scaled to their pictures, and the manifest says so.
"""

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
from doctored.data.photographs import Skipped

_PICTURES, _MASKS = "dso-1", "dso-1-fake-images-masks"


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked DSO-1; DSI-1, which comes in the same archive, is passed over."""
    found = find_pictures(source)
    masks = by_stem(path for path in found if path.parent.name.lower() == _MASKS)
    entries: list[Entry] = []
    left_out: list[Skipped] = []
    for path in (path for path in found if path.parent.name.lower() == _PICTURES):
        stem = path.stem.lower()
        if stem.startswith("normal"):
            entries.append(Entry(path, AUTHENTIC, "test"))
        elif not stem.startswith("splicing"):
            left_out.append(Skipped(str(path), "its name begins neither with normal nor with splicing"))
        elif stem in masks:
            mask = MaskFile(masks.pop(stem), "black", may_be_scaled=True)
            entries.append(Entry(path, "splicing", "test", mask))
        else:
            left_out.append(Skipped(str(path), f"has no mask in {_MASKS}"))
    left_out += [Skipped(str(path), "is a mask without a picture") for path in masks.values()]
    return Listing(entries, left_out)


DSO1 = Benchmark("dso-1", read, published={"manipulated": 100, "authentic": 100})
