"""The files that `doctored detect --output` leaves beside each other: overlay, maps and JSON.

Everything is worked out in bands of rows, because picture and map of 100 megapixels already fill most of the
memory that the program allows itself; and every file appears under its name only when it is complete.
"""

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from doctored.apps.markings import Marking, mark_regions
from doctored.apps.png import write_png
from doctored.core.errors import ConfigError, DoctoredError
from doctored.core.inspection import Inspection
from doctored.core.picture import Picture

_BAND_PX = 1 << 20
_TEMPORARY_LETTERS = 40

# From dark violet over red and orange to pale yellow: lightness rises with suspicion, so that the order
# can also be seen without colour vision or in a grey print.
_STOPS = (0.0, 0.3, 0.55, 0.8, 1.0)
_COLOURS = ((66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
# Under the colours the picture is grey, so that a colour means suspicion and nothing else: a yellow bird in its
# own colours would look like a find.
_LUMA_256 = np.array([77, 150, 29], np.uint16)
_FAINTEST = 0.1
_STRONGEST_ALPHA = 0.75


class OutputError(DoctoredError):
    """Results cannot be written where they should go."""


@dataclass(frozen=True)
class OutputFiles:
    """Where the files of one input go.

    Args:
        folder: The folder of all of them.
        stem: Their common start, for instance "photo" or "photo-2".
        models: Names of the models that give a map of their own.
    """

    folder: Path
    stem: str
    models: tuple[str, ...]

    def by_kind(self) -> dict[str, Path]:
        """Paths by the keys of the JSON result's ``outputs``."""
        names = {"overlay": "overlay.png", "map": "map.png", "json": "json"}
        names |= {f"{model}_map": f"{model}.map.png" for model in self.models}
        return {kind: self.folder / f"{self.stem}.{name}" for kind, name in names.items()}


def plan_outputs(folder: Path, inputs: Sequence[str], models: Sequence[str]) -> list[OutputFiles]:
    """Give every input a stem of its own.

    The second `photo.*` becomes `photo-2`, in input order. Names that differ in case only count as the same,
    since they are the same file on many disks.

    Args:
        folder: Where all files go.
        inputs: Paths of the pictures.
        models: Names of the models that give a map of their own.
    """
    taken: set[str] = set()
    untried: dict[str, int] = {}  # of each stem; what was tried before it is taken for good
    plans = []
    for path in inputs:
        name = Path(path).stem
        number = untried.get(name.casefold(), 1)
        while True:
            stem = name + (f"-{number}" if number > 1 else "")
            plan = OutputFiles(folder, stem, tuple(models))
            names = {file.name.casefold() for file in plan.by_kind().values()}
            number += 1
            if not names & taken:
                break
        untried[name.casefold()] = number
        taken |= names
        plans.append(plan)
    return plans


def prepare_folder(folder: Path, plans: Sequence[OutputFiles], inputs: Sequence[str], *, force: bool) -> None:
    """Make the folder, and refuse before any work is done what could not be written, or must not be.

    Args:
        folder: Created with its parents if missing.
        plans: What will be written.
        inputs: Paths of the pictures, which are never overwritten.
        force: Whether results of an earlier call may be overwritten.

    Raises:
        ConfigError: a file is in the way.
        OutputError: the folder cannot be made or written to.
    """
    make_folder(folder)
    originals = {os.path.realpath(path) for path in inputs}
    for plan in plans:
        for file in plan.by_kind().values():
            if os.path.realpath(file) in originals:
                raise ConfigError(f"{file} is one of the pictures to analyse; choose another --output folder")
            # Of a name that is too long for the disk this says no; only its own picture will fail.
            if os.path.exists(file) and not force:
                raise ConfigError(
                    f"{file} already exists; choose another --output folder, or overwrite with --force"
                )


def make_folder(folder: Path) -> None:
    """Make a folder with its parents if it is missing, and see whether it can be written to.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_outputs(
    files: OutputFiles, picture: Picture, inspection: Inspection, result: dict[str, object]
) -> None:
    """Write overlay, maps and JSON of one picture; each file is complete or not there.

    Args:
        files: Where.
        picture: The picture, for the overlay.
        inspection: Its maps and regions.
        result: The JSON form of the inspection.

    Raises:
        OutputError: the disk is full or refuses to write.
    """
    paths = files.by_kind()
    size_hw = picture.size_hw
    maps = {"map": inspection.localization_map} | {
        f"{witness.name}_map": witness.localization_map for witness in inspection.witnesses
    }
    markings = mark_regions(inspection.regions, size_hw)
    overlay = overlay_bands(picture.pixels, inspection.localization_map, markings)
    write = partial(write_png, bands=overlay, size_hw=size_hw, icc_profile=rgb_profile(picture))
    write_complete(paths["overlay"], write)
    for kind, localization_map in maps.items():
        write_complete(paths[kind], partial(write_png, bands=_grey_bands(localization_map), size_hw=size_hw))
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_complete(paths["json"], lambda file: file.write(text.encode("ascii")))


def write_complete(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears under its name only when it is complete.

    Args:
        path: Of the file; one that exists is replaced.
        write: Gets it open for binary writing.

    Raises:
        OutputError: the disk is full or refuses to write.
    """
    temporary = _temporary(path)
    try:
        try:
            with open(temporary, "wb") as file:
                write(file)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _temporary(path: Path) -> Path:
    # Shortened, so that every name that the disk takes can be written.
    return path.with_name(f".{path.name[:_TEMPORARY_LETTERS]}.{os.getpid()}.part")


def _unwritable(path: Path, error: OSError) -> OutputError:
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"{path} cannot be written, since its name is too long for the disk; shorten it")
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}); "
        "make room and allow writing there, or choose another --output folder"
    )


