"""`doctored scan --runner ray`: the same look at every file, by Ray on one machine or many, into Parquet files.

The files are listed once, in parts of a few hundred. A part is the unit of work: whoever takes it writes one file of
results, complete or not at all, always under the same name. So a part that is done twice, because a machine was lost
before it could say that it had finished, is still there once; and what stopped goes on with the parts that are missing.

If files are looked at quickly first, that is a first round through all parts, whose results have a folder of their own;
the second round writes the results themselves.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import doctored
from doctored.apps.scan.analyse import Analysis, EarlierLook, Task, failed
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.export import COLUMNS, arrow_schema, as_unicode, flat_row
from doctored.apps.scan.remote import is_url
from doctored.apps.scan.results import FileResult
from doctored.apps.scan.run import ERRORS_LISTED, QUICK, WHOLE, Outcome, Progress, quick_facts
from doctored.apps.scan.store import Counts, rounded_share
from doctored.apps.scan.workers import WorkerPool, WorkerSettings
from doctored.core.errors import ConfigError, DataError, MissingExtraError

PART_FILES = 200
_BLOCKS_PER_WORKER = 50
_FORMAT = 2

RESULTS, QUICK_LOOKS = "results", "quick"
"""Folders of the parts that are finished, and of those whose files were looked at quickly."""


class PartedFolder:
    """The folder of a scan in parts, on a disk that all machines share or in remote storage.

    It holds `scan.json`, `listing/part-*.parquet`, `results/part-*.parquet`, and if files are looked at quickly first,
    `quick/part-*.parquet`.

    Args:
        place: Path or URL.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    def describe(self, description: dict[str, Any]) -> dict[str, Any]:
        """What `scan.json` says; written from the description if there is none.

        Raises:
            ConfigError: It describes another scan.
        """
        path = self._path("scan.json")
        if not self._files.exists(path):
            self._write("scan.json", json.dumps(description | {"parts": None}, indent=1).encode("utf-8"))
            return description | {"parts": None}
        try:
            stored: dict[str, Any] = json.loads(self._files.cat_file(path))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); choose another --output") from error
        for key, value in description.items():
            if stored.get(key) != value:
                raise ConfigError(
                    f"{self.place} holds a scan with {key} {stored.get(key)!r}, and this one has {value!r}; "
                    "choose another --output"
                )
        return stored

    def list_files(self, listing: Listing, description: dict[str, Any]) -> dict[str, Any]:
        """Write the listing in parts, and then into `scan.json` how many there are.

        Returns:
            What `scan.json` says from then on.
        """
        entries, files, parts = iter(listing), 0, 0
        while batch := list(itertools.islice(entries, PART_FILES)):
            self._write(
                f"listing/{_name(parts)}", _parquet([_listed(entry) for entry in batch], _listing_schema())
            )
            files, parts = files + len(batch), parts + 1
        return self.note(description | {"parts": parts, "files": files, "passed_over": listing.passed_over})

    def note(self, description: dict[str, Any]) -> dict[str, Any]:
        """Write what `scan.json` says from now on, and return it."""
        self._write("scan.json", json.dumps(description, indent=1).encode("utf-8"))
        return description

    def finished(self, kind: str = RESULTS) -> set[int]:
        """Numbers of the parts whose results of a kind are there."""
        folder = self._path(kind)
        if not self._files.exists(folder):
            return set()
        self._files.invalidate_cache()
        names = (path.rpartition("/")[2] for path in self._files.ls(folder, detail=False))
        return {int(name[5:-8]) for name in names if name.startswith("part-") and name.endswith(".parquet")}

    def entries(self, part: int) -> list[Entry]:
        """The files of a part."""
        return [_entry(row) for row in self._read(f"listing/{_name(part)}").to_pylist()]

    def is_finished(self, part: int, kind: str = RESULTS) -> bool:
        """Whether the results of a part are there."""
        return bool(self._files.exists(self._path(f"{kind}/{_name(part)}")))

    def write_results(self, part: int, rows: list[dict[str, Any]], kind: str = RESULTS) -> None:
        """Write the results of a part, in place of those that a lost worker may have written."""
        self._write(
            f"{kind}/{_name(part)}",
            _parquet(rows, _quick_schema() if kind == QUICK_LOOKS else arrow_schema()),
        )

    def quick_looks(self, part: int) -> list[dict[str, Any]]:
        """The rows of a part whose files were looked at quickly, with what was kept of the looks."""
        rows: list[dict[str, Any]] = self._read(f"{QUICK_LOOKS}/{_name(part)}").to_pylist()
        return rows

    def quick_scores(self, part: int) -> list[float]:
        """The quick scores of a part."""
        scores: list[float] = (
            self._read(f"{QUICK_LOOKS}/{_name(part)}", ["quick_score"])["quick_score"].drop_null().to_pylist()
        )
        return scores

    def outcome(self, part: int, kind: str = RESULTS) -> tuple[int, int, list[str]]:
        """How many files a finished part has, how many had a quick look only, and the errors of those that failed."""
        table = self._read(f"{kind}/{_name(part)}", ["error", "quick_look"])
        return len(table), sum(table["quick_look"].to_pylist()), table["error"].drop_null().to_pylist()

    @property
    def _files(self) -> Any:
        from fsspec.core import url_to_fs

        return url_to_fs(self.place)[0]

    def _path(self, name: str) -> str:
        from fsspec.core import url_to_fs

        return f"{str(url_to_fs(self.place)[1]).rstrip('/')}/{name}"

    def _read(self, name: str, columns: list[str] | None = None) -> Any:
        import pyarrow.parquet

        with self._files.open(self._path(name), "rb") as file:
            return pyarrow.parquet.read_table(file, columns=columns)

    def _write(self, name: str, content: bytes) -> None:
        files, path = self._files, self._path(name)
        try:
            if "file" not in files.protocol:
                files.pipe_file(path, content)  # stores of objects show a new one only when it is complete
                return
            os.makedirs(os.path.dirname(path), exist_ok=True)
            temporary = f"{path}.{os.getpid()}.tmp"
            Path(temporary).write_bytes(content)
            os.replace(temporary, path)
        except OSError as error:
            raise DataError(
                f"{path} cannot be written ({error.strerror or error}); make room and call again"
            ) from error


