"""`doctored scan --runner ray`: the same look at every file, by Ray on one machine or many, into Parquet files.

The files are listed once, in parts of a few hundred. A part is the unit of work: whoever takes it writes one file of
results, complete or not at all, always under the same name. So a part that is done twice, because a machine was lost
before it could say that it had finished, is still there once; and what stopped goes on with the parts that are missing.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import doctored
from doctored.apps.scan.analyse import Analysis, failed
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.export import arrow_schema, as_unicode, flat_row
from doctored.apps.scan.remote import is_url
from doctored.apps.scan.results import FileResult
from doctored.apps.scan.run import ERRORS_LISTED, Outcome, Progress
from doctored.apps.scan.store import Counts
from doctored.apps.scan.workers import WorkerPool, WorkerSettings
from doctored.core.errors import ConfigError, DataError, MissingExtraError

PART_FILES = 200
_BLOCKS_PER_WORKER = 50
_FORMAT = 1


class PartedFolder:
    """The folder of a scan in parts, on a disk that all machines share or in remote storage.

    It holds `scan.json`, `listing/part-*.parquet` and `results/part-*.parquet`.

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
        complete = description | {"parts": parts, "files": files, "passed_over": listing.passed_over}
        self._write("scan.json", json.dumps(complete, indent=1).encode("utf-8"))
        return complete

    def finished(self) -> set[int]:
        """Numbers of the parts whose results are there."""
        folder = self._path("results")
        if not self._files.exists(folder):
            return set()
        self._files.invalidate_cache()
        names = (path.rpartition("/")[2] for path in self._files.ls(folder, detail=False))
        return {int(name[5:-8]) for name in names if name.startswith("part-") and name.endswith(".parquet")}

    def entries(self, part: int) -> list[Entry]:
        """The files of a part."""
        return [_entry(row) for row in self._read(f"listing/{_name(part)}").to_pylist()]

    def is_finished(self, part: int) -> bool:
        """Whether the results of a part are there."""
        return bool(self._files.exists(self._path(f"results/{_name(part)}")))

    def write_results(self, part: int, rows: list[dict[str, Any]]) -> None:
        """Write the results of a part, in place of those that a lost worker may have written."""
        self._write(f"results/{_name(part)}", _parquet(rows, arrow_schema()))

    def errors(self, part: int) -> tuple[int, list[str]]:
        """How many files a finished part has, and the errors of those that failed."""
        errors = self._read(f"results/{_name(part)}", ["error"])["error"]
        return len(errors), errors.drop_null().to_pylist()

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
    """

    def __init__(
        self, folder: PartedFolder, settings: WorkerSettings, detector_facts: tuple[str, str, str]
    ) -> None:
        self._folder = folder
        self._found: dict[str, Analysis] = {}
        self._pool = WorkerPool(settings, 1, detector_facts, self._known)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Look at the files of some parts.

        Args:
            batch: Their numbers, as "part".

        Returns:
            The same with the numbers of "files" and "errors".
        """
        outcomes = [self._scan(int(part)) for part in batch["part"]]
        return {
            "part": list(batch["part"]),
            "files": [files for files, _ in outcomes],
            "errors": [errors for _, errors in outcomes],
        }

    def _scan(self, part: int) -> tuple[int, int]:
        if self._folder.is_finished(part):  # by one that was lost before it could say so
            files, errors = self._folder.errors(part)
            return files, len(errors)
        entries = self._folder.entries(part)
        rows: dict[int, dict[str, Any]] = {}
        self._found.clear()
        for number, analysis in self._analysed(entries):
            result = FileResult(
                store=Path(self._folder.place),
                id=number,
                path=entries[number].path,
                file_bytes=entries[number].file_bytes,
                **{name: getattr(analysis, name) for name in _SHARED_FIELDS},
            )
            rows[number] = as_unicode(flat_row(result))
        self._folder.write_results(part, [rows[number] for number in range(len(entries))])
        return len(rows), sum(row["error"] is not None for row in rows.values())

    def _analysed(self, entries: list[Entry]) -> Iterator[tuple[int, Analysis]]:
        jobs = []
        for number, entry in enumerate(entries):
            if entry.problem is None:
                jobs.append((number, entry))
            else:
                yield number, failed(entry.problem, self._pool.detector_facts)
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

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: The folder holds another scan, or the cluster cannot be reached.
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
    description = {
        "format": _FORMAT,
        "version": doctored.__version__,
        "model": detector.name,
        "model_sha256": detector.sha256,
        "calibration_sha256": detector.calibration_sha256,
        "operating_point": settings.fpr,
        "limits": asdict(settings.limits),
    } | description
    del detector
    folder = PartedFolder(output)
    stored = folder.describe(description)
    if stored["parts"] is None:
        stored = folder.list_files(listing, description)
    finished = folder.finished()
    missing = [part for part in range(stored["parts"]) if part not in finished]
    done = min(stored["files"], len(finished) * PART_FILES)
    analysed = errors = 0
    on_progress(Progress(done, stored["files"], 0, None))
    if missing:
        _start(ray, address, workers)
        try:
            start = time.monotonic()
            for row in _results(ray, missing, folder, settings, facts, workers):
                analysed, errors = analysed + row["files"], errors + row["errors"]
                rate = analysed / max(1e-9, time.monotonic() - start)
                on_progress(Progress(min(stored["files"], done + analysed), stored["files"], errors, rate))
        except ray.exceptions.RayError as error:
            detail = " ".join(str(getattr(error, "cause", None) or error).split())[-300:]
            raise DataError(f"Ray gave up ({detail}); what is finished is kept, so call again") from error
        finally:
            ray.shutdown()
    failures, first = 0, list[str]()
    for part in range(stored["parts"]):
        _, of_part = folder.errors(part)
        failures += len(of_part)
        first += of_part[: ERRORS_LISTED - len(first)]
    return Outcome(Counts(stored["files"], stored["files"], failures), analysed, stored["passed_over"], first)


def _start(ray: Any, address: str | None, workers: int | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address is None:
        # A CPU for each worker that was asked for, whatever Ray counts here.
        options |= {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"there is no Ray cluster at {address or 'this machine'} ({detail}); see --address"
        ) from error


def _results(
    ray: Any,
    parts: list[int],
    folder: PartedFolder,
    settings: WorkerSettings,
    facts: tuple[str, str, str],
    workers: int | None,
) -> Iterator[dict[str, int]]:
    """One row for each part as it is finished, with the numbers of its files and errors."""
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = min(len(parts), count * _BLOCKS_PER_WORKER)
    looked = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=blocks).map_batches(
        PartScanner,
        fn_constructor_args=(folder, settings, facts),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(count, len(parts))),
        num_cpus=settings.threads or 1,
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