def rgb_profile(picture: Picture) -> bytes | None:
    """The picture's colour profile, if it fits RGB pixels (that of a CMYK file does not)."""
    profile = picture.icc_profile
    return profile if profile and profile[16:20] == b"RGB " else None


def write_small_map(path: Path, localization_map: NDArray[np.float32]) -> None:
    """Write a map as a grey PNG file of 8 bits, 0..255 for 0..1.

    Raises:
        OutputError: the disk is full or refuses to write.
    """
    size_hw = localization_map.shape[0], localization_map.shape[1]
    bands = (np.rint(localization_map[rows] * np.float32(255)).astype(np.uint8) for rows in _bands(size_hw))
    write_complete(path, lambda file: write_png(file, bands, size_hw=size_hw))


def _bands(size_hw: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, _BAND_PX // size_hw[1])
    return (slice(top, top + rows) for top in range(0, size_hw[0], rows))


def _grey_bands(localization_map: NDArray[np.float32]) -> Iterator[NDArray[np.uint16]]:
    for rows in _bands(localization_map.shape):
        yield np.rint(localization_map[rows] * np.float32(65535)).astype(np.uint16)


def overlay_bands(
    pixels: NDArray[np.uint8], localization_map: NDArray[np.float32], markings: Sequence[Marking] = ()
) -> Iterator[NDArray[np.uint8]]:
    """The overlay, (rows, W, 3) uint8 at a time: the picture in grey under the colours of suspicion.

    Args:
        pixels: (H, W, 3) uint8.
        localization_map: (H, W) float32 in [0, 1].
        markings: Drawn over it, in this order.
    """
    colours, alphas = suspicion_colours()
    premultiplied = np.floor(colours * alphas[:, None]).astype(np.uint16)
    # In 256ths, so that 255 times a weight still fits 16 bits.
    keep = np.floor((1 - alphas) * 256).astype(np.uint16)
    for rows in _bands(localization_map.shape):
        levels = np.rint(localization_map[rows] * np.float32(255)).astype(np.uint8)
        grey = (pixels[rows] @ _LUMA_256) >> 8
        kept = (grey * keep[levels]) >> 8
        band = (kept[:, :, None] + premultiplied[levels]).astype(np.uint8)
        for marking in markings:
            marking.draw(band, rows.start)
        yield band


def suspicion_colours() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The colours laid over suspicious pixels.

    Returns:
        (256, 3) sRGB colours 0..255 and (256,) opacities 0..1, for likelihoods of 0, 1/255, ... 1. Both
        lightness and opacity rise with the likelihood; below 0.1 the picture stays grey.
    """
    likelihood = np.linspace(0, 1, 256)
    colours = np.stack([np.interp(likelihood, _STOPS, channel) for channel in np.transpose(_COLOURS)], axis=1)
    alphas = _STRONGEST_ALPHA * np.clip((likelihood - _FAINTEST) / (1 - _FAINTEST), 0, 1)
    return colours, alphas
