"""What is wrong with a folder of forgeries and their masks, file by file."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from doctored.core.errors import DataError, DoctoredError
from doctored.core.read_image import read_image, read_mask
from doctored.data.prepared_set import (
    AUTHENTIC,
    IGNORE,
    IMAGES,
    MANIFEST,
    MASKS,
    manifest_problems,
    read_manifest,
)
from doctored.data.resumable_folder import work_through


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is wrong with a file.

    Attributes:
        file: Relative to the folder, with forward slashes.
        kind: "ambiguous", "unpaired", "unreadable", "size", "empty", "full", "duplicate" or "manifest".
        reason: A sentence without the file's name.
    """

    file: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.file}: {self.reason}"


def check_folder(
    folder: Path, *, workers: int = 1, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Problem]:
    """Look at every picture and mask of a folder in the layout of benchmarks.

    Args:
        folder: Holds `images/` with `masks/` of the same names, perhaps `authentic/`, `ignore/` and `manifest.csv`.
            Masks may only be missing where the manifest says so.
        workers: Number of processes.
        on_progress: Called with the numbers of pictures done and to do.

    Returns:
        All problems, sorted by file.

    Raises:
        DataError: The folder holds neither `images/` nor `authentic/`.
    """
    if not (folder / IMAGES).is_dir() and not (folder / AUTHENTIC).is_dir():
        raise DataError(
            f"{folder} holds neither {IMAGES}/ nor {AUTHENTIC}/; give a folder in the layout of benchmarks"
        )
    problems: list[Problem] = []
    files = {kind: _by_stem(folder / kind, problems) for kind in (IMAGES, MASKS, AUTHENTIC, IGNORE)}
    without_mask = _check_manifest(folder, problems)
    _check_pairs(files, without_mask, problems)
    tasks = [
        _Task(path, IMAGES, files[MASKS].get(stem), files[IGNORE].get(stem))
        for stem, path in files[IMAGES].items()
    ]
    tasks += [_Task(path, AUTHENTIC, None, None) for path in files[AUTHENTIC].values()]
    same: dict[str, list[str]] = defaultdict(list)
    done = 0

    def note(task: _Task, result: tuple[str | None, list[Problem]]) -> None:
        nonlocal done
        done += 1
        sha256, found = result
        problems.extend(found)
        if sha256 is not None:
            same[sha256].append(f"{task.kind}/{task.picture.name}")
        on_progress(done, len(tasks))

    work_through(_check_task, tasks, workers, note)
    for group in same.values():
        first, *others = sorted(group)
        problems += [Problem(other, "duplicate", f"has the same bytes as {first}") for other in others]
    return sorted(problems)


@dataclass(frozen=True)
class _Task:
    """A picture with the masks that go with it."""

    picture: Path
    kind: str
    mask: Path | None
    ignore: Path | None


def _check_task(task: _Task) -> tuple[str | None, list[Problem]]:
    """The hash of a picture's bytes, None where it cannot be read, and what is wrong with it and its masks."""
    problems: list[Problem] = []
    sha256 = size_hw = None
    try:
        picture = read_image(task.picture)
        sha256, size_hw = picture.sha256, picture.size_hw
    except DoctoredError as error:
        problems.append(Problem(f"{task.kind}/{task.picture.name}", "unreadable", str(error)))
    for kind, path in ((MASKS, task.mask), (IGNORE, task.ignore)):
        if path is None:
            continue
        file = f"{kind}/{path.name}"
        try:
            mask = read_mask(path)
        except DoctoredError as error:
            problems.append(Problem(file, "unreadable", str(error)))
            continue
        if size_hw is not None and mask.shape != size_hw:
            sizes = f"is {mask.shape[1]} x {mask.shape[0]} pixels but its picture {size_hw[1]} x {size_hw[0]}"
            problems.append(Problem(file, "size", sizes))
        if mask.all():
            problems.append(Problem(file, "full", "marks every pixel"))
        elif kind == MASKS and not mask.any():
            problems.append(Problem(file, "empty", "marks no pixel"))
    return sha256, problems


def _by_stem(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    """Files by name; of those that share one, only the first, and the others are problems."""
    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        other = found.setdefault(path.stem, path)
        if other is not path:
            file = f"{folder.name}/{path.name}"
            problems.append(
                Problem(file, "ambiguous", f"has the name of {other.name}, so a partner cannot be told")
            )
    return found


def _check_pairs(
    files: Mapping[str, Mapping[str, Path]], without_mask: frozenset[str], problems: list[Problem]
) -> None:
    for stem, path in files[IMAGES].items():
        file = f"{IMAGES}/{path.name}"
        if stem not in files[MASKS] and file not in without_mask:
            problems.append(Problem(file, "unpaired", f"has no mask of its name in {MASKS}/"))
    for kind in (MASKS, IGNORE):  # authentic pictures have neither
        for stem, path in files[kind].items():
            if stem not in files[IMAGES]:
                problems.append(
                    Problem(f"{kind}/{path.name}", "unpaired", f"has no picture of its name in {IMAGES}/")
                )


def _check_manifest(folder: Path, problems: list[Problem]) -> frozenset[str]:
    """Note what a manifest and the files disagree on; returns the manipulated pictures that have boxes only."""
    if not (folder / MANIFEST).is_file():
        return frozenset()
    try:
        rows = read_manifest(folder)
    except DataError as error:
        problems.append(Problem(MANIFEST, "manifest", str(error)))
        return frozenset()
    missing, unnamed = manifest_problems(folder, rows)
    problems += [Problem(file, "manifest", f"is listed in {MANIFEST} but is not there") for file in missing]
    problems += [Problem(file, "manifest", f"is not listed in {MANIFEST}") for file in unnamed]
    return frozenset(row.file for row in rows if not row.mask)
