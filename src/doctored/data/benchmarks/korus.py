"""The realistic tampering of Korus and Huang: TIFF files of four cameras.

A folder for each camera holds `pristine`, `tampered-realistic` and `ground-truth`, in which files have the same names.
Ground truth has three levels: black for authentic, white for what changed in meaning, grey for what changed along with
it. As its authors suggest for standard evaluation, grey and white both count as manipulated.
"""

from pathlib import Path

from doctored.core.sample import MANIPULATED
from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    Entry,
    Listing,
    MaskFile,
    Options,
    find_pictures,
)
from doctored.data.photographs import Skipped

_PRISTINE, _TAMPERED, _MASKS = "pristine", "tampered-realistic", "ground-truth"
_BLACK = 10


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked realistic tampering dataset."""
    kinds: dict[str, dict[tuple[Path, str], Path]] = {_PRISTINE: {}, _TAMPERED: {}, _MASKS: {}}
    left_out: list[Skipped] = []
    for path in find_pictures(source):
        kind = path.parent.name.lower()
        if kind in kinds:
            kinds[kind][path.parent.parent, path.stem.lower()] = path
        else:
            left_out.append(Skipped(str(path), f"lies in none of {', '.join(kinds)}"))
    entries = [Entry(path, AUTHENTIC, "test") for path in kinds[_PRISTINE].values()]
    masks = kinds[_MASKS]
    for key, path in kinds[_TAMPERED].items():
        mask = masks.pop(key, None)
        if mask is None:
            left_out.append(Skipped(str(path), f"has no mask in {_MASKS}"))
        else:
            entries.append(Entry(path, MANIPULATED, "test", MaskFile(mask, "white", _BLACK)))
    left_out += [Skipped(str(path), "is a mask without a picture") for path in masks.values()]
    return Listing(entries, left_out)


KORUS = Benchmark("korus", read, published={"manipulated": 220, "authentic": 220})
