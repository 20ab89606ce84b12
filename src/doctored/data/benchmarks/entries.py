"""What the readers of all published sets have in common: pictures with the sources of their masks."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.core.errors import DataError, ShapeError
from doctored.core.picture import Picture
from doctored.core.read_image import read_image, read_mask
from doctored.data.boxes import EVERY_CONTOUR, BoxRule
from doctored.data.difference_masks import changed_pixels, filled_changes
from doctored.data.list_files import TAMPERED, Box
from doctored.data.photographs import SUFFIXES, Skipped
from doctored.data.result_files import as_text

AUTHENTIC = "authentic"
_LARGEST_STRETCH = 0.05


class MaskSource(Protocol):
    """Where the mask of a picture comes from."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that it depends on."""
        ...

    def mask_of(self, picture: Picture) -> tuple[NDArray[np.bool_], str]:
        """The picture's gt_mask, and what was done to get it; an empty note where it was read as it is.

        Raises:
            DoctoredError: There is no usable mask.
        """
        ...


@dataclass(frozen=True)
class MaskFile:
    """A mask that comes with the set.

    Attributes:
        path: The file.
        convention: As for `read_mask`.
        threshold: As for `read_mask`.
        may_be_scaled: Whether a mask of another size is stretched to its picture's.
    """

    path: Path
    convention: str = "auto"
    threshold: int = 127
    may_be_scaled: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def mask_of(self, picture: Picture) -> tuple[NDArray[np.bool_], str]:
        mask = read_mask(self.path, convention=self.convention, threshold=self.threshold)
        if mask.shape == picture.size_hw:
            return mask, ""
        (height, width), (wanted_height, wanted_width) = mask.shape, picture.size_hw
        sizes = f"the mask is {width} x {height} and its picture {wanted_width} x {wanted_height}"
        stretch = (width / wanted_width) / (height / wanted_height)
        if not self.may_be_scaled or abs(np.log(stretch)) > _LARGEST_STRETCH:
            raise ShapeError(f"{self.path}: {sizes}")
        scaled = Image.fromarray(mask).resize((wanted_width, wanted_height), Image.Resampling.NEAREST)
        return np.asarray(scaled), f"{sizes}: scaled to the picture"


@dataclass(frozen=True)
class DifferenceMask:
    """A mask by difference from the original.

    Attributes:
        originals: Pictures that may be the one that was changed. The one of the same size that differs in the
            fewest pixels counts.
    """

    originals: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.originals

    def mask_of(self, picture: Picture) -> tuple[NDArray[np.bool_], str]:
        changes: dict[Path, NDArray[np.bool_]] = {}
        for path in self.originals:
            original = read_image(path).pixels
            if original.shape == picture.pixels.shape:
                changes[path] = changed_pixels(picture.pixels, original)
        names = " and ".join(path.name for path in self.originals)
        if not changes:
            raise DataError(f"{names} is of another size, so it is not the original of {picture.path}")
        original_path = min(changes, key=lambda path: changes[path].mean())
        note = f"mask by difference from {original_path.name}"
        try:
            mask = filled_changes(changes[original_path])
        except DataError as error:
            raise DataError(f"compared with {original_path.name}, {error}") from error
        if mask.mean() > 0.5:
            note += ", of which more than half changed: it may be misnamed"
        return mask, note


@dataclass(frozen=True)
class Entry:
    """A picture of a published set.

    Attributes:
        image: The file.
        technique: "authentic", "splicing", "copy_move", "removal" or "manipulated".
        split: "train" or "test"; empty where there is no split.
        mask: Where its mask comes from; None for authentic pictures and where the set gives boxes only.
        ignore: File whose white pixels count as neither.
        boxes_xyxy: Where the set lists them; else they are found in the mask.
        note: What was put right.
    """

    image: Path
    technique: str
    split: str = ""
    mask: MaskSource | None = None
    ignore: Path | None = None
    boxes_xyxy: tuple[Box, ...] | None = None
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """What a reader found.

    Attributes:
        entries: Pictures that can be used, as far as their names tell.
        left_out: Files that cannot, with the reason.
    """

    entries: Sequence[Entry]
    left_out: Sequence[Skipped] = ()