class PartScanner:
    """What every Ray worker holds: a process with a model, which may be lost to a picture without harm.

    Args:
        folder: Of the scan.
        settings: Of the process.
        detector_facts: Name, SHA-256 and precision of the model.
        into: `RESULTS`, or `QUICK_LOOKS` for quick looks.
        sent_on_from: Files whose quick score is lower keep their quick look as their result; None if there were none.
    """

    def __init__(
        self,
        folder: PartedFolder,
        settings: WorkerSettings,
        detector_facts: tuple[str, str, str],
        into: str = RESULTS,
        sent_on_from: float | None = None,
    ) -> None:
        self._folder, self._into, self._sent_on_from = folder, into, sent_on_from
        self._found: dict[str, Analysis] = {}
        self._pool = WorkerPool(settings, 1, detector_facts, self._known)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Look at the files of some parts.

        Args:
            batch: Their numbers, as "part".

        Returns:
            The same with the numbers of "files", of "errors", and of files "looked" at.
        """
        outcomes = [self._scan(int(part)) for part in batch["part"]]
        files, errors, looked = (list(numbers) for numbers in zip(*outcomes, strict=True))
        return {"part": list(batch["part"]), "files": files, "errors": errors, "looked": looked}

    def _scan(self, part: int) -> tuple[int, int, int]:
        if self._folder.is_finished(part, self._into):  # by one that was lost before it could say so
            files, _, errors = self._folder.outcome(part, self._into)
            return files, len(errors), 0
        entries = self._folder.entries(part)
        rows: dict[int, dict[str, Any]] = {}
        self._found.clear()
        if self._sent_on_from is None:
            tasks = [(number, Task(entry, self._into == QUICK_LOOKS)) for number, entry in enumerate(entries)]
        else:
            looks = self._folder.quick_looks(part)
            rows = {number: {name: look[name] for name in COLUMNS} for number, look in enumerate(looks)}
            tasks = [
                (number, Task(entry, earlier=EarlierLook(look["sha256"], look["kept"], look["seconds"])))
                for number, (entry, look) in enumerate(zip(entries, looks, strict=True))
                if look["quick_look"] and look["quick_score"] >= self._sent_on_from
            ]
        for number, analysis in self._analysed(tasks):
            result = FileResult(
                store=Path(self._folder.place),
                id=number,
                path=entries[number].path,
                file_bytes=entries[number].file_bytes,
                **{name: getattr(analysis, name) for name in _SHARED_FIELDS},
            )
            rows[number] = as_unicode(flat_row(result)) | {"kept": analysis.kept}
        self._folder.write_results(part, [rows[number] for number in range(len(entries))], self._into)
        return len(rows), sum(row["error"] is not None for row in rows.values()), len(tasks)

    def _analysed(self, tasks: list[tuple[int, Task]]) -> Iterator[tuple[int, Analysis]]:
        jobs = []
        for number, task in tasks:
            if task.entry.problem is None:
                jobs.append((number, task))
            else:
                yield number, failed(task.entry.problem, self._pool.detector_facts)
        for number, analysis in self._pool.run(iter(jobs)):
            if analysis.error is None and analysis.sha256 is not None:
                self._found.setdefault(analysis.sha256, analysis)
            yield number, analysis

    def _known(self, sha256: str, number: int) -> Analysis | None:
        found = self._found.get(sha256)
        return None if found is None else replace(found, duplicate=True, seconds=0.0)


_SHARED_FIELDS = tuple(
    name for name in FileResult.__dataclass_fields__ if name not in ("store", "id", "path", "file_bytes")
)


def on_every_machine(sources: list[str], settings: WorkerSettings) -> tuple[list[str], WorkerSettings]:
    """The same with paths that do not depend on the folder in which a process was started."""

    def absolute(path: str) -> str:
        return path if path == "-" or is_url(path) else os.path.abspath(path)

    changes: dict[str, Any] = {"calibration": settings.calibration and os.path.abspath(settings.calibration)}
    if os.path.isdir(settings.model):
        changes["model"] = os.path.abspath(settings.model)
    if settings.maps is not None:
        changes["maps"] = settings.maps.absolute()
    return [absolute(source) for source in sources], replace(settings, **changes)


def scan_on_ray(
    listing: Listing,
    description: dict[str, Any],
    output: str,
    settings: WorkerSettings,
    workers: int | None,
    address: str | None,
    on_progress: Callable[[Progress], None],
    *,
    fast: float | None = None,
) -> Outcome:
    """Fill the folder of a scan; parts that are there already are left as they are.

    Args:
        listing: The files; every machine must reach them by these paths or URLs.
        description: What was asked for; a folder holds one such scan.
        output: Path of a folder that all machines share, or a URL.
        settings: Model and limits.
        workers: How many at the same time; None for one per CPU of the cluster.
        address: Of an existing cluster, as `ray.init` takes it; None starts Ray on this machine.
        on_progress: Called after every part.
        fast: As for `run.scan`.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: The folder holds another scan, the cluster cannot be reached, or the model cannot be fast.
        DataError: Ray gave up.
    """
    # Ray would tell its makers about its use.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("doctored scan --runner ray", "cluster") from error
    detector = settings.detector()
    facts = detector.name, detector.sha256, detector.precision
    if fast is not None:
        quick_facts(detector, fast)  # refused now if there are none
    description = {
        "format": _FORMAT,
        "version": doctored.__version__,
        "model": detector.name,
        "model_sha256": detector.sha256,
        "calibration_sha256": detector.calibration_sha256,
        "operating_point": settings.fpr,
        "limits": asdict(settings.limits),
        "fast": fast,
    } | description
    del detector
    folder = PartedFolder(output)
    stored = folder.describe(description)
    if stored["parts"] is None:
        stored = folder.list_files(listing, description)
    rounds = _Rounds(ray, folder, stored, settings, facts, workers, address, on_progress)
    quick_looks, sent_on_from = 0, None
    try:
        if fast is not None:
            quick_looks = rounds.run(QUICK, QUICK_LOOKS)
            if "sent_on_from" not in stored:
                stored = folder.note(
                    stored | {"sent_on_from": _lowest_of_share(folder, stored["parts"], fast)}
                )
            sent_on_from = stored["sent_on_from"]
        looked = rounds.run("" if fast is None else WHOLE, RESULTS, sent_on_from)
    finally:
        rounds.close()
    failures, quick, first = 0, 0, list[str]()
    for part in range(stored["parts"]):
        _, of_part_quick, of_part = folder.outcome(part)
        failures, quick = failures + len(of_part), quick + of_part_quick
        first += of_part[: ERRORS_LISTED - len(first)]
    counts = Counts(stored["files"], stored["files"], failures, quick)
    sent_on = 0 if fast is None else looked
    return Outcome(counts, quick_looks + looked, stored["passed_over"], first, sent_on)


def _lowest_of_share(folder: PartedFolder, parts: int, share: float) -> float:
    """The lowest quick score among the highest of a share of the files."""
    scores = array("d")
    for part in range(parts):
        scores.extend(folder.quick_scores(part))
    return float(np.sort(scores)[-rounded_share(share, len(scores))]) if scores else 0.0


class _Rounds:
    """Sends Ray's workers through all parts, which it starts when there is something to do.

    Args:
        ray: The module.
        folder: Of the scan.
        stored: What its `scan.json` says.
        settings: Model and limits.
        facts: Name, SHA-256 and precision of the model.
        workers: How many at the same time; None for one per CPU of the cluster.
        address: Of an existing cluster.
        on_progress: Called before the first part and after every part.
    """

    def __init__(
        self,
        ray: Any,
        folder: PartedFolder,
        stored: dict[str, Any],
        settings: WorkerSettings,
        facts: tuple[str, str, str],
        workers: int | None,
        address: str | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._ray, self._folder, self._settings, self._facts = ray, folder, settings, facts
        self._parts, self._files = stored["parts"], stored["files"]
        self._workers, self._address, self._on_progress = workers, address, on_progress
        self._started = False

    def run(self, stage: str, into: str, sent_on_from: float | None = None) -> int:
        """Do the parts of a round that are missing; how many files were looked at.

        Args:
            stage: What is said about it.
            into: As for `PartScanner`.
            sent_on_from: Likewise.

        Raises:
            ConfigError: The cluster cannot be reached.
            DataError: Ray gave up.
        """
        finished = self._folder.finished(into)
        missing = [part for part in range(self._parts) if part not in finished]
        before = min(self._files, len(finished) * PART_FILES)
        self._on_progress(Progress(before, self._files, 0, None, stage=stage))
        done = errors = looked = 0
        if not missing:
            return 0
        self._start()
        start = time.monotonic()
        try:
            for row in self._outcomes(missing, into, sent_on_from):
                done, errors, looked = done + row["files"], errors + row["errors"], looked + row["looked"]
                rate = done / max(1e-9, time.monotonic() - start)
                now_done = min(self._files, before + done)
                self._on_progress(Progress(now_done, self._files, errors, rate, stage=stage))
        except self._ray.exceptions.RayError as error:
            detail = " ".join(str(getattr(error, "cause", None) or error).split())[-300:]
            raise DataError(f"Ray gave up ({detail}); what is finished is kept, so call again") from error
        return looked

    def close(self) -> None:
        """Let the cluster go, if it was needed."""
        if self._started:
            self._ray.shutdown()

    def _start(self) -> None:
        if self._started:
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        if self._address is None:
            # A CPU for each worker that was asked for, whatever Ray counts here.
            options |= {"num_cpus": self._workers, "include_dashboard": False}
        try:
            self._ray.init(address=self._address or "local", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"there is no Ray cluster at {self._address or 'this machine'} ({detail}); see --address"
            ) from error
        self._started = True

    def _outcomes(self, parts: list[int], into: str, sent_on_from: float | None) -> Iterator[dict[str, int]]:
        """One row for each part as it is finished, as `PartScanner` says."""
        ray = self._ray
        count = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        blocks = min(len(parts), count * _BLOCKS_PER_WORKER)
        numbers = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=blocks)
        looked = numbers.map_batches(
            PartScanner,
            fn_constructor_args=(self._folder, self._settings, self._facts, into, sent_on_from),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(count, len(parts))),
            num_cpus=self._settings.threads or 1,
        )
        yield from looked.iter_rows()


def _name(part: int) -> str:
    return f"part-{part:06}.parquet"


def _listing_schema() -> Any:
    import pyarrow

    # Names may be no Unicode, so they are kept as bytes.
    name, text, number = pyarrow.binary(), pyarrow.string(), pyarrow.int64()
    columns = {"path": name, "file_bytes": number, "modified": text, "archive": name, "position": number}
    return pyarrow.schema(columns | {"problem": text})


def _quick_schema() -> Any:
    import pyarrow

    return arrow_schema().append(pyarrow.field("kept", pyarrow.binary()))


def _listed(entry: Entry) -> dict[str, Any]:
    names = {"path": entry.path, "archive": entry.archive}
    encoded = {key: name and name.encode("utf-8", "surrogateescape") for key, name in names.items()}
    return as_unicode(asdict(entry)) | encoded


def _entry(row: dict[str, Any]) -> Entry:
    names = {key: row[key] and row[key].decode("utf-8", "surrogateescape") for key in ("path", "archive")}
    return Entry(**row | names)


def _parquet(rows: list[dict[str, Any]], schema: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file, compression="zstd")
    return file.getvalue()
