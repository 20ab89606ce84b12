"""Columbia's uncompressed splices: TIFF files of four cameras, with edge masks.

`4cam_splc` holds the splices and `4cam_auth` pictures of one camera each, `edgemask` in either of them a JPEG
`<name>_edgemask` that paints the sides of the splice: green what was spliced in, red the rest. Grey values above 100
are the green side.

Differs: the released script names pictures by their boxes, so that two of one box overwrite each other; here they
    keep their own names.
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
from doctored.data.boxes import BoxRule
from doctored.data.photographs import Skipped

_SPLICED, _SINGLE = "4cam_splc", "4cam_auth"
_MASK_ENDING = "_edgemask"
_GREEN_ABOVE = 100


def read(source: Path, options: Options) -> Listing:
    """List the pictures of an unpacked Columbia set."""
    entries: list[Entry] = []
    left_out: list[Skipped] = []
    spliced: list[Path] = []
    masks: list[Path] = []
    for path in find_pictures(source):
        folders = {part.lower() for part in (source.name, *path.relative_to(source).parts[:-1])}
        is_mask = path.stem.lower().endswith(_MASK_ENDING)
        if _SPLICED in folders:
            (masks if is_mask else spliced).append(path)
        elif _SINGLE not in folders:
            left_out.append(Skipped(str(path), f"lies neither in {_SPLICED} nor in {_SINGLE}"))
        elif not is_mask:
            entries.append(Entry(path, AUTHENTIC, "test"))
    mask_of = by_stem(masks, _MASK_ENDING)
    for path in spliced:
        mask = mask_of.pop(path.stem.lower(), None)
        if mask is None:
            left_out.append(Skipped(str(path), f"has no mask {path.stem}{_MASK_ENDING}"))
        else:
            entries.append(Entry(path, "splicing", "test", MaskFile(mask, "white", _GREEN_ABOVE)))
    left_out += [Skipped(str(path), "is a mask without a picture") for path in mask_of.values()]
    return Listing(entries, left_out)


COLUMBIA = Benchmark(
    "columbia", read, published={"manipulated": 180, "authentic": 183}, boxes=BoxRule("largest")
)
