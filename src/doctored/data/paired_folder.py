"""A folder of forged pictures, their masks and perhaps authentic pictures, paired by name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from doctored.core.errors import ConfigError, DataError
from doctored.core.name_digest import name_digest
from doctored.data.photographs import some_of


@dataclass(frozen=True)
class PairedFolder:
    """What a benchmark folder holds.

    Args:
        forged: Pictures and their masks, sorted by name.
        authentic: Pictures without manipulation, sorted by name; empty where the folder has none.
    """

    forged: tuple[tuple[Path, Path], ...]
    authentic: tuple[Path, ...]

    def limited(self, limit: int) -> "PairedFolder":
        """A fixed subset: half of the limit from each class, or all of it from forged where that is all there is.

        Pictures are taken in the order of a hash of their file names, so a smaller subset is part of a larger one
        and nobody chose it.

        Raises:
            ConfigError: The limit leaves no picture of a class.
        """
        each = limit // 2 if self.authentic else limit
        if each < 1:
            raise ConfigError(
                f"limit must be at least {2 if self.authentic else 1} for this folder, got {limit}"
            )
        forged = sorted(self.forged, key=lambda pair: name_digest(pair[0].name))[:each]
        authentic = sorted(self.authentic, key=lambda path: name_digest(path.name))[:each]
        return PairedFolder(tuple(sorted(forged)), tuple(sorted(authentic)))


def list_pairs(folder: Path) -> PairedFolder:
    """Find `images/`, `masks/` (a mask has the stem of its picture) and, if present, `authentic/` in a folder.

    Raises:
        DataError: A folder is missing or empty, two files of one folder share a stem, or a file has no partner.
    """
    images, masks = _by_stem(folder / "images"), _by_stem(folder / "masks")
    for kind, without in (
        ("pictures without a mask", images.keys() - masks.keys()),
        ("masks without a picture", masks.keys() - images.keys()),
    ):
        if without:
            raise DataError(
                f"{folder} holds {kind}: {some_of(sorted(without))}; add the partner of the same name"
            )
    authentic = folder / "authentic"
    return PairedFolder(
        forged=tuple((images[stem], masks[stem]) for stem in sorted(images)),
        authentic=tuple(_by_stem(authentic).values()) if authentic.exists() else (),
    )


def list_ignore_masks(folder: Path, forged: Collection[str]) -> dict[str, Path]:
    """Find the masks of pixels that count as neither, in `ignore/`, by stem; none where a folder has no such masks.

    Only manipulated pictures have one: of an authentic picture every pixel counts.

    Args:
        folder: Holds `images/` and perhaps `ignore/`.
        forged: Stems of the pictures in `images/`.

    Raises:
        DataError: Two masks share a stem, or one has no manipulated picture.
    """
    ignore = folder / "ignore"
    masks = _told_apart(_files_in(ignore)) if ignore.is_dir() else {}
    alone = sorted(masks.keys() - set(forged))
    if alone:
        raise DataError(
            f"{ignore} holds masks whose names no picture in images/ has: {some_of(alone)}; remove or rename them"
        )
    return masks


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not there; a benchmark folder holds images/, masks/ and perhaps authentic/"
        )
    paths = _files_in(folder)
    if not paths:
        raise DataError(f"{folder} is empty; expected picture files")
    return _told_apart(paths)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _told_apart(paths: Sequence[Path]) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for path in paths:
        if path.stem in by_stem:
            raise DataError(f"{by_stem[path.stem]} and {path.name} share a name, so a partner cannot be told")
        by_stem[path.stem] = path
    return by_stem
