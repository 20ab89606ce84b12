"""Pictures that wait, one that is analysed, and results that are kept for a while.

One thread analyses, in the order of arrival: a network already uses every core for one picture. What a job needs lies
in a folder of its own, so that memory does not grow with the number of jobs.
"""

import math
import secrets
import shutil
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from doctored.apps.web.settings import ServeSettings
from doctored.core.errors import DoctoredError

JobState = Literal["waiting", "running", "done", "failed"]
_LONGEST_STOP_S = 10.0
# Enough for every sentence of a failed job, whose folder is empty.
_MOST_KEPT = 1000


class QueueFullError(DoctoredError):
    """So many pictures wait that no other is taken."""


class UnknownJobError(DoctoredError):
    """There is no such job, or its results were deleted."""


class StoppedError(DoctoredError):
    """An analysis was stopped before its end."""


@dataclass(eq=False)
class Job:
    """One picture.

    Args:
        id: Cannot be guessed.
        folder: Of all its files.
        name: What messages call the picture; never a path that is opened.
        state: What has become of it.
        progress: Share of the analysis that is done.
        error: One sentence if it failed.
        expires_at: When its results are deleted, for people; None before it is done or failed.
    """

    id: str
    folder: Path
    name: str = "picture"
    state: JobState = "waiting"
    progress: float = 0.0
    error: str | None = None
    expires_at: datetime | None = None
    _expires: float = math.inf  # by a clock that nobody sets
    _stored_bytes: int = 0
    _is_deleted: bool = False

    @property
    def upload(self) -> Path:
        """The picture file."""
        return self.folder / "upload"

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed")


Analyse = Callable[[Job, Callable[[int, int], None]], None]


class Jobs:
    """The queue, its worker, and the results.

    Args:
        analyse: Writes the results of a job into its folder, and calls back with the numbers of tiles done and to do.
            A DoctoredError is what the client is told.
        folder: Where the folders of jobs go.
        settings: The limits; pictures that are still being uploaded count as waiting.
    """

    def __init__(self, analyse: Analyse, folder: Path, settings: ServeSettings) -> None:
        self._analyse, self._folder = analyse, folder
        self._queue, self._max_seconds = settings.queue, settings.max_seconds
        self._keep = timedelta(minutes=settings.keep_minutes)
        self._keep_bytes = int(settings.keep_megabytes * 1e6)
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._uploading = 0
        self._running: Job | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="inference", daemon=True)
        self._worker.start()

    def reserve(self) -> Job:
        """A place in the queue for a picture that is yet to come; it is taken by `submit` or freed by `discard`.

        Raises:
            QueueFullError: There is none.
            OSError: Its folder cannot be made; the place is free again.
        """
        with self._changed:
            waiting = len(self._waiting) + self._uploading
            if waiting >= self._queue:
                raise QueueFullError(f"{waiting} pictures are waiting already; try again in a while")
            self._uploading += 1
        job_id = secrets.token_urlsafe(16)
        job = Job(job_id, self._folder / job_id)
        try:
            job.folder.mkdir()
        except BaseException:
            self.discard(job)
            raise
        return job

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn; its picture is in its folder."""
        with self._changed:
            self._uploading -= 1
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify()

    def discard(self, job: Job) -> None:
        """Give the place of a job that was never submitted back."""
        with self._changed:
            self._uploading -= 1
        shutil.rmtree(job.folder, ignore_errors=True)

    def get(self, job_id: str) -> Job:
        """The job of this name.

        Raises:
            UnknownJobError: There is none, or its time is over.
        """
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job._expires <= time.monotonic():
                raise UnknownJobError(
                    "there is no such job, or its results were deleted; send the picture again"
                )
            return job

    def ahead(self, job: Job) -> int:
        """How many pictures come before this one."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def waiting(self) -> int:
        """How many pictures wait, those included that are still being uploaded."""
        with self._changed:
            return len(self._waiting) + self._uploading

    def delete(self, job: Job) -> None:
        """Delete the results of a job; one that waits never runs, one that runs stops at its next tile."""
        with self._changed:
            self._jobs.pop(job.id, None)
            job._is_deleted = True
            if job in self._waiting:
                self._waiting.remove(job)
            if job is self._running:
                return  # its folder is in use; the worker removes it
        shutil.rmtree(job.folder, ignore_errors=True)

    def delete_expired(self) -> None:
        """Delete what was kept for long enough, and the oldest results as long as all take too much room."""
        now = time.monotonic()
        with self._changed:
            over = [job for job in self._jobs.values() if job.is_over]
        over.sort(key=lambda job: job._expires)
        kept_bytes = sum(job._stored_bytes for job in over)
        # What has just become ready stays, however large: somebody is waiting for it.
        for number, job in enumerate(over[:-1]):
            if job._expires <= now or kept_bytes > self._keep_bytes or len(over) - number > _MOST_KEPT:
                kept_bytes -= job._stored_bytes
                self.delete(job)
        if over and over[-1]._expires <= now:
            self.delete(over[-1])

    def close(self) -> None:
        """Stop the worker at its next tile; what waits is not analysed any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._worker.join(_LONGEST_STOP_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                job = self._running = self._waiting.popleft()
                job.state = "running"
            error = self._run(job)
            stored = 0 if error else _stored_bytes(job.folder)
            with self._changed:
                self._running = None
                job._stored_bytes, job.error = stored, error
                job.expires_at = datetime.now(UTC) + self._keep
                job._expires = time.monotonic() + self._keep.total_seconds()
                job.state = "failed" if error else "done"
                deleted = job._is_deleted
            if error or deleted:
                shutil.rmtree(job.folder, ignore_errors=True)
            self.delete_expired()

    def _run(self, job: Job) -> str | None:
        """Analyse a picture; a sentence if that fails."""
        deadline = time.monotonic() + self._max_seconds

        def on_progress(done: int, total: int) -> None:
            job.progress = done / total
            if self._stopping or job._is_deleted:
                raise StoppedError(f"the analysis of {job.name} was stopped")
            if time.monotonic() > deadline:
                raise StoppedError(
                    f"{job.name} takes longer than the {self._max_seconds:g} s that one picture may take here; "
                    "send a smaller part of it"
                )

        try:
            self._analyse(job, on_progress)
        except DoctoredError as error:
            return str(error)
        except MemoryError:
            return f"{job.name} needs more memory than is free here; send a smaller part of it"
        except Exception:
            # The worker must live on, and whoever runs the server must learn of it.
            traceback.print_exc(file=sys.stderr)
            return f"{job.name} could not be analysed because of an error in the program, which its log shows"
        return None


def _stored_bytes(folder: Path) -> int:
    """What the files of a folder take; one that cannot be asked for its size counts nothing."""
    stored = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            stored += file.stat().st_size
    return stored
