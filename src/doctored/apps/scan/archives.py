"""The files in ZIP and tar archives: listed and read where they are; nothing is ever unpacked to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from doctored.apps.scan.remote import STALL_SECONDS, is_url, open_remote
from doctored.core.errors import ImageReadError

_ENCRYPTED_FLAG = 1
# Of the length of a compressed archive, beyond what any may unpack to, in bytes. Pictures hardly compress.
_MOST_TIMES, _LEAST_UNPACKED = 100, 500_000_000
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, IndexError),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Args:
        name: In the archive; the second of the same name is followed by " (2)", and so on.
        file_bytes: Its unpacked length as the archive states it.
        position: Its number in a ZIP file; the offset of its data in the unpacked tar file.
        problem: Why it cannot be read, as the end of a sentence.
    """

    name: str
    file_bytes: int
    position: int
    problem: str | None = None


def list_members(path: str, stall_seconds: float = STALL_SECONDS) -> Iterator[Member]:
    """The files in an archive, in its order.

    Args:
        path: Of the archive, or its URL.
        stall_seconds: How long the server of a URL may send nothing.

    Raises:
        ImageReadError: It cannot be opened, or is damaged; members before the damage have come out by then.
    """
    seen: dict[str, int] = {}
    try:
        with ExitStack() as stack:
            members = _zip_members if _is_zip(path) else _tar_members
            for member in members(stack.enter_context(_open(path, stall_seconds)), path):
                count = seen[member.name] = seen.get(member.name, 0) + 1
                name = member.name if count == 1 else f"{member.name} ({count})"
                yield Member(name, member.file_bytes, member.position, member.problem)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _zip_members(file: BinaryIO, path: str) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for position, info in enumerate(archive.infolist()):
            if info.is_dir():
                continue
            encrypted = bool(info.flag_bits & _ENCRYPTED_FLAG)
            problem = "is encrypted; unpack the archive with its password first" if encrypted else None
            yield Member(info.filename, info.file_size, position, problem)


def _tar_members(file: BinaryIO, path: str) -> Iterator[Member]:
    with _unpacked(file, path) as data, tarfile.open(fileobj=data, mode="r:") as archive:
        end = -1
        while (info := archive.next()) is not None:
            # Lengths may be negative: the next member would lie before this one, and so on without end.
            if archive.offset <= end or info.size < 0:
                raise tarfile.ReadError("a member ends before it begins")
            end = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # else every header is kept
            if info.issym() or info.islnk():
                target = info.linkname
                problem = (
                    f"is a link to {target}, and links in archives are not followed; unpack the archive first"
                )
                yield Member(info.name, 0, info.offset_data, problem)
            elif info.issparse():
                yield Member(
                    info.name, info.size, info.offset_data, "is stored with gaps; unpack the archive first"
                )
            elif info.isfile():
                yield Member(info.name, info.size, info.offset_data)


class ArchiveReader:
    """Reads members of archives, keeping the last archive open: members in order cost one pass through it.

    Args:
        stall_seconds: How long the server of a URL may send nothing.
    """

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._path: str | None = None
        self._stack = ExitStack()
        self._archive: zipfile.ZipFile | BinaryIO | None = None

    def read(self, path: str, position: int, file_bytes: int, name: str, max_megabytes: float) -> bytes:
        """The bytes of one member of limited size.

        Args:
            path: Of the archive, or its URL.
            position: As listed.
            file_bytes: As listed.
            name: What messages call the member.
            max_megabytes: Largest accepted member; one that states a greater length is not unpacked at all.

        Raises:
            ImageReadError: It is too large or empty, or it or the archive is damaged.
        """
        if file_bytes > max_megabytes * 1e6:
            raise ImageReadError(
                f"{name} has {file_bytes / 1e6:.4g} MB unpacked, more than the limit of {max_megabytes:g} MB; "
                "raise it with --max-mb if you trust the file"
            )
        if file_bytes <= 0:
            raise ImageReadError(f"{name} is empty (0 bytes), not a picture; get a complete copy of it")
        try:
            data = self._read(path, position, file_bytes)
        except ImageReadError:
            self.close()
            raise
        except _DAMAGED as error:
            self.close()
            raise _unreadable(name, error) from error
        if len(data) != file_bytes:
            raise ImageReadError(
                f"{name} unpacks to another length than the archive states, so the archive is damaged or has changed; "
                "get a complete copy of it"
            )
        return data

    def _read(self, path: str, position: int, file_bytes: int) -> bytes:
        archive = self._opened(path)
        if isinstance(archive, zipfile.ZipFile):
            with archive.open(archive.infolist()[position]) as member:
                return member.read(file_bytes + 1)
        archive.seek(position)
        return archive.read(file_bytes)

    def _opened(self, path: str) -> zipfile.ZipFile | BinaryIO:
        if path != self._path or self._archive is None:
            self.close()
            file = self._stack.enter_context(_open(path, self._stall_seconds))
            if _is_zip(path):
                self._archive = self._stack.enter_context(zipfile.ZipFile(file))
            else:
                self._archive = self._stack.enter_context(_unpacked(file, path))
            self._path = path
        return self._archive

    def close(self) -> None:
        """Close the archive that is open."""
        self._archive = self._path = None
        self._stack.close()


def _is_zip(path: str) -> bool:
    return path.lower().endswith(".zip")


@contextmanager
def _open(path: str, stall_seconds: float) -> Iterator[BinaryIO]:
    if is_url(path):
        with open_remote(path, stall_seconds) as file:
            yield file
    else:
        with open(path, "rb") as file:
            yield file


@contextmanager
def _unpacked(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """The tar file inside its compression; going forward in it unpacks without keeping."""
    lower = path.lower()
    if lower.endswith("gz"):
        opened = cast(BinaryIO, gzip.GzipFile(fileobj=file))
    elif lower.endswith("bz2"):
        opened = cast(BinaryIO, bz2.BZ2File(file))
    elif lower.endswith("xz"):
        opened = cast(BinaryIO, lzma.LZMAFile(file))  # noqa: SIM115 (closed below)
    else:
        yield file
        return
    with opened:
        yield cast(BinaryIO, _Unpacked(opened, _LEAST_UNPACKED + _MOST_TIMES * _length(file)))


def _length(file: BinaryIO) -> int:
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    return length


class _Unpacked:
    """An unpacked stream that ends in an error where it becomes far longer than archives of pictures do.

    A thousand bytes can stand for a gigabyte, and going forward by hours of unpacking is one step for who reads.
    """

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._most = stream, most

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def read(self, length: int) -> bytes:
        self._check(self._stream.tell() + length)
        return self._stream.read(length)

    def _check(self, position: int) -> None:
        if position > self._most:
            raise OSError(f"it unpacks to more than {_MOST_TIMES} times its length; unpack it first")


def _unreadable(name: str, error: Exception) -> ImageReadError:
    detail = " ".join(str(error).split())[:120] or type(error).__name__
    return ImageReadError(
        f"{name} cannot be unpacked ({detail}); the archive is damaged or of a rare variant"
    )
