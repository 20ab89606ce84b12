"""Files elsewhere, by URL, through fsspec: s3://, gs:// and whatever else it knows."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

from doctored.core.errors import ConfigError, DoctoredError, ImageReadError, MissingExtraError

STALL_SECONDS = 60.0
"""How long a server may send nothing before it is given up."""

_Outcome = TypeVar("_Outcome")
_PART_BYTES = 1 << 20
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_OF_EXTRA = ("s3://", "s3a://", "gs://", "gcs://")
# Of what file systems tell about a file, the first that is there changes with its content.
_STATES = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a listing.

    Args:
        url: With its scheme.
        file_bytes: Its length; None if unknown.
        modified: Differs if it has changed; None if unknown.
        named: Whether the listing was asked for this very file, rather than for a folder that holds it.
        problem: Why it cannot be looked at, in a sentence.
    """

    url: str
    file_bytes: int | None
    modified: str | None
    named: bool = False
    problem: str | None = None


def is_url(path: str) -> bool:
    """Whether a path names a scheme; C:\\photos does not."""
    return _URL.match(path) is not None


class _StalledError(Exception):
    """A server has sent nothing for too long."""


def _patiently(seconds: float, call: Callable[[], _Outcome]) -> _Outcome:
    """What a call returns, if it does so in time.

    It runs in a thread of its own, which is left behind otherwise: backends have no common way to break off.

    Raises:
        _StalledError: It did not.
        BaseException: What the call raises.
    """
    outcome: list[_Outcome] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="waits for a server", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not outcome:
        raise _StalledError(f"nothing came for {seconds:g} s, and --stall-seconds allows no more")
    return outcome[0]


def list_remote(url: str, stall_seconds: float = STALL_SECONDS) -> Iterator[RemoteFile]:
    """The files that a URL stands for: itself, all that match its pattern, or all below it, folder by folder, sorted.

    Args:
        url: With its scheme.
        stall_seconds: How long the server may send nothing.

    Raises:
        MissingExtraError: The extra is not installed.
        ConfigError: There is no such scheme, or what it needs is not installed.
    """
    try:
        file_system, path = _file_system(url, stall_seconds)
        if any(sign in path for sign in "*?["):
            matches = _patiently(stall_seconds, lambda: file_system.glob(path, detail=True))
            for _, info in sorted(matches.items()):
                yield from _below(file_system, info, stall_seconds, named=True)
        else:
            info = _patiently(stall_seconds, lambda: file_system.info(path))
            yield from _below(file_system, info, stall_seconds, named=True)
    except DoctoredError:
        raise
    except Exception as error:  # every backend has errors of its own
        yield RemoteFile(url, None, None, named=True, problem=_problem(url, error))


def _below(
    file_system: Any, info: dict[str, Any], stall_seconds: float, *, named: bool
) -> Iterator[RemoteFile]:
    if info["type"] != "directory":
        state = next((str(info[key]) for key in _STATES if info.get(key) is not None), None)
        yield RemoteFile(file_system.unstrip_protocol(info["name"]), info.get("size"), state, named)
        return
    try:
        items = _patiently(stall_seconds, lambda: file_system.ls(info["name"], detail=True))
        found = sorted(items, key=lambda item: item["name"])
        # A long scan must not keep every folder that it has passed.
        file_system.invalidate_cache(info["name"])
    except Exception as error:
        url = file_system.unstrip_protocol(info["name"])
        yield RemoteFile(url, None, None, named=True, problem=_problem(url, error))
        return
    for item in found:
        if item["name"].rstrip("/") != info["name"].rstrip(
            "/"
        ):  # object stores list a folder among its content
            yield from _below(file_system, item, stall_seconds, named=False)


@contextmanager
def open_remote(url: str, stall_seconds: float = STALL_SECONDS) -> Iterator[BinaryIO]:
    """Open a file for reading; it can be sought in.

    Args:
        url: With its scheme.
        stall_seconds: How long the server may send nothing.

    Raises:
        ImageReadError: It is not there, or the connection failed; also when reading stalls.
        MissingExtraError: As for `list_remote`, and so is the other error.
    """
    try:
        file_system, path = _file_system(url, stall_seconds)
        file = _patiently(stall_seconds, lambda: file_system.open(path, "rb"))
    except DoctoredError:
        raise
    except Exception as error:
        raise ImageReadError(_problem(url, error)) from error
    with file, io.BufferedReader(_PatientFile(url, file, stall_seconds), _PART_BYTES) as reader:
        yield cast(BinaryIO, reader)


class _PatientFile(io.RawIOBase):
    """A file of which every part has to come in time."""

    def __init__(self, url: str, file: Any, stall_seconds: float) -> None:
        self._url, self._file, self._stall_seconds = url, file, stall_seconds

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        most = min(len(buffer), _PART_BYTES)
        try:
            data = _patiently(self._stall_seconds, lambda: self._file.read(most))
        except _StalledError as error:
            raise ImageReadError(_problem(self._url, error)) from error
        buffer[: len(data)] = data
        return len(data)


def read_remote(url: str, max_megabytes: float, stall_seconds: float = STALL_SECONDS) -> bytes:
    """The bytes of a file of limited size.

    Args:
        url: With its scheme.
        max_megabytes: Largest accepted file in millions of bytes.
        stall_seconds: How long the server may send nothing.

    Raises:
        ImageReadError: It is empty or too large, or cannot be read.
    """
    most = int(max_megabytes * 1e6)
    with open_remote(url, stall_seconds) as file:
        try:
            data = file.read(most + 1)
        except DoctoredError:
            raise
        except Exception as error:
            raise ImageReadError(_problem(url, error)) from error
    if len(data) > most:
        raise ImageReadError(
            f"{url} has more than the limit of {max_megabytes:g} MB; raise it with --max-mb if you trust the file"
        )
    if not data:
        raise ImageReadError(f"{url} is empty (0 bytes), not a picture; get a complete copy of it")
    return data


def _file_system(url: str, stall_seconds: float) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(f"reading {url}", "remote") from error
    try:
        file_system, path = _patiently(stall_seconds, lambda: url_to_fs(url))
    except ImportError as error:
        if url.startswith(_OF_EXTRA):
            raise MissingExtraError(f"reading {url}", "remote") from error
        raise ConfigError(
            f"{url} cannot be read ({error}); install that package, or copy the files here"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{url} cannot be read ({error}); give a path, or a URL such as s3://bucket"
        ) from error
    return file_system, path


def _problem(url: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{url} is not there; check the address"
    detail = " ".join(str(error).split())[:200] or type(error).__name__
    return f"{url} cannot be read ({detail}); check the address, your credentials and the connection"
