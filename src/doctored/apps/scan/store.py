"""The store of a scan: one SQLite file with one row for each input file.

The scan writes each row as it is finished; a row survives the end of the process at once, and a power cut after at most
`SYNC_SECONDS`. Others may read at the same time.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctored.apps.scan.analyse import Analysis, EarlierLook, Task, map_path, now
from doctored.apps.scan.entries import Entry
from doctored.core.errors import ConfigError, DataError
from doctored.core.json_text import parse_json

if TYPE_CHECKING:
    from doctored.predict.verdict import Judgement

APPLICATION_ID = 0x646F6374  # "doct": how SQLite files say whose they are
SCHEMA_VERSION = 2
SYNC_SECONDS = 1.0
DAMAGED = (sqlite3.Error, UnicodeDecodeError, OverflowError)
"""What SQLite raises on damaged files; the second where a name in one is no UTF-8."""

_ENTRIES_AT_ONCE = 10_000
_JOBS_AT_ONCE = 500
_ENTRY_COLUMNS = ("path", "file_bytes", "modified", "archive", "position")
_ANALYSIS_COLUMNS = tuple(field.name for field in fields(Analysis))

_SCHEMA = """
CREATE TABLE scans (
    id INTEGER PRIMARY KEY,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    version TEXT NOT NULL,
    sources TEXT NOT NULL,
    model_argument TEXT NOT NULL,
    model TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    precision TEXT NOT NULL,
    operating_point REAL NOT NULL,
    calibration_argument TEXT,
    calibration_sha256 TEXT,
    limits TEXT NOT NULL,
    fast REAL,
    passed_over INTEGER
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path NOT NULL UNIQUE,
    file_bytes INTEGER,
    modified TEXT,
    archive,
    position INTEGER,
    scan INTEGER NOT NULL,
    done INTEGER NOT NULL,
    limits TEXT,
    error TEXT,
    sha256 TEXT,
    duplicate INTEGER,
    quick_look INTEGER,
    difference_hash INTEGER,
    format TEXT,
    width INTEGER,
    height INTEGER,
    compression,
    model TEXT,
    model_sha256 TEXT,
    precision TEXT,
    raw_score REAL,
    quick_score REAL,
    verdict TEXT,
    detection_score REAL,
    false_alarm_rate REAL,
    operating_point REAL,
    result TEXT,
    preview BLOB,
    map TEXT,
    seconds REAL,
    analysed_at TEXT,
    kept BLOB,
    reason TEXT GENERATED ALWAYS AS (json_extract(result, '$.reason')) VIRTUAL,
    regions TEXT GENERATED ALWAYS AS (json_extract(result, '$.regions')) VIRTUAL,
    witnesses TEXT GENERATED ALWAYS AS (json_extract(result, '$.witnesses')) VIRTUAL,
    picture TEXT GENERATED ALWAYS AS (json_extract(result, '$.picture')) VIRTUAL
);
CREATE INDEX files_to_do ON files (scan, id) WHERE done = 0;
CREATE INDEX files_by_sha256 ON files (sha256);
CREATE INDEX files_by_score ON files (detection_score);
CREATE INDEX files_with_error ON files (id) WHERE error IS NOT NULL;
"""

_HAS_MAP = "(:maps IS NULL OR map IS map_path(:maps, sha256))"
_HOLDS = f"""(
    (NOT quick_look AND model = :model AND model_sha256 = :model_sha256 AND (:any_precision OR precision = :precision)
        AND {_HAS_MAP})
    OR (quick_look AND model IS :quick_model AND model_sha256 IS :quick_sha256
        AND (:any_precision OR precision = :quick_precision)))"""
"""Whether a row without error holds what is wanted."""

# The plus keeps SQLite from going by the index of the hashes: rows are read in their order, once.
_CHOSEN = f"""scan = :scan AND done = 1 AND error IS NULL AND +sha256 IN (SELECT sha256 FROM temp.chosen)
    AND (quick_look OR NOT {_HAS_MAP})"""


@dataclass(frozen=True)
class ScanSettings:
    """What the rows of a scan rest on.

    Args:
        version: Of doctored.
        sources: What was given to be scanned, as JSON.
        model_argument: The name or folder of the model, as given.
        model: Name of the model.
        model_sha256: Of the model.
        precision: What it computes in.
        operating_point: The accepted rate of false alarms.
        calibration_argument: The file of the calibration as given; None for the model's own.
        calibration_sha256: Of the calibration; None without one.
        limits: What may be spent on one file, and the version, in a few words.
        fast: Share of the files that more than a quick look was for; None if that was all.
    """

    version: str
    sources: str
    model_argument: str
    model: str
    model_sha256: str
    precision: str
    operating_point: float
    calibration_argument: str | None
    calibration_sha256: str | None
    limits: str
    fast: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What a row must hold to be left as it is, besides the result of the model of the scan.

    Args:
        any_precision: Whether results count that were computed in another precision.
        maps: Path of the folder where the map must be; None if none is wanted.
        quick: Name, SHA-256 and precision of the one whose quick look is enough; None if only the whole model is.
    """

    any_precision: bool
    maps: str | None
    quick: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Counts:
    """How far a scan is.

    Args:
        files: Number of files that it lists.
        done: How many of these are finished.
        errors: How many of the finished ones failed.
        quick: How many of the finished ones have had a quick look and no other.
    """

    files: int
    done: int
    errors: int
    quick: int = 0


