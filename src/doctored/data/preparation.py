"""Published data sets, brought into one layout.

`images/`, `masks/` (same name, white where manipulated), `authentic/`, where a set has them `ignore/`, and
`manifest.csv`; in `lists/` the boxes in the format of Constrained R-CNN; in `left_out.csv` every file that could not
be used, with the reason. Pictures are copied byte for byte, masks are written anew as PNG.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.read_image import read_image, read_mask
from doctored.data.benchmarks.entries import Benchmark, Entry, Listing, Options, prepared_names
from doctored.data.boxes import BoxRule, boxes_from_mask
from doctored.data.list_files import Box, ListedPicture, list_line
from doctored.data.photographs import Photograph, Skipped
from doctored.data.prepared_set import (
    AUTHENTIC,
    IGNORE,
    IMAGES,
    LISTS,
    MANIFEST,
    MANIFEST_COLUMNS,
    MASKS,
    ManifestRow,
)
from doctored.data.result_files import fingerprint, mask_png, table
from doctored.data.resumable_folder import open_folder, work_through, write_file

LEFT_OUT, PROGRESS = "left_out.csv", "progress.jsonl"
RESULTS = (IMAGES, MASKS, AUTHENTIC, IGNORE, LISTS, MANIFEST, LEFT_OUT, PROGRESS)
_VERSION = 1
"""Of what the files say; a folder that another one began is not gone on with."""


@dataclass(frozen=True)
class Preparation:
    """What came of it.

    Attributes:
        rows: The manifest.
        left_out: Files that could not be used, with the reason.
        warnings: Sentences about numbers that are not the published ones, and masks that look inverted.
    """

    rows: Sequence[ManifestRow]
    left_out: Sequence[Skipped]
    warnings: Sequence[str]


def prepare(
    benchmark: Benchmark,
    source: Path,
    output: Path,
    options: Options | None = None,
    *,
    split: str | None = None,
    workers: int = 1,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Preparation:
    """Bring a published set into the common layout, or go on with it.

    Args:
        benchmark: The set.
        source: Where it was unpacked.
        output: Where to put it, outside the source.
        options: What the set needs besides.
        split: Only "train" or "test"; None takes both.
        workers: Number of processes.
        force: Whether what another command left in `output` may be removed.
        on_progress: Called with the numbers of pictures done and to do.

    Raises:
        ConfigError: An option that the set does not take, a split that it does not have, or an `output` that holds
            something else or lies in the source.
        DataError: Nothing of the set is in `source`, or its files contradict each other, or the disk refuses.
    """
    options = options or Options()
    _check_options(benchmark, options)
    if output.resolve().is_relative_to(source.resolve()):
        raise ConfigError(
            f"{output} lies in {source}, which would then hold pictures twice; choose another --output"
        )
    listing = benchmark.read(source, options)
    if not listing.entries:
        first = (
            f" (the first: {listing.left_out[0].file} {listing.left_out[0].reason})"
            if listing.left_out
            else ""
        )
        raise DataError(
            f"{source} holds no usable picture of {benchmark.name}{first}; docs/datasets.md says what should be there"
        )
    entries = _of_split(benchmark, listing, split)
    command = {
        "command": "data prepare",
        "version": _VERSION,
        "set": benchmark.name,
        "split": split,
        **{name: _shown(value) for name, value in asdict(options).items()},
        "files": _fingerprint(entries, source),
    }
    open_folder(output, command, RESULTS, force=force)
    try:
        rows, unusable = _work(benchmark, entries, source, output, workers, on_progress)
        left_out = [
            *(Skipped(_relative(one.file, source), one.reason) for one in listing.left_out),
            *unusable,
        ]
        _write_tables(benchmark, output, rows, left_out)
    except OSError as error:
        raise DataError(
            f"{output} cannot be written ({error}); make room or choose another folder"
        ) from error
    whole = split is None or len(entries) == len(listing.entries)
    return Preparation(
        rows, left_out, [*_count_warnings(benchmark, rows, None if whole else split), *_polarity(rows)]
    )


@dataclass(frozen=True)
class _Task:
    """One picture to prepare: the key is its folder and name in the output."""

    key: str
    entry: Entry


@dataclass(frozen=True)
class EntryWriter:
    """Writes the files of one picture, and returns its row of the manifest, or why there is none.

    Args:
        source: Folder of the published set.
        output: Folder of the prepared set.
        boxes: Which areas of a mask get a box.
    """

    source: Path
    output: Path
    boxes: BoxRule

    def __call__(self, task: _Task) -> dict[str, Any]:
        source_file = _relative(str(task.entry.image), self.source)
        try:
            return {"row": self._write(task, source_file).to_csv()}
        except DoctoredError as error:
            return {"left_out": source_file, "reason": str(error)}

    def _write(self, task: _Task, source_file: str) -> ManifestRow:
        entry, name = task.entry, task.key.partition("/")[2]
        picture = read_image(entry.image)
        mask = ignore = ""
        notes, boxes, fraction = [entry.note], entry.boxes_xyxy, None
        if entry.mask is not None:
            gt_mask, note = entry.mask.mask_of(picture)
            if gt_mask.all() or not gt_mask.any():
                raise DataError(f"its mask marks {'every' if gt_mask.all() else 'no'} pixel")
            notes.append(note)
            fraction = round(float(gt_mask.mean()), 6)
            boxes = boxes_from_mask(gt_mask, self.boxes) if boxes is None else boxes
            mask = f"{MASKS}/{name}.png"
            write_file(self.output / mask, mask_png(gt_mask))
        if entry.ignore is not None:
            ignore = f"{IGNORE}/{name}.png"
            write_file(self.output / ignore, mask_png(read_mask(entry.ignore, picture.size_hw)))
        inside, note = _inside(boxes or (), picture.size_hw)
        file = f"{task.key}{entry.image.suffix}"
        write_file(self.output / file, entry.image.read_bytes())
        note = "; ".join(filter(None, [*notes, note]))
        return ManifestRow(
            name, file, mask, ignore, entry.technique, entry.split, fraction, inside, source_file, note
        )


def _check_options(benchmark: Benchmark, options: Options) -> None:
    for name, value in asdict(options).items():
        if value is not None and name not in benchmark.takes:
            takes = ", ".join(f"--{one}" for one in benchmark.takes) or "no such option"
            raise ConfigError(f"{benchmark.name} has no use for --{name}; it takes {takes}")


def _of_split(benchmark: Benchmark, listing: Listing, split: str | None) -> list[Entry]:
    entries = [entry for entry in listing.entries if split is None or entry.split == split]
    if not entries:
        known = ", ".join(sorted({entry.split for entry in listing.entries} - {""})) or "none"
        raise ConfigError(f"{benchmark.name} has no split {split!r}; it has {known}")
    return entries


def _fingerprint(entries: Iterable[Entry], source: Path) -> str:
    """Of the names and sizes of all files that the result depends on."""
    paths = {
        path
        for entry in entries
        for path in (entry.image, entry.ignore, *(entry.mask.paths if entry.mask is not None else ()))
        if path is not None
    }
    return fingerprint(Photograph(path, _relative(str(path), source)) for path in sorted(paths))


def _work(
    benchmark: Benchmark,
    entries: Sequence[Entry],
    source: Path,
    output: Path,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> tuple[list[ManifestRow], list[Skipped]]:
    """Prepare every picture that an earlier call has not; rows and unusable files in the order of names."""
    tasks = []
    for folder, chosen in (
        (IMAGES, [entry for entry in entries if entry.technique != "authentic"]),
        (AUTHENTIC, [entry for entry in entries if entry.technique == "authentic"]),
    ):
        names = prepared_names([entry.image for entry in chosen], source)
        tasks += [_Task(f"{folder}/{names[entry.image]}", entry) for entry in chosen]
    tasks.sort(key=lambda task: task.key)
    for folder, wanted in (
        (IMAGES, any(entry.technique != "authentic" for entry in entries)),
        (AUTHENTIC, any(entry.technique == "authentic" for entry in entries)),
        (MASKS, any(entry.mask is not None for entry in entries)),
        (IGNORE, any(entry.ignore is not None for entry in entries)),
    ):
        if wanted:
            (output / folder).mkdir(exist_ok=True)
    done = _earlier_results(output / PROGRESS)
    missing = [task for task in tasks if task.key not in done]
    on_progress(len(done), len(tasks))
    with (output / PROGRESS).open("a", encoding="utf-8", newline="") as progress:

        def note(task: _Task, result: dict[str, Any]) -> None:
            done[task.key] = result
            progress.write(json.dumps({"key": task.key, **result}) + "\n")
            progress.flush()
            on_progress(len(done), len(tasks))

        work_through(EntryWriter(source, output, benchmark.boxes), missing, workers, note)
    results = [done[task.key] for task in tasks]
    rows = [ManifestRow.from_csv(result["row"]) for result in results if "row" in result]
    return rows, [Skipped(result["left_out"], result["reason"]) for result in results if "left_out" in result]


def _earlier_results(path: Path) -> dict[str, dict[str, Any]]:
    """What an earlier call finished; a line that it was writing when it was stopped is removed."""
    if not path.is_file():
        return {}
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    results = [json.loads(line) for line in whole.splitlines()]
    write_file(path, f"{whole}\n".encode() if whole else b"")
    return {result.pop("key"): result for result in results}


def _write_tables(
    benchmark: Benchmark, output: Path, rows: Sequence[ManifestRow], left_out: Sequence[Skipped]
) -> None:
    (output / LISTS).mkdir(exist_ok=True)
    listed = [row for row in rows if row.boxes_xyxy]
    for split in sorted({row.split for row in listed}):
        lines = [_list_line(benchmark, row) + "\n" for row in listed if row.split == split]
        write_file(output / LISTS / f"{split or 'all'}.txt", "".join(lines).encode())
    write_file(output / LEFT_OUT, table(("file", "reason"), [asdict(one) for one in left_out]))
    write_file(output / MANIFEST, table(MANIFEST_COLUMNS, [row.to_csv() for row in rows]))


def _list_line(benchmark: Benchmark, row: ManifestRow) -> str:
    labels = (benchmark.label(row.technique),) * len(row.boxes_xyxy)
    return list_line(
        ListedPicture(row.name, row.boxes_xyxy, labels), counts_from_one=benchmark.counts_from_one
    )


def _count_warnings(benchmark: Benchmark, rows: Sequence[ManifestRow], split: str | None) -> list[str]:
    """A sentence for each number that is not the published one; of a split, only its own number is known."""
    counts: Counter[str] = Counter()
    for row in rows:
        kinds = ("authentic",) if row.technique == "authentic" else ("manipulated", row.split)
        counts.update(kinds)
    return [
        f"{benchmark.name}: {counts[kind]} {_KINDS[kind]} prepared, {number} published"
        for kind, number in benchmark.published.items()
        if counts[kind] != number and (split is None or kind == split)
    ]


_KINDS = {
    "manipulated": "manipulated pictures",
    "authentic": "authentic pictures",
    "train": "manipulated pictures for training",
    "test": "manipulated pictures for testing",
}


def _polarity(rows: Sequence[ManifestRow]) -> list[str]:
    fractions = [row.manipulated_fraction for row in rows if row.manipulated_fraction is not None]
    large = sum(fraction > 0.5 for fraction in fractions)
    if 2 * large <= len(fractions):
        return []
    return [f"{large} of {len(fractions)} masks mark more than half of their picture; they may be inverted"]


def _inside(boxes: Sequence[Box], size_hw: tuple[int, int]) -> tuple[tuple[Box, ...], str]:
    """Boxes cut at the picture's border, and a note where that changed one.

    Raises:
        DataError: Nothing of a box is left.
    """
    height, width = size_hw
    cut = tuple((x1, y1, min(x2, width), min(y2, height)) for x1, y1, x2, y2 in boxes)
    for before, (left, top, right, bottom) in zip(boxes, cut, strict=True):
        if left >= right or top >= bottom:
            raise DataError(f"its box {before} lies outside of the picture of {width} x {height} pixels")
    return cut, "" if cut == tuple(boxes) else "boxes cut at the border of the picture"


def _relative(file: str, source: Path) -> str:
    path = Path(file)
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else path.as_posix()


def _shown(value: Path | str | None) -> str | None:
    return None if value is None else str(value)
