"""A pool of photographs in two files: prepared once, then shared by all processes that make forgeries from it."""

import hashlib
import json
import os
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.core.forgery import Outline, Source
from doctored.core.json_text import parse_json
from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.data.coco_annotations import read_annotations
from doctored.data.photographs import Photograph, Skipped, none_usable, some_of, usable_pictures
from doctored.synth.histories import JPEG_GRID_PX
from doctored.synth.masks import outline_area_px, outline_of

_PIXELS, _INDEX, _FORMAT = "pixels.npy", "index.json", 3
_UNFINISHED = ".part"
_LEFT_BEHIND_SECONDS = 3600  # no photograph takes that long, so nobody writes any more
_ENDS_BYTES = 1 << 16
# Which sides an orientation exchanges or counts from the other end: (rows reversed, columns reversed).
_REVERSED = {
    2: (False, True),
    3: (True, True),
    4: (True, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}


def read_source(photograph: Photograph, objects: Sequence[Outline] = ()) -> Source:
    """Read one photograph to make forgeries from.

    Raises:
        ImageReadError: As `read_image`.
    """
    return _source(photograph, read_image(photograph.path), objects)


def annotated_outlines(path: Path, photographs: Sequence[Photograph]) -> dict[str, list[Outline]]:
    """The outlines of a COCO-style annotation file, by file of the photographs that they belong to.

    A photograph is meant where its name is that of the annotated picture, or ends in it: annotation files name
    pictures relative to a folder of their own, which may be a sub-folder of the photographs'.

    Args:
        path: The annotation file.
        photographs: In any order.

    Returns:
        Nothing for photographs that the file does not outline.

    Raises:
        DataError: The file cannot be read or is no such file, or outlines none of the photographs, or names a
            picture that could be several of them.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for photograph in photographs:
        parts = photograph.file.split("/")
        for first in range(len(parts)):
            by_name["/".join(parts[first:])].append(photograph.file)
    outlines = {}
    for picture in read_annotations(path):
        files = by_name.get(picture.file, [])
        if len(files) > 1:
            raise DataError(
                f"{path} outlines {picture.file}, which could be any of {some_of(files)}; "
                "name pictures with enough folders to tell them apart"
            )
        if files:
            found = [outline_of(annotated.mask(picture.size_hw)) for annotated in picture.objects]
            # A line of pixels has an outline, but nothing that could be cut out.
            outlines[files[0]] = [outline for outline in found if outline_area_px(outline) > 0]
    if not outlines:
        raise DataError(
            f"{path} outlines none of the {len(photographs)} photographs; its file names must be theirs, or the last "
            "parts of theirs"
        )
    return outlines


class PhotographPool(Sequence[Source]):
    """Photographs by position, their pixels mapped from one file.

    Worker processes share the memory whether they are forked or spawned, since only the folder's name travels.

    Args:
        folder: Made by `build_pool`.
        asked: What it must have been asked to hold; None for anything.

    Raises:
        DataError: The folder holds no complete pool of this version, or one that was asked for something else.
    """

    def __init__(self, folder: Path, asked: str | None = None) -> None:
        self.folder = folder
        try:
            index = parse_json((folder / _INDEX).read_text(encoding="utf-8"))
            self._pixels: NDArray[np.uint8] = np.load(folder / _PIXELS, mmap_mode="r")
            pixels_of = _asked_of_pixels(folder / _PIXELS)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{folder} holds no pool of photographs ({error}); build it first") from error
        try:
            if index["format"] != _FORMAT or index["bytes"] != self._pixels.size:
                raise ValueError("of another version, or incomplete")
            self.asked: str = index["asked"]
            if pixels_of != self.asked:
                raise ValueError("its two files belong to different pools")
            self._sources = [self._mapped(entry) for entry in index["photographs"]]
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise DataError(
                f"the pool of photographs in {folder} is damaged or of another version ({error!r}); build it again"
            ) from error
        if asked not in (None, self.asked):
            raise DataError(
                f"another run replaced the pool of photographs in {folder}; give runs of different photographs or "
                "settings pools of their own"
            )

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, position: Any) -> Any:
        return self._sources[position]

    def __reduce__(self) -> tuple[type["PhotographPool"], tuple[Path, str]]:
        return PhotographPool, (self.folder, self.asked)

    def _mapped(self, entry: dict[str, Any]) -> Source:
        height, width = entry["size_hw"]
        start = entry["start"]
        return Source(
            file=entry["file"],
            sha256=entry["sha256"],
            pixels=self._pixels[start : start + height * width * 3].reshape(height, width, 3),
            objects=tuple(
                tuple(np.array(ring, np.int32) for ring in outline) for outline in entry["objects"]
            ),
            group=entry["group"],
            grid_yx=(entry["grid_yx"][0], entry["grid_yx"][1]),
        )


def prepared_pool(
    photographs: Sequence[Photograph],
    folder: Path,
    *,
    min_side_px: int = 1,
    annotated: Mapping[str, Sequence[Outline]] | None = None,
) -> tuple[PhotographPool, list[Skipped]]:
    """The pool in a folder if it was built from these photographs with these limits, else a new one.

    Args, Returns, Raises: As `build_pool`; of a pool that was already there nothing is listed as skipped.
    """
    try:
        pool = PhotographPool(folder)
        if pool.asked == _asked(photographs, min_side_px, annotated or {}):
            return pool, []
    except DataError:
        pass  # nothing there, or of no use: it is built below
    return build_pool(photographs, folder, min_side_px=min_side_px, annotated=annotated)


def build_pool(
    photographs: Sequence[Photograph],
    folder: Path,
    *,
    min_side_px: int = 1,
    annotated: Mapping[str, Sequence[Outline]] | None = None,
) -> tuple[PhotographPool, list[Skipped]]:
    """Prepare a pool: read every photograph once, and look for objects in it.

    Several processes may do so at once in one folder: each writes files of its own, which take the place of others when
    they are complete. Whoever has a pool open keeps it.

    Args:
        photographs: In any order, which is kept.
        folder: Made if needed; a pool in it is replaced.
        min_side_px: Photographs with a shorter side are skipped.
        annotated: Known objects by photograph's file, in addition to those found in the pixels.

    Returns:
        The pool, and what was skipped.

    Raises:
        DataError: No photograph is left.
    """
    from doctored.synth.objects import find_objects

    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    start = 0
    asked = _asked(photographs, min_side_px, annotated or {})
    mine = secrets.token_hex(4)
    pixels, index = (folder / f".{name}.{mine}{_UNFINISHED}" for name in (_PIXELS, _INDEX))
    try:
        with pixels.open("wb") as file:
            _remove_left_behind(folder, pixels.stat().st_mtime)
            _write_header(file, 0)
            for photograph, picture in usable_pictures(photographs, skipped, min_side_px=min_side_px):
                known = (annotated or {}).get(photograph.file, ())
                source = _source(photograph, picture, (*known, *find_objects(picture.pixels)))
                file.write(np.ascontiguousarray(source.pixels).data)
                entries.append(_entry(source, start))
                start += source.pixels.size
            file.write(asked.encode())
            file.seek(0)
            _write_header(file, start)
        if not entries:
            raise none_usable(skipped)
        described = {"format": _FORMAT, "asked": asked, "bytes": start, "photographs": entries}
        index.write_text(json.dumps(described, separators=(",", ":")), encoding="utf-8")
        os.replace(pixels, folder / _PIXELS)
        os.replace(index, folder / _INDEX)
    finally:
        for unfinished in (pixels, index):
            unfinished.unlink(missing_ok=True)
    return PhotographPool(folder, asked), skipped


def _remove_left_behind(folder: Path, now: float) -> None:
    """Remove what a process that was killed had written of a pool.

    Args:
        folder: Of the pool.
        now: By the clock of the disk, which may be another machine's.
    """
    for unfinished in folder.glob(f".*{_UNFINISHED}"):
        try:
            if now - unfinished.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                unfinished.unlink()
        except OSError:
            pass  # another process has just completed or removed it


def _source(photograph: Photograph, picture: Picture, objects: Sequence[Outline]) -> Source:
    grid_yx = tuple(
        side % JPEG_GRID_PX if from_the_end else 0
        for side, from_the_end in zip(
            picture.size_hw, _REVERSED.get(picture.orientation, (False, False)), strict=True
        )
    )
    return Source(
        file=photograph.file,
        sha256=picture.sha256,
        pixels=picture.pixels,
        objects=tuple(objects),
        group=_group(photograph),
        grid_yx=(grid_yx[0], grid_yx[1]),
    )


def _asked(
    photographs: Sequence[Photograph], min_side_px: int, annotated: Mapping[str, Sequence[Outline]]
) -> str:
    """A hash of what a pool was asked to hold: names, groups, content and known objects of the photographs."""
    asked = hashlib.sha256(json.dumps(min_side_px).encode())
    for photograph in photographs:
        outlines = [[ring.tolist() for ring in outline] for outline in annotated.get(photograph.file, ())]
        facts = [photograph.file, _group(photograph), _content(photograph.path), outlines]
        asked.update(json.dumps(facts).encode())
    return asked.hexdigest()


def _content(path: Path) -> tuple[int, str] | None:
    """Size of a file and a hash of its two ends; None if it cannot be read.

    Reading whole files would take as long as half of building the pool. What is compressed differs to its end.
    """
    try:
        with path.open("rb") as file:
            ends = file.read(_ENDS_BYTES)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(ends), size - _ENDS_BYTES))
            return size, hashlib.sha256(ends + file.read()).hexdigest()
    except OSError:
        return None


def _asked_of_pixels(path: Path) -> str:
    """What the pool was asked to hold that a file of pixels was written for: it stands behind them."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - hashlib.sha256().digest_size * 2))
        return file.read().decode("ascii", errors="replace")


def _group(photograph: Photograph) -> str:
    return photograph.camera or photograph.source or ""


def _entry(source: Source, start: int) -> dict[str, Any]:
    return {
        "file": source.file,
        "sha256": source.sha256,
        "size_hw": list(source.size_hw),
        "start": start,
        "objects": [[ring.tolist() for ring in outline] for outline in source.objects],
        "group": source.group,
        "grid_yx": list(source.grid_yx),
    }


def _write_header(file: BinaryIO, size: int) -> None:
    """Write the header of a .npy file; NumPy gives it the same length for any size, so it can be written again."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)
