"""`doctored scan` on one machine: lists files into the store, then lets workers fill their rows."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import doctored
from doctored.apps.outputs import make_folder
from doctored.apps.scan.analyse import Analysis, Task
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.store import Counts, ScanSettings, ScanStore, Wanted
from doctored.apps.scan.workers import WorkerPool, WorkerSettings
from doctored.core.errors import ConfigError
from doctored.predict.precision import torch_device
from doctored.predict.weights import RUN_FILE

if TYPE_CHECKING:
    from doctored.predict import Detector

WORKER_MB = 1500.0
"""What a worker with the embedded model needs at most, in millions of bytes; see docs/performance.md."""

_RATE_OVER = 200
_ANNOUNCED_EVERY = 1000
QUICK, WHOLE = "quick look", "the most suspicious in whole"
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
        stage: What the numbers are about if files are looked at quickly first; empty if not.
    """

    done: int
    files: int
    errors: int
    per_second: float | None
    listing: bool = False
    stage: str = ""

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
        sent_on: How many of them after a quick look, by the whole model.
        passed_over: Number of files of folders and archives that are not called like pictures.
        errors: The first of them.
    """

    counts: Counts
    analysed: int
    passed_over: int
    errors: list[str]
    sent_on: int = 0


def scan(
    listing: Listing,
    sources: Sequence[str],
    output: Path,
    settings: WorkerSettings,
    workers: int,
    on_progress: Callable[[Progress], None],
    *,
    retry_errors: bool = False,
    fast: float | None = None,
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
        fast: Look quickly at all files, and with the whole model at this share of them, the most suspicious; None to
            look at all with the whole model.

    Raises:
        ConfigError: Another scan writes into the store, it is of another version, or a setting is impossible.
        DataError: The store cannot be used or written to.
        ModelError: The model cannot be loaded.
        OutputError: The folder of the maps cannot be written to.
    """
    # What cannot be done is refused before there is a store.
    detector = settings.detector()
    quick = None if fast is None else quick_facts(detector, fast)
    if settings.maps is not None:
        make_folder(settings.maps)
    store = ScanStore(output)
    try:
        limits = settings.limits
        facts = detector.name, detector.sha256, detector.precision
        any_precision = settings.precision == "auto"
        maps = None if settings.maps is None else os.fspath(settings.maps)
        first = whole = Wanted(any_precision, maps)
        if fast is not None:
            first = Wanted(any_precision, None, quick)
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
                fast=fast,
            )
        )
        store.judge_again(detector.judge)
        del detector  # only workers look
        store.list_entries(_announced(listing, on_progress))
        store.set_aside_outdated(first, retry=retry_errors)
        counts = store.counts()
        workers = min(workers, counts.files - (counts.done if fast is None else 0))
        if settings.threads is None:
            settings = replace(settings, threads=max(1, cores() // max(1, workers)))
        wanted = first

        def known(sha256: str, number: int) -> Analysis | None:
            return store.same_bytes(sha256, number, wanted)

        with WorkerPool(settings, workers, facts, known) as pool:
            start = Progress(
                counts.done, counts.files, counts.errors, None, stage="" if fast is None else QUICK
            )
            analysed = _fill(store, pool, store.to_do(quick=fast is not None), start, on_progress)
            sent_on = 0
            if fast is not None:
                wanted = whole
                store.choose(fast)
                count, tasks = store.chosen(maps)
                sent_on = _fill(store, pool, tasks, Progress(0, count, 0, None, stage=WHOLE), on_progress)
        store.end(listing.passed_over)
        return Outcome(
            store.counts(), analysed + sent_on, listing.passed_over, store.errors(ERRORS_LISTED), sent_on
        )
    finally:
        store.close()


def quick_facts(detector: Detector, fast: float) -> tuple[str, str, str]:
    """Name, SHA-256 and precision of the one who takes the quick looks.

    Args:
        detector: The whole model.
        fast: Share of the files that it looks at.

    Raises:
        ConfigError: The share does not lie between 0 and 1, or the model has nobody for quick looks.
    """
    if not 0 < fast < 1:
        raise ConfigError(
            f"the share of files for --fast is {fast:g}; give a number between 0 and 1, such as 0.1"
        )
    if detector.quick_facts is None:
        raise ConfigError(
            f"--fast needs a model of several with a Constrained R-CNN, which looks first, and {detector.name} is "
            "none; leave --model out"
        )
    return detector.quick_facts


def _fill(
    store: ScanStore,
    pool: WorkerPool,
    tasks: Iterator[tuple[int, Task]],
    start: Progress,
    on_progress: Callable[[Progress], None],
) -> int:
    """Do some tasks and write their rows; how many they were."""
    on_progress(start)
    done, errors = start.done, start.errors
    times: deque[float] = deque(maxlen=_RATE_OVER)
    for number, analysis in pool.run(tasks):
        store.finish(number, analysis)
        done, errors = done + 1, errors + (analysis.error is not None)
        times.append(time.monotonic())
        rate = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else None
        on_progress(replace(start, done=done, errors=errors, per_second=rate))
    return done - start.done


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
    if device == "auto" and os.path.isfile(Path(model) / RUN_FILE):
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
