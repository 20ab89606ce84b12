"""`doctored scan` on one machine: lists files into the store, then lets workers fill their rows."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import doctored
from doctored.apps.scan.analyse import Analysis
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.store import Counts, ScanSettings, ScanStore
from doctored.apps.scan.workers import WorkerPool, WorkerSettings
from doctored.predict.precision import torch_device
from doctored.predict.weights import RUN_FILE

WORKER_MB = 1500.0
"""What a worker with the embedded model needs at most, in millions of bytes; see docs/performance.md."""

_RATE_OVER = 200
_ANNOUNCED_EVERY = 1000
ERRORS_LISTED = 20


@dataclass(frozen=True)
class Progress:
    """How far a scan is.

    Args:
        done: Number of finished files, those of earlier calls too.
        files: Number of all files.
        errors: How many of the finished ones failed.
        per_second: Files finished in a second, lately; None before there is anything to go by.
        listing: Whether files are still being listed, so that there will be more.
    """

    done: int
    files: int
    errors: int
    per_second: float | None
    listing: bool = False

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes."""
        return None if not self.per_second else (self.files - self.done) / self.per_second


@dataclass(frozen=True)
class Outcome:
    """How a scan ended.

    Args:
        counts: Of all files that it lists.
        analysed: How many rows were written by this call.
        passed_over: Number of files of folders and archives that are not called like pictures.
        errors: The first of them.
    """

    counts: Counts
    analysed: int
    passed_over: int
    errors: list[str]


def scan(
    listing: Listing,
    sources: Sequence[str],
    output: Path,
    settings: WorkerSettings,
    workers: int,
    on_progress: Callable[[Progress], None],
    *,
    retry_errors: bool = False,
) -> Outcome:
    """Fill the store; rows that hold already what this scan would find are left as they are.

    Args:
        listing: The files.
        sources: What was given to be listed, kept in the store.
        output: The store.
        settings: Model and limits.
        workers: Most worker processes.
        on_progress: Called now and then while files are listed, before the first and after every file.
        retry_errors: Whether all files that failed are looked at again.

    Raises:
        ConfigError: Another scan writes into the store, it is of another version, or a setting is impossible.
        DataError: The store cannot be used or written to.
        ModelError: The model cannot be loaded.
    """
    store = ScanStore(output)
    try:
        detector = settings.detector()
        limits = settings.limits
        any_precision = settings.precision == "auto"
        maps = None if settings.maps is None else os.fspath(settings.maps)
        store.begin(
            ScanSettings(
                version=doctored.__version__,
                sources=json.dumps(list(sources), ensure_ascii=True),
                model_argument=settings.model,
                model=detector.name,
                model_sha256=detector.sha256,
                precision=detector.precision,
                operating_point=settings.fpr,
                calibration_argument=settings.calibration,
                calibration_sha256=detector.calibration_sha256,
                limits=f"{limits.max_megapixels:g} MP, {limits.max_megabytes:g} MB, "
                f"{limits.max_seconds or 'any'} s, {doctored.__version__}"
                + (", isolated" if settings.isolate else ""),
            )
        )
        store.judge_again(detector.judge)
        facts = detector.name, detector.sha256, detector.precision
        del detector  # only workers look
        store.list_entries(_announced(listing, on_progress))
        store.set_aside_outdated(any_precision=any_precision, maps=maps, retry=retry_errors)
        counts = store.counts()
        done, errors, analysed = counts.done, counts.errors, 0
        on_progress(Progress(done, counts.files, errors, None))
        times: deque[float] = deque(maxlen=_RATE_OVER)

        def known(sha256: str, number: int) -> Analysis | None:
            return store.same_bytes(sha256, number, any_precision=any_precision, maps=maps)

        workers = min(workers, counts.files - counts.done)
        if settings.threads is None:
            settings = replace(settings, threads=max(1, cores() // max(1, workers)))
        with WorkerPool(settings, workers, facts, known) as pool:
            for number, analysis in pool.run(store.to_do()):
                store.finish(number, analysis)
                done, errors, analysed = done + 1, errors + (analysis.error is not None), analysed + 1
                times.append(time.monotonic())
                rate = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else None
                on_progress(Progress(done, counts.files, errors, rate))
        store.end(listing.passed_over)
        return Outcome(store.counts(), analysed, listing.passed_over, store.errors(ERRORS_LISTED))
    finally:
        store.close()


def _announced(listing: Listing, on_progress: Callable[[Progress], None]) -> Iterator[Entry]:
    for number, entry in enumerate(listing, 1):
        if number % _ANNOUNCED_EVERY == 0:
            on_progress(Progress(0, number, 0, None, listing=True))
        yield entry


def default_workers(device: str, model: str) -> int:
    """How many processes suit this machine: one per core as far as memory goes, one alone on a GPU.

    Args:
        device: As for `Detector.from_name`.
        model: Likewise.

    Raises:
        MissingExtraError: The model is a training run, and PyTorch is not installed.
    """
    # Exported models run on the CPU, whatever else there is.
    if device == "auto" and (Path(model) / RUN_FILE).is_file():
        device = torch_device(device)
    if device in ("cuda", "mps"):
        return 1
    memory_mb = free_memory_mb()
    fitting = cores() if memory_mb is None else int(memory_mb // WORKER_MB)
    return max(1, min(cores(), fitting))


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory_mb() -> float | None:
    """Memory that is free without swapping, in millions of bytes; None where the system does not say."""
    available = None
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024 / 1e6
        # A container may be allowed less than the machine has.
        limit, used = (
            Path(f"/sys/fs/cgroup/memory.{name}").read_text("ascii") for name in ("max", "current")
        )
        if limit.strip() != "max" and available is not None:
            available = min(available, (int(limit) - int(used)) / 1e6)
    except (OSError, ValueError):
        pass
    return available
