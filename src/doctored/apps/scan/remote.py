"""Files elsewhere, by URL, through fsspec: s3://, gs:// and whatever else it knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from doctored.core.errors import ConfigError, ImageReadError, MissingExtraError

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


def list_remote(url: str) -> Iterator[RemoteFile]:
    """The files that a URL stands for: itself, all that match its pattern, or all below it, folder by folder, sorted.

    Raises:
        MissingExtraError: The extra is not installed.
        ConfigError: There is no such scheme, or what it needs is not installed.
    """
    file_system, path = _file_system(url)
    try:
        if any(sign in path for sign in "*?["):
            for _, info in sorted(file_system.glob(path, detail=True).items()):
                yield from _below(file_system, info, named=True)
        else:
            yield from _below(file_system, file_system.info(path), named=True)
    except Exception as error:  # every backend has errors of its own
        yield RemoteFile(url, None, None, named=True, problem=_problem(url, error))


def _below(file_system: Any, info: dict[str, Any], *, named: bool) -> Iterator[RemoteFile]:
    if info["type"] != "directory":
        state = next((str(info[key]) for key in _STATES if info.get(key) is not None), None)
        yield RemoteFile(file_system.unstrip_protocol(info["name"]), info.get("size"), state, named)
        return
    try:
        found = sorted(file_system.ls(info["name"], detail=True), key=lambda item: item["name"])
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
            yield from _below(file_system, item, named=False)


@contextmanager
def open_remote(url: str) -> Iterator[BinaryIO]:
    """Open a file for reading; it can be sought in.

    Raises:
        ImageReadError: It is not there, or the connection failed.
        MissingExtraError: As for `list_remote`, and so is the other error.
    """
    file_system, path = _file_system(url)
    try:
        file = file_system.open(path, "rb")
    except Exception as error:
        raise ImageReadError(_problem(url, error)) from error
    with file:
        yield cast(BinaryIO, file)


def read_remote(url: str, max_megabytes: float) -> bytes:
    """The bytes of a file of limited size.

    Raises:
        ImageReadError: It is empty or too large, or cannot be read.
    """
    most = int(max_megabytes * 1e6)
    with open_remote(url) as file:
        try:
            data = file.read(most + 1)
        except Exception as error:
            raise ImageReadError(_problem(url, error)) from error
    if len(data) > most:
        raise ImageReadError(
            f"{url} has more than the limit of {max_megabytes:g} MB; raise it with --max-mb if you trust the file"
        )
    if not data:
        raise ImageReadError(f"{url} is empty (0 bytes), not a picture; get a complete copy of it")
    return data


def _file_system(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(f"reading {url}", "remote") from error
    try:
        file_system, path = url_to_fs(url)
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