def connect(path: Path) -> sqlite3.Connection:
    """Open a store for reading, perhaps while a scan writes into it.

    Raises:
        DataError: It is missing, or no store.
        ConfigError: It is of another version.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; make it with: doctored scan SOURCE --output {path}")
    database = None
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        _check(database, path)
    except BaseException as error:
        if database is not None:
            database.close()
        if isinstance(error, DAMAGED):
            raise _unusable(path, error) from error
        raise
    return database


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of a store that turns out to be damaged which one it is.

    Raises:
        DataError: What was read in this context was damaged.
    """
    try:
        yield
    except DAMAGED as error:
        raise _unusable(path, error) from error


class ScanStore:
    """The open store of a running scan; nobody else can write into it until it is closed or the process ends.

    Args:
        path: Of the SQLite file; created with its folder if missing.

    Raises:
        ConfigError: Another scan writes into it, or it is of another version.
        DataError: It cannot be opened or is no store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._synced = 0.0
        self._scan = 0
        self._lock = self._database = None
        locked_before = _lock_file(path).exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.create_function("map_path", 2, map_path, deterministic=True)
            self._create()
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
        except BaseException as error:
            if not locked_before and self._lock is not None:
                # As long as it is held. Nothing was written beside it, so nobody else needs it either.
                with suppress(OSError):
                    _lock_file(path).unlink()
            self.close()
            if isinstance(error, (*DAMAGED, OSError)):
                raise _unusable(path, error) from error
            raise

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def _create(self) -> None:
        (tables,) = self._open.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables:
            _check(self._open, self._path)
            return
        self._open.executescript(
            f"PRAGMA journal_mode = WAL; BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )

    def begin(self, settings: ScanSettings) -> None:
        """Begin a scan: from now on entries are listed for it."""
        columns = [field.name for field in fields(ScanSettings)]
        with self._writing() as database:
            cursor = database.execute(
                f"INSERT INTO scans (started_at, {', '.join(columns)}) VALUES ({_marks(1 + len(columns))})",
                (now(), *(getattr(settings, column) for column in columns)),
            )
        self._settings, self._scan = settings, int(cursor.lastrowid or 0)

    def list_entries(self, entries: Iterable[Entry]) -> None:
        """Make or find the row of each entry; files that have changed since they were analysed are to do again.

        Args:
            entries: In the order in which they will be looked at.
        """
        remaining = iter(entries)
        while batch := list(islice(remaining, _ENTRIES_AT_ONCE)):
            self._list_batch(batch)

    def _list_batch(self, batch: list[Entry]) -> None:
        listed = f"""
            INSERT INTO files ({", ".join(_ENTRY_COLUMNS)}, scan, done) VALUES ({_marks(len(_ENTRY_COLUMNS) + 2)})
            ON CONFLICT (path) DO UPDATE SET
                done = done AND file_bytes IS excluded.file_bytes AND modified IS excluded.modified,
                file_bytes = excluded.file_bytes, modified = excluded.modified,
                archive = excluded.archive, position = excluded.position, scan = excluded.scan"""
        # Without seconds, since nothing was read: that tells these rows from those that another try may mend.
        without = dict.fromkeys(_ANALYSIS_COLUMNS, "NULL") | {
            "error": "?",
            "quick_look": "0",
            "analysed_at": "?",
        }
        setters = ", ".join(f"{column} = {value}" for column, value in without.items())
        broken = f"UPDATE files SET {setters}, done = 1 WHERE path = ?"
        with self._writing() as database:
            database.executemany(
                listed,
                [
                    (*map(_stored, (e.path, e.file_bytes, e.modified, e.archive, e.position)), self._scan, 0)
                    for e in batch
                ],
            )
            database.executemany(
                broken,
                [(e.problem, now(), _stored(e.path)) for e in batch if e.problem is not None],
            )

    def set_aside_outdated(self, wanted: Wanted, *, retry: bool) -> None:
        """Mark finished files of this scan as to do again whose rows do not hold what is wanted.

        Args:
            wanted: What rows without error must hold. Errors are to do again under other limits or with another
                version.
            retry: Whether all errors are to do again.
        """
        with self._writing() as database:
            database.execute(
                f"""UPDATE files SET done = 0 WHERE scan = :scan AND done = 1 AND (
                    (error IS NULL AND NOT {_HOLDS})
                    OR (error IS NOT NULL AND seconds IS NOT NULL AND (:retry OR limits <> :limits)))""",
                self._values(wanted) | {"retry": retry, "limits": self._settings.limits},
            )

    def _values(self, wanted: Wanted) -> dict[str, Any]:
        quick = wanted.quick or (None, None, None)
        return {
            "scan": self._scan,
            "model": self._settings.model,
            "model_sha256": self._settings.model_sha256,
            "precision": self._settings.precision,
            "any_precision": wanted.any_precision,
            "maps": wanted.maps,
            **dict(zip(("quick_model", "quick_sha256", "quick_precision"), quick, strict=True)),
        }

    def judge_again(self, judge: Callable[[float, tuple[int, int], Any], Judgement]) -> None:
        """Bring rows up to date that were judged at another operating point, or by another calibration.

        Args:
            judge: From raw score, height and width, and compression to what they mean now.
        """
        settings = self._settings
        judged = self._open.execute(
            "SELECT DISTINCT operating_point, calibration_sha256 FROM scans WHERE model_sha256 = ?",
            (settings.model_sha256,),
        ).fetchall()
        if len(judged) == 1:
            return
        calibration = settings.calibration_sha256
        now_at = None if calibration is None else settings.operating_point
        last = 0
        while True:
            rows = self._open.execute(
                "SELECT id, raw_score, height, width, compression, result FROM files WHERE id > ? AND model_sha256 = ? "
                "AND result IS NOT NULL AND NOT quick_look AND (operating_point IS NOT ? "
                "OR json_extract(result, '$.calibration.sha256') IS NOT ?) ORDER BY id LIMIT ?",
                (last, settings.model_sha256, now_at, calibration, _JOBS_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            with self._writing() as database:
                for number, raw_score, height, width, compression, result in rows:
                    if not (
                        isinstance(raw_score, float) and isinstance(height, int) and isinstance(width, int)
                    ):
                        raise self._damaged_row(number)
                    judgement = judge(raw_score, (height, width), compression)
                    numbers = judgement.verdict, judgement.detection_score, judgement.false_alarm_rate
                    database.execute(
                        "UPDATE files SET verdict = ?, detection_score = ?, false_alarm_rate = ?, operating_point = ?, "
                        "result = ? WHERE id = ?",
                        (*numbers, operating_point_of(judgement), judged_result(result, judgement), number),
                    )
            last = rows[-1][0]

    def _damaged_row(self, number: int) -> DataError:
        return DataError(f"row {number} of {self._path} is damaged; scan the files again into a new store")

    def counts(self) -> Counts:
        """How far this scan is."""
        with reading(self._path):
            files, done, errors, quick = self._open.execute(
                "SELECT count(*), total(done), total(done AND error IS NOT NULL), total(done AND quick_look) "
                "FROM files WHERE scan = ?",
                (self._scan,),
            ).fetchone()
            return Counts(int(files), int(done), int(errors), int(quick))

    def to_do(self, *, quick: bool = False) -> Iterator[tuple[int, Task]]:
        """Numbers and tasks of all files of this scan that are to do, in the order in which they were listed.

        Args:
            quick: Whether a quick look is what is to do.
        """
        for number, *entry in self._in_order(", ".join(_ENTRY_COLUMNS), "scan = :scan AND done = 0", {}):
            yield number, Task(self._entry(number, *entry), quick)

    def choose(self, share: float) -> None:
        """Choose the files of this scan with the highest quick scores.

        Args:
            share: Of all that have such a score, between 0 and 1, rounded up; files of the same bytes count once.
        """
        scored = "files WHERE scan = ? AND done = 1 AND error IS NULL AND quick_score IS NOT NULL"
        with self._writing() as database:
            (count,) = database.execute(
                f"SELECT count(DISTINCT sha256) FROM {scored}", (self._scan,)
            ).fetchone()
            database.execute("CREATE TEMP TABLE chosen (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
            database.execute(
                f"INSERT INTO temp.chosen SELECT sha256 FROM {scored} GROUP BY +sha256 "
                "ORDER BY max(quick_score) DESC, sha256 LIMIT ?",
                (self._scan, rounded_share(share, count)),
            )

    def chosen(self, maps: str | None) -> tuple[int, Iterator[tuple[int, Task]]]:
        """How many chosen files nobody has looked at in whole, and their numbers and tasks in the order of the listing.

        Args:
            maps: Folder where the map must be of what was looked at in whole; None if none is wanted.
        """
        values = {"scan": self._scan, "maps": maps}
        with reading(self._path):
            (count,) = self._open.execute(f"SELECT count(*) FROM files WHERE {_CHOSEN}", values).fetchone()
        return int(count), self._chosen_tasks(values)

    def _chosen_tasks(self, values: dict[str, Any]) -> Iterator[tuple[int, Task]]:
        columns = f"sha256, kept, seconds, {', '.join(_ENTRY_COLUMNS)}"
        for number, sha256, kept, seconds, *entry in self._in_order(columns, _CHOSEN, values):
            if not isinstance(kept, bytes | None) or not isinstance(seconds, float):
                raise self._damaged_row(number)
            earlier = None if kept is None else EarlierLook(sha256, kept, seconds)
            yield number, Task(self._entry(number, *entry), earlier=earlier)

    def _entry(
        self, number: int, path: Any, file_bytes: Any, modified: Any, archive: Any, position: Any
    ) -> Entry:
        if not isinstance(file_bytes, int | None) or not isinstance(position, int | None):
            raise self._damaged_row(number)
        return Entry(given_path(path), file_bytes, modified, archive and given_path(archive), position)

    def _in_order(self, columns: str, condition: str, values: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Numbers and columns of rows; those that are written meanwhile come out as they were or are left out."""
        last = 0
        while True:
            with reading(self._path):
                rows = self._open.execute(
                    f"SELECT id, {columns} FROM files WHERE {condition} AND id > :last ORDER BY id LIMIT :most",
                    {"scan": self._scan, "last": last, "most": _JOBS_AT_ONCE} | values,
                ).fetchall()
            if not rows:
                return
            yield from rows
            last = rows[-1][0]

    def same_bytes(self, sha256: str, number: int, wanted: Wanted) -> Analysis | None:
        """What was found in these bytes before; None if it is not what is wanted.

        Args:
            sha256: Of the bytes.
            number: Of the file that holds them now; if it held them before, its own row is the answer.
            wanted: What the row must hold.
        """
        with reading(self._path):
            row = self._open.execute(
                f"SELECT id, {', '.join(_ANALYSIS_COLUMNS)} FROM files WHERE sha256 = :sha256 AND result IS NOT NULL "
                f"AND {_HOLDS} ORDER BY id <> :number, quick_look LIMIT 1",
                self._values(wanted) | {"sha256": sha256, "number": number},
            ).fetchone()
        if row is None:
            return None
        found = Analysis(*row[1:])
        if row[0] == number:
            return replace(found, duplicate=bool(found.duplicate), quick_look=bool(found.quick_look))
        return replace(
            found, duplicate=True, quick_look=bool(found.quick_look), seconds=0.0, analysed_at=now()
        )

    def finish(self, number: int, analysis: Analysis) -> None:
        """Write the row of a file.

        Raises:
            DataError: The disk is full, or the store cannot be written to.
        """
        setters = ", ".join(f"{column} = ?" for column in _ANALYSIS_COLUMNS)
        values = (getattr(analysis, column) for column in _ANALYSIS_COLUMNS)
        # A commit that waits for the disk covers all before it; waiting for each would cost milliseconds a file.
        wait = time.monotonic() >= self._synced + SYNC_SECONDS
        if wait:
            self._open.execute("PRAGMA synchronous = FULL")
        with self._writing() as database:
            database.execute(
                f"UPDATE files SET {setters}, limits = ?, done = 1 WHERE id = ?",
                (*values, self._settings.limits, number),
            )
        if wait:
            self._open.execute("PRAGMA synchronous = NORMAL")
            self._synced = time.monotonic()

    def errors(self, most: int) -> list[str]:
        """The first errors of this scan, in the order of the files."""
        with reading(self._path):
            rows = self._open.execute(
                "SELECT error FROM files WHERE error IS NOT NULL AND done = 1 AND scan = ? ORDER BY id LIMIT ?",
                (self._scan, most),
            )
            return [str(error) for (error,) in rows]

    def end(self, passed_over: int) -> None:
        """Note that this scan has come to its end.

        Args:
            passed_over: Number of files in folders and archives that were not looked at.
        """
        with self._writing() as database:
            database.execute(
                "UPDATE scans SET finished_at = ?, passed_over = ? WHERE id = ?",
                (now(), passed_over, self._scan),
            )

    def close(self) -> None:
        """Let another scan have the store."""
        for connection in (self._database, self._lock):
            if connection is not None:
                connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        database = self._open
        try:
            database.execute("BEGIN")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise DataError(
                f"{self._path} cannot be written to ({error}); what was finished is kept, so make room and call again"
            ) from error


