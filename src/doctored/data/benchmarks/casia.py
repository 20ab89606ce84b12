"""CASIA v1 and v2: splices and copy-moves as JPEG, TIFF and BMP files, published without masks.

Names tell what a forgery was made of: `Sp_D_CNN_A_ani0049_ani0084_0266` (v1) and `Tp_D_CRN_S_N_cha00063_art00014_11818`
(v2): D from different pictures, S within the same, then the two pictures. In most of v1 the first of the two is the
one that was changed, in v2 by the naming rule the second, and some names are wrong; so both are compared with the
forgery.

Differs: the released script for v1 takes the second picture only where the first is of another size, and fails when
    it gets there.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    DifferenceMask,
    Entry,
    Listing,
    MaskFile,
    MaskSource,
    Options,
    by_stem,
    find_pictures,
)
from doctored.data.photographs import Skipped

_MASK_ENDING = "_gt"
_TECHNIQUES = {"d": "splicing", "s": "copy_move"}
_AUTHENTIC_NAME = re.compile(r"au_([a-z]+)_(\d+)")
_SOURCE = re.compile(r"([a-z]+)(\d+)")


def casia_reader(prefix: str, split: str) -> Callable[[Path, Options], Listing]:
    """A reader of one of the two versions.

    Args:
        prefix: What names of forgeries start with.
        split: The side that all pictures are on.
    """

    def read(source: Path, options: Options) -> Listing:
        masks = None if options.masks is None else by_stem(find_pictures(options.masks), _MASK_ENDING)
        forged: list[Path] = []
        authentic: dict[tuple[str, str], list[Path]] = defaultdict(list)
        entries: list[Entry] = []
        left_out: list[Skipped] = []
        for path in find_pictures(source, without=options.masks):
            stem = path.stem.lower()
            if stem.endswith(_MASK_ENDING):
                continue
            if match := _AUTHENTIC_NAME.match(stem):
                authentic[match[1], match[2]].append(path)
                entries.append(Entry(path, AUTHENTIC, split))
            elif stem.startswith(prefix) and stem.split("_")[1] in _TECHNIQUES:
                forged.append(path)
            else:
                left_out.append(
                    Skipped(str(path), f"its name begins neither with Au_ nor with {prefix}D_ or _S_")
                )
        for path in forged:
            fields = path.stem.lower().split("_")
            sources = [match.groups() for match in map(_SOURCE.fullmatch, fields) if match]
            mask: MaskSource
            if masks is not None:
                given = masks.pop(path.stem.lower(), None)
                if given is None:
                    left_out.append(Skipped(str(path), f"has no mask in {options.masks}"))
                    continue
                mask = MaskFile(given)
            else:
                originals = tuple(
                    dict.fromkeys(p for key in sources for p in authentic.get((key[0], key[1]), ()))
                )
                if not originals:
                    named = " and ".join("".join(key) for key in sources) or "no picture"
                    left_out.append(Skipped(str(path), f"its name refers to {named}, which is not there"))
                    continue
                mask = DifferenceMask(originals)
            note = ""
            if len(sources) == 2 and (sources[0] == sources[1]) != (fields[1] == "s"):
                note = f"the name says {fields[1].upper()} but the pictures it names say otherwise"
            entries.append(Entry(path, _TECHNIQUES[fields[1]], split, mask, note=note))
        unused = [Skipped(str(path), "is a mask without a picture") for path in (masks or {}).values()]
        return Listing(entries, left_out + unused)

    return read


CASIA_V1 = Benchmark(
    "casia-v1",
    casia_reader("sp_", "test"),
    published={"manipulated": 921, "authentic": 800},
    takes=("masks",),
    counts_from_one=True,
)
CASIA_V2 = Benchmark(
    "casia-v2",
    casia_reader("tp_", "train"),
    published={"manipulated": 5123, "authentic": 7491},
    takes=("masks",),
    counts_from_one=True,
)
