"""A folder of one's own: `images/`, `masks/` of the same names, perhaps `authentic/`, perhaps `ignore/`."""

from pathlib import Path

from doctored.core.errors import DataError
from doctored.core.sample import MANIPULATED
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
from doctored.data.paired_folder import list_pairs
from doctored.data.photographs import some_of


def read(source: Path, options: Options) -> Listing:
    """List the pictures of a folder.

    Raises:
        DataError: A file has no partner.
    """
    pairs = list_pairs(source)
    ignored = by_stem(pictures_in(source / "ignore"))
    convention = options.convention or "auto"
    entries = [
        Entry(
            image, MANIPULATED, mask=MaskFile(mask, convention), ignore=ignored.pop(image.stem.lower(), None)
        )
        for image, mask in pairs.forged
    ]
    if ignored:
        raise DataError(
            f"{source} holds ignore masks without a picture: {some_of(sorted(ignored))}; add the partner of the "
            "same name"
        )
    return Listing([*entries, *(Entry(path, AUTHENTIC) for path in pairs.authentic)])


FOLDER = Benchmark("folder", read, takes=("convention",))