def rounded_share(share: float, count: int) -> int:
    """How many a share of so many is, rounded up."""
    return math.ceil(share * count - 1e-9)  # a tenth of 10 is 1, whatever floats make of it


def given_path(stored: str | bytes) -> str:
    """A path as it was given, from its form in the store.

    Raises:
        DataError: It is no text.
    """
    if not isinstance(stored, str | bytes):
        raise DataError(f"a store of a scan holds {stored!r} for a path; it is damaged, scan into a new one")
    return os.fsdecode(stored)


def judged_result(result: str, judgement: Judgement) -> str:
    """The JSON form of a result with another judgement in it."""
    values = stored_result(result) | {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "detection_score": judgement.detection_score,
        "false_alarm_rate": judgement.false_alarm_rate,
        "calibration": None if judgement.comparison is None else judgement.comparison.to_json(),
    }
    return json.dumps(values, allow_nan=False, separators=(",", ":"))


def stored_result(result: str) -> dict[str, Any]:
    """The JSON form of a result as the store has it.

    Raises:
        DataError: It is none, or lacks what is always there.
    """
    try:
        values = parse_json(result)
        for region in values["regions"]:
            left, top, right, bottom = region["box_xyxy"]
            if not math.isfinite(left + top + right + bottom + region["score"]):
                raise ValueError("a region without a place or score")
        return dict(values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(
            f"a store of a scan holds a damaged result ({error!r}); scan the file again into a new one"
        ) from error


def operating_point_of(judgement: Judgement) -> float | None:
    """The accepted rate of false alarms behind a judgement; None without a calibration."""
    return None if judgement.comparison is None else judgement.comparison.operating_point


def _stored(value: Any) -> Any:
    """Text as it is; a path that is no Unicode in the bytes of the file system, which SQLite keeps as such."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _lock(path: Path) -> sqlite3.Connection:
    """A lock beside the store that the system lets go of however the process ends, also when it is killed."""
    lock = sqlite3.connect(_lock_file(path), timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the other bits say more about the kind
            raise
        raise ConfigError(
            f"another scan is writing into {path} ({error}); wait for it, or choose another --output"
        ) from error
    return lock


def _check(database: sqlite3.Connection, path: Path) -> None:
    (application_id,) = database.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise DataError(f"{path} is an SQLite file of another program, no store of a scan; choose another")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path} is a store of version {version}, this doctored reads {SCHEMA_VERSION}; scan into a new one"
        )


def _unusable(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path} cannot be used as the store of a scan ({error}); choose another")
