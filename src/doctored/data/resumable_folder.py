"""Folders that a command fills file by file, in several processes, and goes on filling when it is called again."""

import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.json_text import parse_json

COMMAND_FILE = "command.json"
_UNFINISHED = ".part"
_WAITING_PER_WORKER = 4


def open_folder(folder: Path, command: dict[str, Any], results: Sequence[str], *, force: bool) -> None:
    """Make a folder for the results of a command, or find in it what the same command left.

    Args:
        folder: Created with its parents if missing.
        command: What decides the results, in JSON's types.
        results: Names, or patterns of names, of the files and folders that the command makes in it.
        force: Remove the results of another command, or write into a folder of something else.

    Raises:
        ConfigError: The folder holds the results of another command, or something else.
        DataError: The folder cannot be made or written to.
    """
    path = folder / COMMAND_FILE
    try:
        if path.is_file():
            earlier = parse_json(path.read_text(encoding="utf-8"))
            if earlier == command:
                for unfinished in folder.rglob(f".*{_UNFINISHED}"):
                    unfinished.unlink()
                return
            if not force:
                raise ConfigError(
                    f"{folder} was made by another command ({difference(earlier, command)}); choose another "
                    "--output folder, or start it anew with --force"
                )
            for result in (found for pattern in results for found in sorted(folder.glob(pattern))):
                if result.is_dir():
                    shutil.rmtree(result)
                else:
                    result.unlink()
        elif folder.exists() and not force and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} already holds something; choose another --output folder, or write into it with --force"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_file(path, (json.dumps(command, indent=2) + "\n").encode())
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be used as --output folder ({error}); choose another") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is complete or not there, also if the program is stopped meanwhile."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def work_through(
    job: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int,
    on_result: Callable[[Any, Any], None],
) -> None:
    """Do a job for every item, in this process or in several.

    Args:
        job: Sent to each worker process once; it must not depend on the items it had before.
        items: What to do it for.
        workers: Number of processes; 1 stays in this one.
        on_result: Gets each item and its result, in the order in which they are ready.

    Raises:
        DoctoredError: A worker process was killed.
        Exception: What the job raised; items that were not begun are left.
    """
    if workers == 1:
        for item in items:
            on_result(item, job(item))
        return
    try:
        _share_out(job, items, workers, on_result)
    except BrokenProcessPool as error:
        raise DoctoredError(
            "a worker process was ended from outside, probably for lack of memory; give fewer --workers, or call again "
            "to go on"
        ) from error


def _share_out(
    job: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int,
    on_result: Callable[[Any, Any], None],
) -> None:
    context = multiprocessing.get_context("spawn")  # the only way that works with threads and on every system
    remaining = iter(items)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job,)) as pool:
        try:
            running: dict[Future[Any], Any] = {}
            while True:
                for item in islice(remaining, workers * _WAITING_PER_WORKER - len(running)):
                    running[pool.submit(_work, item)] = item
                if not running:
                    return
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    on_result(running.pop(future), future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_job: Callable[[Any], Any]


def _start_worker(job: Callable[[Any], Any]) -> None:
    global _job
    _job = job
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Workers of a program that was killed would wait for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _work(item: Any) -> Any:
    return _job(item)


def difference(earlier: Any, now: dict[str, Any]) -> str:
    """In what one description of a command differs from another, for an error message.

    Args:
        earlier: As read from a file, so it may be anything.
        now: By name, in JSON's types.
    """
    if not isinstance(earlier, dict):
        return "its description is damaged"
    names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    return ", ".join(f"{name} was {_shown(earlier.get(name))}, is {_shown(now.get(name))}" for name in names)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
