"""A folder of one's own: `images/`, `masks/` of the same names, perhaps `authentic/`, perhaps `ignore/`."""

from pathlib import Path

from doctored.core.sample import MANIPULATED
from doctored.data.benchmarks.entries import (
    AUTHENTIC,
    Benchmark,
    Entry,
    Listing,
    MaskFile,
    Options,
)
from doctored.data.paired_folder import list_ignore_masks, list_pairs


def read(source: Path, options: Options) -> Listing:
    """List the pictures of a folder.

    Raises:
        DataError: A file has no partner.
    """
    pairs = list_pairs(source)
    ignored = list_ignore_masks(source, {image.stem for image, _ in pairs.forged})
    convention = options.convention or "auto"
    entries = [
        Entry(image, MANIPULATED, mask=MaskFile(mask, convention), ignore=ignored.get(image.stem))
        for image, mask in pairs.forged
    ]
    return Listing([*entries, *(Entry(path, AUTHENTIC) for path in pairs.authentic)])


FOLDER = Benchmark("folder", read, takes=("convention",))