@dataclass(frozen=True)
class Options:
    """What may be said besides the folder.

    Attributes:
        masks: Folder of masks by somebody else.
        reference: The table of a set that has one.
        convention: How masks of one's own are to be read, as for `read_mask`.
    """

    masks: Path | None = None
    reference: Path | None = None
    convention: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A published set: how to read it, and what to expect.

    Attributes:
        name: As commands know it.
        read: Lists the pictures in a folder.
        published: Numbers of "manipulated" and "authentic" pictures, of one "split" of the manipulated ones
            ("train", "test") or of one technique, as far as they are published.
        takes: Which fields of `Options` it understands.
        boxes: Which areas of a mask get a box.
        labels: How its lists call techniques, all others being "tamper".
        counts_from_one: Which way its lists count; see `doctored.data.list_files`.
    """

    name: str
    read: Callable[[Path, Options], Listing]
    published: Mapping[str, int] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    boxes: BoxRule = EVERY_CONTOUR
    labels: Mapping[str, str] = field(default_factory=dict)
    counts_from_one: bool = False

    def label(self, technique: str) -> str:
        """How its lists call a technique."""
        return self.labels.get(technique, TAMPERED)


def find_pictures(folder: Path, without: Path | None = None) -> list[Path]:
    """Picture files in a folder and its sub-folders by suffix, sorted by path, but for hidden ones.

    Args:
        folder: Where to look.
        without: A sub-folder to pass over.

    Raises:
        DataError: There is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the unpacked data set")
    found = []
    passed_over = None if without is None else without.resolve()
    # Unlike Path.rglob this follows links, with which people put large sets together.
    for root, _, files in os.walk(folder, followlinks=True):
        if passed_over is not None and Path(root).resolve().is_relative_to(passed_over):
            continue
        # Archives made on macOS carry a file `__MACOSX/._name` for every file.
        if any(part.startswith(".") or part == "__MACOSX" for part in Path(root).relative_to(folder).parts):
            continue
        paths = (Path(root, file) for file in files if not file.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"{folder} holds no pictures; give the folder that holds the unpacked data set")
    return sorted(found)


def pictures_in(folder: Path) -> list[Path]:
    """Picture files that lie in a folder itself, sorted by name; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def by_stem(paths: Iterable[Path], ending: str = "") -> dict[str, Path]:
    """Files by their names in lower case, without an ending that some of them carry.

    Raises:
        DataError: Two files share a name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        stem = path.stem.lower().removesuffix(ending)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} share a name, so a partner cannot be told; remove one")
        found[stem] = path
    return found


def only_file(folder: Path, pattern: str, what: str, option: str) -> Path:
    """The one file below a folder whose name matches.

    Raises:
        DataError: There is none, or several.
    """
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if len(found) != 1:
        names = ", ".join(str(path) for path in found) or "none"
        raise DataError(f"{folder} should hold one {what} ({pattern}), found {names}; name it with {option}")
    return found[0]


def prepared_names(paths: Sequence[Path], source: Path) -> dict[Path, str]:
    """A name without white space for each picture, different also where case does not count.

    It is the file's own; where files share it, the path below the source folder, ending included.

    Example:
        >>> folder = Path("set")
        >>> list(prepared_names([folder / "a b.jpg", folder / "1/c.tif", folder / "2/c.tif"], folder).values())
        ['a-b', '1-c-tif', '2-c-tif']
    """
    sharing: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        sharing[_word(path.stem).lower()].append(path)
    names = {}
    for path in paths:
        alone = len(sharing[_word(path.stem).lower()]) == 1
        names[path] = _word(path.stem if alone else re.sub(r"[/.:]+", "-", _below(path, source)))
    taken: dict[str, Path] = {}
    for path, name in names.items():
        other = taken.setdefault(name.lower(), path)
        if other is not path:
            raise DataError(f"{other} and {path} would get the same name; rename one of them")
    return names


def _below(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else path.as_posix().strip("/")


def _word(text: str) -> str:
    return re.sub(r"\s+", "-", as_text(text).strip())
