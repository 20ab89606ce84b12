"""Reading the results of scans: filtered, judged at another operating point, by score or in the order of the files."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctored.apps.scan.entries import Entry
from doctored.apps.scan.store import connect, given_path, judged_result, reading, stored_result
from doctored.core.errors import ConfigError, DataError
from doctored.core.inspection import JSON_KEYS, failed_json

if TYPE_CHECKING:
    from doctored.predict import Detector

_COLUMNS = (
    *(
        "id",
        "path",
        "error",
        "file_bytes",
        "sha256",
        "duplicate",
        "quick_look",
        "difference_hash",
        "format",
        "width",
        "height",
    ),
    *("compression", "model", "model_sha256", "precision", "raw_score", "quick_score", "verdict"),
    *("detection_score", "false_alarm_rate", "result", "map", "seconds", "analysed_at"),
)
_LARGEST = 1e300  # of a number, so that differences stay finite
_NOTHING = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("error", "sha256", "format", "model", "model_sha256", "precision"), (str, _NOTHING)),
    **dict.fromkeys(("file_bytes", "difference_hash", "width", "height"), (int, _NOTHING)),
    **dict.fromkeys(
        ("raw_score", "quick_score", "detection_score", "false_alarm_rate", "seconds"), (float, int, _NOTHING)
    ),
    **dict.fromkeys(("verdict", "result", "map"), (str, _NOTHING)),
    "compression": (float, int, str, _NOTHING),
    "analysed_at": (str,),
}
"""What may stand in the columns of a finished row; SQLite itself lets anything stand anywhere."""
_OF_ANALYSED = ("verdict", "raw_score", "result", "width", "height", "compression")
_BY_SCORE = "detection_score DESC NULLS LAST, error IS NOT NULL OR quick_look, raw_score DESC NULLS LAST, id"


@dataclass(frozen=True)
class FileResult:
    """The finished row of one file; the fields are those of `Analysis`, and where it stands.

    Args:
        store: Path of the store.
        id: Its number there.
        path: As it was found.
        file_bytes: Its length; None if unknown.
        regions: The JSON form of the regions; empty after an error.
    """

    store: Path
    id: int
    path: str
    error: str | None
    file_bytes: int | None
    sha256: str | None
    duplicate: bool
    quick_look: bool
    difference_hash: int | None
    format: str | None
    width: int | None
    height: int | None
    compression: float | str | None
    model: str | None
    model_sha256: str | None
    precision: str | None
    raw_score: float | None
    quick_score: float | None
    verdict: str | None
    detection_score: float | None
    false_alarm_rate: float | None
    result: str | None
    map: str | None
    seconds: float | None
    analysed_at: str

    @property
    def regions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [] if self.result is None else stored_result(self.result)["regions"]
        return found

    def to_json(self) -> dict[str, Any]:
        """As `doctored detect --json` prints it, with what the scan adds: the last five keys."""
        if self.result is None:
            values = failed_json(self.path, self.error or "")
        else:
            known = stored_result(self.result) | {
                "path": self.path,
                "error": None,
                "outputs": {} if self.map is None else {"map": self.map},
                "timing": {"seconds": self.seconds, "peak_memory_mb": None},
            }
            values = {key: known.pop(key, None) for key in JSON_KEYS} | known
        return values | {
            "sha256": self.sha256,
            "duplicate": self.duplicate,
            "quick_look": self.quick_look,
            "quick_score": self.quick_score,
            "analysed_at": self.analysed_at,
        }


@dataclass(frozen=True)
class Filter:
    """Which results are wanted; None leaves a question open.

    Args:
        verdict: This one only.
        errors: Files that failed, only.
        above: Detection scores of at least this; the raw score counts where there is none, that of a quick look never.
        match: Paths that match this pattern, in which * stands for anything, slashes too.
        since: Analysed then or later, in ISO 8601, UTC.
        fpr: Judge at this accepted rate of false alarms, from the stored scores.
    """

    verdict: str | None = None
    errors: bool = False
    above: float | None = None
    match: str | None = None
    since: str | None = None
    fpr: float | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """The part that does not depend on the judgement, in SQL."""
        conditions: list[tuple[str, Any]] = []
        if self.match is not None:
            conditions.append(("path GLOB ?", self.match))
        if self.since is not None:
            conditions.append(("analysed_at >= ?", self.since))
        if self.fpr is None and self.verdict is not None:
            conditions.append(("verdict = ?", self.verdict))
        if self.fpr is None and self.above is not None:
            conditions.append(("NOT quick_look AND coalesce(detection_score, raw_score) >= ?", self.above))
        parts = ["done = 1", *(["error IS NOT NULL"] if self.errors else []), *(sql for sql, _ in conditions)]
        return " AND ".join(parts), [value for _, value in conditions]

    def accepts(self, result: FileResult) -> bool:
        """The part that depends on the judgement."""
        if self.verdict is not None and result.verdict != self.verdict:
            return False
        score = None if result.quick_look else sort_score(result)
        return self.above is None or (score is not None and score >= self.above)


def sort_score(result: FileResult) -> float | None:
    """The detection score; the raw score where there is no calibration."""
    return result.raw_score if result.detection_score is None else result.detection_score


def read_results(
    store: str | Path, wanted: Filter | None = None, number: int | None = None
) -> Iterator[FileResult]:
    """The results of a scan in the order in which the files were listed, one at a time; the scan may still be running.

    Args:
        store: What `doctored scan --output` wrote.
        wanted: Which of them; None for all.
        number: The `FileResult.id` of the only one that is looked for; None for all.

    Raises:
        DataError: There is no such store.
        ConfigError: It is of another version, or a result was made by another model than is there to judge it.
    """
    yield from _read(Path(store), wanted or Filter(), "id", number)


def highest_results(stores: Sequence[Path], wanted: Filter, most: int) -> list[FileResult]:
    """The results with the highest scores of several stores, highest first; those of quick looks come last.

    Args:
        stores: Paths.
        wanted: Which of the results count.
        most: How many are returned at most.
    """

    def order(result: FileResult) -> tuple[bool, float, bool, bool, float]:
        detection, raw = result.detection_score, result.raw_score
        whole = result.error is None and not result.quick_look
        return detection is not None, detection or 0.0, whole, raw is not None, raw or 0.0

    found: list[FileResult] = []
    for store in stores:
        if wanted.fpr is None:
            with closing(_read(store, wanted, _BY_SCORE)) as results:
                found += [result for _, result in zip(range(most), results, strict=False)]
        else:
            found += heapq.nlargest(most, _read(store, wanted, "id"), key=order)
    return sorted(found, key=order, reverse=True)[:most]


def parse_since(text: str) -> str:
    """A date or a time as people write it, local unless it says otherwise, as the store has it.

    Raises:
        ConfigError: It is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:  # the latter on the first and last day of all
        raise ConfigError(f"{text!r} is no date; give one such as 2026-03-31 or 2026-03-31T14:00") from error


