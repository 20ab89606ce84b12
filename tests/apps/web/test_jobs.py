import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doctored.apps.web.jobs import Jobs, QueueFullError, UnknownJobError
from doctored.apps.web.settings import ServeSettings
from doctored.core.errors import ImageReadError


class Worker:
    """An analysis that waits for a sign at every step, and leaves a file of 1000 bytes."""

    def __init__(self, steps=1):
        self.steps, self.go, self.began = steps, threading.Semaphore(0), []

    def __call__(self, job, on_progress):
        self.began.append(job.name)
        for step in range(self.steps):
            self.go.acquire()
            on_progress(step + 1, self.steps)
        (job.folder / "result").write_bytes(bytes(1000))


@pytest.fixture
def make_jobs(tmp_path):
    made = []

    def make(analyse, **settings):
        made.append(Jobs(analyse, tmp_path, ServeSettings(**settings)))
        return made[-1]

    yield make
    for jobs in made:
        jobs.close()


def submit(jobs, name):
    job = jobs.reserve()
    job.name = name
    jobs.submit(job)
    return job


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_jobs_are_done_one_at_a_time_in_order(make_jobs):
    worker = Worker(steps=2)
    jobs = make_jobs(worker)
    first, second, third = (submit(jobs, name) for name in "abc")
    wait_for(lambda: first.state == "running")
    assert [jobs.ahead(job) for job in (first, second, third)] == [0, 1, 2]
    worker.go.release()
    wait_for(lambda: first.progress == 0.5)
    for _ in range(5):
        worker.go.release()
    wait_for(lambda: third.state == "done")
    assert worker.began == ["a", "b", "c"]
    assert [job.error for job in (first, second, third)] == [None] * 3


def test_a_place_is_counted_from_the_upload_on(make_jobs):
    jobs = make_jobs(Worker(), queue=2)
    first = jobs.reserve()
    jobs.reserve()
    with pytest.raises(QueueFullError, match="2 pictures are waiting already"):
        jobs.reserve()
    jobs.discard(first)
    assert not first.folder.exists()
    assert jobs.waiting() == 1
    jobs.reserve()


def test_a_place_is_free_again_when_there_is_no_room_for_its_folder(make_jobs, monkeypatch):
    """It stayed taken, and after so many failures nobody was let in any more."""
    jobs = make_jobs(Worker(), queue=1)

    def full(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "mkdir", full)
        with pytest.raises(OSError, match="No space left"):
            jobs.reserve()
    assert jobs.waiting() == 0
    jobs.reserve()


def test_the_worker_outlives_a_result_that_cannot_be_asked_for_its_size(make_jobs, monkeypatch):
    worker, asked = Worker(), Path.stat

    def stat(path, **options):
        if path.name == "result":
            raise OSError(5, "Input/output error")
        return asked(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    jobs = make_jobs(worker)
    for name in "ab":
        job = submit(jobs, name)
        worker.go.release()
        wait_for(lambda job=job: job.state == "done")


def test_errors_become_sentences_and_the_worker_lives_on(make_jobs, capsys):
    errors = iter([ImageReadError("a is damaged"), MemoryError(), ZeroDivisionError("secret"), None])

    def analyse(job, on_progress):
        (job.folder / "half").touch()
        if error := next(errors):
            raise error

    jobs = make_jobs(analyse)
    a, b, c, d = (submit(jobs, name) for name in "abcd")
    wait_for(lambda: d.state == "done")
    assert [job.state for job in (a, b, c)] == ["failed"] * 3
    assert a.error == "a is damaged"
    assert "b needs more memory" in b.error
    assert "c could not be analysed" in c.error
    assert "secret" not in c.error
    assert "ZeroDivisionError: secret" in capsys.readouterr().err
    wait_for(lambda: not a.folder.exists())
    assert jobs.get(a.id) is a  # its sentence can still be asked for


def test_an_analysis_that_takes_too_long_stops_at_its_next_step(make_jobs):
    worker = Worker()
    jobs = make_jobs(worker, max_seconds=0.01)
    job = submit(jobs, "slow.jpg")
    wait_for(lambda: job.state == "running")
    time.sleep(0.02)
    worker.go.release()
    wait_for(lambda: job.is_over)
    assert job.error.startswith("slow.jpg takes longer than the 0.01 s")


def test_what_is_deleted_stops_or_never_runs(make_jobs):
    worker = Worker()
    jobs = make_jobs(worker)
    running, waiting, last = (submit(jobs, name) for name in "abc")
    wait_for(lambda: running.state == "running")
    jobs.delete(waiting)
    jobs.delete(running)
    for job in (running, waiting):
        with pytest.raises(UnknownJobError, match="no such job"):
            jobs.get(job.id)
    worker.go.release()
    worker.go.release()
    wait_for(lambda: last.state == "done")
    assert worker.began == ["a", "c"]
    assert not running.folder.exists()
    assert not waiting.folder.exists()
    assert last.folder.exists()


def test_results_are_gone_after_their_time(make_jobs):
    worker = Worker()
    worker.go.release()
    jobs = make_jobs(worker, keep_minutes=10)
    job = submit(jobs, "a")
    wait_for(lambda: job.is_over)
    left = job.expires_at - datetime.now(UTC)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    jobs.delete_expired()
    assert jobs.get(job.id) is job
    job._expires = time.monotonic()
    with pytest.raises(UnknownJobError):
        jobs.get(job.id)
    assert job.folder.exists()
    jobs.delete_expired()
    assert not job.folder.exists()


@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_is_set_neither_deletes_results_nor_keeps_them(make_jobs, monkeypatch, years):
    worker = Worker()
    worker.go.release()
    jobs = make_jobs(worker, keep_minutes=10)
    job = submit(jobs, "a")
    wait_for(lambda: job.is_over)

    class Set(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=365 * years)

    monkeypatch.setattr("doctored.apps.web.jobs.datetime", Set)
    jobs.delete_expired()
    assert jobs.get(job.id) is job
    job._expires = time.monotonic()
    jobs.delete_expired()
    assert not job.folder.exists()


def test_the_oldest_results_go_when_all_take_too_much_room(make_jobs):
    worker = Worker()
    for _ in range(3):
        worker.go.release()
    jobs = make_jobs(worker, keep_megabytes=0.0025)  # two results fit
    first, second, third = (submit(jobs, name) for name in "abc")
    wait_for(lambda: third.is_over and not first.folder.exists())
    assert jobs.get(second.id) is second
    assert jobs.get(third.id) is third
    with pytest.raises(UnknownJobError):
        jobs.get(first.id)


def test_the_latest_result_stays_however_large(make_jobs):
    worker = Worker()
    worker.go.release()
    jobs = make_jobs(worker, keep_megabytes=0.0001)
    job = submit(jobs, "a")
    wait_for(lambda: job.is_over)
    jobs.delete_expired()
    assert job.folder.exists()


def test_close_stops_what_runs(make_jobs):
    worker = Worker(steps=1000)
    jobs = make_jobs(worker)
    job = submit(jobs, "a")
    wait_for(lambda: job.state == "running")
    threading.Timer(0.05, worker.go.release).start()
    jobs.close()
    assert job.state == "failed"
    assert "was stopped" in job.error
