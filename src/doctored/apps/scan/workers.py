"""Worker processes that analyse files; one that dies costs the file it was looking at, and nothing else."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import ending, file_parser
from doctored.apps.scan.analyse import Analysis, Analyst, Limits, Task, failed
from doctored.core.errors import DoctoredError

_ENOUGH_STARTS = 3
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker loads its model and what it may spend.

    Args:
        model: As for `Detector.from_name`, and so are the others up to threads.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "auto", "int8", "bf16" or "fp32".
        fpr: The accepted rate of false alarms.
        calibration: A file; None for the model's own.
        threads: CPU threads of each worker; None for a fair share of the cores.
        limits: Of each file.
        maps: Folder for maps; None writes none.
        isolate: Whether files are parsed in a process of their own.
    """

    model: str
    device: str
    precision: str
    fpr: float
    calibration: str | None
    threads: int | None
    limits: Limits
    maps: Path | None = None
    isolate: bool = False

    def detector(self) -> Any:
        """Load the model."""
        from doctored.predict import Detector

        return Detector.from_name(
            self.model,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            fpr=self.fpr,
            calibration=self.calibration,
        )

    def parser(self) -> FileParser:
        """What parses files."""
        return file_parser(self.limits.max_megapixels, self.limits.max_megabytes, isolate=self.isolate)


@dataclass(frozen=True)
class _Ready:
    """A worker has loaded its model."""


@dataclass(frozen=True)
class _Claim:
    """A worker asks whether it shall look at bytes with this SHA-256."""

    sha256: str


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    ready: bool = False
    job: tuple[int, Task] | None = None
    sha256: str | None = None
    started: float = 0.0
    overdue: bool = False


Job = tuple[int, Task]
Finished = tuple[int, Analysis]