def stored_file(result: FileResult) -> tuple[Entry, bytes | None]:
    """Where the file of a result is, and its small map as a PNG file; None after an error."""
    with closing(connect(result.store)) as database, reading(result.store):
        row = database.execute(
            "SELECT archive, position, preview FROM files WHERE id = ?", (result.id,)
        ).fetchone()
    if row is None:  # a damaged index lists what is not there
        raise _damaged_row(result.store, result.id, "place", None)
    archive, position, preview = row
    if not isinstance(position, int | None) or not isinstance(preview, bytes | None):
        raise _damaged_row(result.store, result.id, "position or preview", position)
    entry = Entry(
        result.path, result.file_bytes, None, None if archive is None else given_path(archive), position
    )
    return entry, preview


def unfinished(store: Path) -> int:
    """How many files of a store are listed and not finished."""
    with closing(connect(store)) as database, reading(store):
        (count,) = database.execute("SELECT count(*) FROM files WHERE done = 0").fetchone()
        return int(count)


def judge_for(database: sqlite3.Connection, store: Path, fpr: float) -> Callable[[FileResult], FileResult]:
    """Judges results of a store at another operating point, with the model and calibration of its last scan.

    Args:
        database: The store, open.
        store: Its path, for messages.
        fpr: The accepted rate of false alarms.

    Raises:
        ConfigError: fpr is impossible, or when called, the result is another model's.
        ModelError: The model is not there any more.
    """
    from doctored.predict import Detector

    with reading(store):
        row = database.execute(
            "SELECT model_argument, calibration_argument FROM scans ORDER BY id DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return lambda result: result  # nothing was scanned, so nothing will come
    argument, calibration = row
    detector = Detector.from_name(argument, fpr=fpr, calibration=calibration)
    return lambda result: _judged(result, detector, store, argument)


def _judged(result: FileResult, detector: Detector, store: Path, argument: str) -> FileResult:
    if result.result is None or result.quick_look:
        return result
    if result.model_sha256 != detector.sha256:
        raise ConfigError(
            f"{store} holds results of the model {result.model} with SHA-256 {str(result.model_sha256)[:12]}..., and "
            f"{argument} is {detector.sha256[:12]}... now; scan again to have all of one model"
        )
    assert result.raw_score is not None
    assert result.height is not None
    assert result.width is not None
    assert result.compression is not None
    judgement = detector.judge(result.raw_score, (result.height, result.width), result.compression)
    return replace(
        result,
        verdict=judgement.verdict,
        detection_score=judgement.detection_score,
        false_alarm_rate=judgement.false_alarm_rate,
        result=judged_result(result.result, judgement),
    )


def _read(
    store: Path, wanted: Filter, order: str, number: int | None = None
) -> Generator[FileResult, None, None]:
    condition, values = wanted.condition()
    if number is not None:
        condition, values = f"id = ? AND {condition}", [number, *values]
    with closing(connect(store)) as database, reading(store):
        judge = None if wanted.fpr is None else judge_for(database, store, wanted.fpr)
        rows = database.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM files WHERE {condition} ORDER BY {order}", values
        )
        for number, path, error, file_bytes, sha256, duplicate, quick_look, *others in rows:
            flags = bool(duplicate), bool(quick_look)
            result = FileResult(store, number, given_path(path), error, file_bytes, sha256, *flags, *others)
            _check_row(result)
            if judge is not None:
                result = judge(result)
            if wanted.accepts(result):
                yield result


def _check_row(result: FileResult) -> None:
    """Refuse a row that no scan wrote.

    Raises:
        DataError: A value is of another kind, or missing.
    """
    for name, kind in _KINDS.items():
        value = getattr(result, name)
        if not isinstance(value, kind) or (isinstance(value, float) and not abs(value) < _LARGEST):
            raise _damaged_row(result.store, result.id, name, value)
    if result.error is None:
        for name in _OF_ANALYSED:
            if getattr(result, name) is None:
                raise _damaged_row(result.store, result.id, name, None)
    if result.verdict not in (None, "manipulated", "no_signs", "cannot_judge"):
        raise _damaged_row(result.store, result.id, "verdict", result.verdict)


def _damaged_row(store: Path, number: int, column: str, value: Any) -> DataError:
    return DataError(
        f"row {number} of {store} is damaged: its {column} is {value!r:.80}; scan the files again into a new store"
    )