class WorkerPool:
    """Runs files through worker processes, each with a model of its own; they live until its context is left.

    Args:
        settings: Of all workers.
        count: How many.
        detector_facts: Name, SHA-256 and precision of the model, for rows of files that end a worker.
        known: From the SHA-256 of bytes, and the number of the file that holds them, to what was found in them before;
            None if they are new. What was yielded must be known from then on.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        count: int,
        detector_facts: tuple[str, str, str],
        known: Callable[[str, int], Analysis | None],
    ) -> None:
        self._settings, self._count, self._known = settings, count, known
        self.detector_facts = detector_facts
        # A fresh interpreter: a forked one would miss the threads of the engine.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._again: list[Job] = []
        self._same_bytes: dict[str, list[Job]] = {}  # by what is at work now: those that wait for its result
        self._deadly: dict[str, tuple[str, str]] = {}  # bytes that ended a worker: the path, and how
        self._failed_starts = 0

    def run(self, jobs: Iterator[Job]) -> Iterator[Finished]:
        """Analyse files; results come in the order in which they are finished.

        Args:
            jobs: Numbers and tasks; taken as workers become free.

        Raises:
            DoctoredError: Workers end before they begin.
        """
        while True:
            self._hand_out(jobs)
            if not any(worker.job for worker in self._workers):
                return
            for worker in self._with_news():
                yield from self._hear(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _hand_out(self, jobs: Iterator[Job]) -> None:
        """Give every worker a file, starting workers as long as there are more files."""
        idle = [worker for worker in self._workers if worker.job is None]
        while idle or len(self._workers) < self._count:
            job = self._again.pop() if self._again else next(jobs, None)
            if job is None:
                return
            worker = idle.pop() if idle else self._start()
            worker.job, worker.sha256, worker.started = job, None, time.monotonic()
            try:
                worker.connection.send(job[1])
            except OSError:  # it ended between two files, which is nobody's fault
                worker.job = None
                self._again.append(job)
                self._drop(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._settings, theirs), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _with_news(self) -> list[_Worker]:
        limit = self._settings.limits.max_seconds
        busy = [worker for worker in self._workers if worker.job is not None]
        heard = wait([worker.connection for worker in busy], None if limit is None else _POLL_SECONDS)
        for worker in busy:
            late = limit is not None and worker.ready and time.monotonic() > worker.started + limit
            if late and worker.connection not in heard:
                worker.overdue = True
                worker.process.kill()
        return [worker for worker in busy if worker.connection in heard]

    def _hear(self, worker: _Worker) -> Iterator[Finished]:
        try:
            news = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(news, _Ready):
            worker.ready, worker.started = True, time.monotonic()
            self._failed_starts = 0
        elif isinstance(news, _Claim):
            yield from self._answer(worker, news.sha256)
        elif isinstance(news, Analysis):
            yield from self._finish(worker, news)
        else:
            raise DoctoredError(str(news))

    def _answer(self, worker: _Worker, sha256: str) -> Iterator[Finished]:
        assert worker.job is not None
        job = worker.job
        deadly = self._deadly.get(sha256)
        known = None if deadly else self._known(sha256, job[0])
        claimed = deadly is None and known is None and sha256 not in self._same_bytes
        if claimed:
            worker.sha256 = sha256
            self._same_bytes[sha256] = []
        with suppress(OSError):  # if it has just ended, its silence will be heard
            worker.connection.send(claimed)
        if claimed:
            return
        worker.job = None
        if deadly is not None:
            yield job[0], self._of_deadly(job, sha256)
        elif known is not None:
            yield job[0], known
        else:
            self._same_bytes[sha256].append(job)

    def _finish(self, worker: _Worker, analysis: Analysis) -> Iterator[Finished]:
        assert worker.job is not None
        number, _ = worker.job
        worker.job = None
        yield number, analysis
        if worker.sha256 is None:
            return
        for job in self._same_bytes.pop(worker.sha256):
            known = self._known(worker.sha256, job[0])
            if known is None:  # the first of them failed, and each shall say so by its own name
                self._again.append(job)
            else:
                yield job[0], known

    def _bury(self, worker: _Worker) -> Iterator[Finished]:
        """What follows from the end of a worker: its file has its row, and is not given to another."""
        self._drop(worker)
        assert worker.job is not None
        number, task = worker.job
        cause = _cause(worker.process.exitcode)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _ENOUGH_STARTS:
                raise DoctoredError(f"worker processes end before they begin ({cause}); try fewer --workers")
            self._again.append(worker.job)
            return
        if worker.overdue:
            how = f"took longer than {self._settings.limits.max_seconds:g} s; allow more with --max-seconds"
        else:
            how = f"ended the process that looked at it ({cause}); try --retry-errors with fewer --workers"
        sentence = f"{task.entry.path} {how}"
        yield number, failed(sentence, self.detector_facts, time.monotonic() - worker.started, worker.sha256)
        if worker.sha256 is not None:
            self._deadly[worker.sha256] = task.entry.path, how
            for job in self._same_bytes.pop(worker.sha256):
                yield job[0], self._of_deadly(job, worker.sha256)

    def _drop(self, worker: _Worker) -> None:
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)

    def _of_deadly(self, job: Job, sha256: str) -> Analysis:
        path, how = self._deadly[sha256]
        return failed(
            f"{job[1].entry.path} holds the same bytes as {path}, which {how}",
            self.detector_facts,
            sha256=sha256,
        )


def _cause(exit_code: int | None) -> str:
    name = ending(exit_code)
    return f"{name}, most likely out of memory" if name == "SIGKILL" else name


def _work(settings: WorkerSettings, connection: Connection) -> None:
    """What a worker does until its parent ends."""
    # Ctrl-C reaches the whole group of processes, and the parent is the one that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        parser = settings.parser().__enter__()  # ends with this process
        analyst = Analyst(settings.detector(), settings.limits, settings.maps, parser)
    except DoctoredError as error:
        connection.send(str(error))
        return

    def claim(sha256: str) -> bool:
        connection.send(_Claim(sha256))
        return bool(connection.recv())

    try:
        connection.send(_Ready())
        while True:
            analysis = analyst.analyse(connection.recv(), claim)
            if analysis is not None:
                connection.send(analysis)
    except (EOFError, OSError):
        return  # the parent is gone
