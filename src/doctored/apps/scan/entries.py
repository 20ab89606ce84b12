"""From what a scan is given to the files it will look at: folders, patterns, lists, archives and remote storage.

Nothing is opened here but folders and the directories of archives, and nothing is kept: ten million files pass through.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from doctored.apps.detect import list_inputs
from doctored.apps.scan.remote import STALL_SECONDS, is_url, list_remote
from doctored.core.errors import ConfigError, DoctoredError
from doctored.core.name_digest import name_digest

if TYPE_CHECKING:
    from doctored.apps.scan.remote import RemoteFile

PICTURE_SUFFIXES = frozenset(
    {
        *(
            ".jpg",
            ".jpeg",
            ".jpe",
            ".jfif",
            ".mpo",
            ".png",
            ".webp",
            ".avif",
            ".tif",
            ".tiff",
            ".bmp",
            ".dib",
        ),
        *(".gif", ".heic", ".heif", ".hif"),
    }
)
"""Of the files of a folder or archive, those whose names end so are looked at, in any case of letters."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

INSIDE = "!/"
"""Between the path of an archive and the name of a file in it: photos.zip!/trip/a.jpg."""


@dataclass(frozen=True)
class Entry:
    """One file to look at.

    Args:
        path: As it was given or found; of a file in an archive, the archive's path, `INSIDE` and its name there,
            which is a label and never a place on disk.
        file_bytes: Its length; None if unknown.
        modified: Differs if the file, or its archive, has changed; None if unknown.
        archive: Path of the archive that holds it; None for a file of its own.
        position: Where in the archive: the number of a member of a ZIP file, the offset of the data in an unpacked
            tar file.
        problem: Why it cannot be looked at, in a sentence; None if nothing is known to be wrong.
    """

    path: str
    file_bytes: int | None = None
    modified: str | None = None
    archive: str | None = None
    position: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Shard:
    """One of several parts into which files fall by their paths, the same on every machine.

    Args:
        number: 1 or more.
        count: How many parts there are.

    Raises:
        ConfigError: number does not lie in 1..count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"shard {self.number}/{self.count} does not exist; give 1/n to n/n")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "k/n".

        Raises:
            ConfigError: It is not of that form.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ConfigError(f"the shard is {text!r}; give k/n, for instance 3/16")
        return cls(int(number), int(count))

    def holds(self, path: str) -> bool:
        """Whether a path falls into this part."""
        digest = name_digest(path)
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


class Listing:
    """The files that sources stand for, in an order that does not change from call to call.

    Iterating lists anew. A folder stands for all pictures and archives below it, an archive for all pictures in it.
    Symbolic links are followed, but no folder is entered twice. A folder or archive that cannot be listed is an entry
    with its problem.

    Args:
        sources: Files, folders, patterns and URLs; "-" stands for the lines of standard input.
        every_file: Look at all files of folders and archives, whatever they are called.
        shard: Only this part of the files; None for all.
        leave_out: A folder that is not entered, such as that of the maps; None for no such.
        stall_seconds: How long a server may send nothing.

    Attributes:
        passed_over: Number of files of folders and archives that are not called like pictures, so far.
    """

    def __init__(
        self,
        sources: Iterable[str],
        *,
        every_file: bool = False,
        shard: Shard | None = None,
        leave_out: str | os.PathLike[str] | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._stall_seconds = stall_seconds
        self._sources, self._every_file, self._shard = list(sources), every_file, shard
        self._leave_out = leave_out
        self._folders_seen: set[tuple[int, int]] = set()
        self.passed_over = 0

    def __iter__(self) -> Iterator[Entry]:
        self._folders_seen.clear()
        if self._leave_out is not None and os.path.isdir(self._leave_out):
            self._folders_seen.add(_identity(self._leave_out))
        self.passed_over = 0
        for source in self._sources:
            for entry in self._of_source(source):
                if self._shard is None or self._shard.holds(entry.path):
                    yield entry

    def _of_source(self, source: str) -> Iterator[Entry]:
        if is_url(source):
            for file in list_remote(source, self._stall_seconds):
                yield from self._of_remote(file)
            return
        for path in list_inputs([source]):
            if is_url(path):  # a line of standard input
                yield from self._of_source(path)
            else:
                yield from self._of_path(path)

    def _of_path(self, path: str) -> Iterator[Entry]:
        if os.path.isdir(path):
            yield from self._of_folder(path)
        else:
            yield from self._of_file(_local_entry(path))

    def _of_folder(self, folder: str) -> Iterator[Entry]:
        try:
            identity = _identity(folder)
            if identity in self._folders_seen:
                return  # a link that leads back, or a second way to the same folder
            self._folders_seen.add(identity)
            with os.scandir(folder) as found:
                items = sorted(found, key=lambda item: os.fsencode(item.name))
        except OSError as error:
            yield Entry(
                folder, problem=f"the folder {folder} cannot be listed ({error.strerror}); allow reading it"
            )
            return
        for item in items:
            if _is_folder(item):
                yield from self._of_folder(item.path)
            elif self._wanted(item.name):
                yield from self._of_file(_local_entry(item.path))

    def _of_remote(self, file: RemoteFile) -> Iterator[Entry]:
        if file.named or self._wanted(file.url.rpartition("/")[2]):
            yield from self._of_file(Entry(file.url, file.file_bytes, file.modified, problem=file.problem))

    def _of_file(self, entry: Entry) -> Iterator[Entry]:
        if entry.problem is not None or not is_archive(entry.path):
            yield entry
            return
        from doctored.apps.scan.archives import list_members

        try:
            for member in list_members(entry.path, self._stall_seconds):
                if self._wanted(member.name.rpartition("/")[2]):
                    yield self._of_member(entry, member)
        except DoctoredError as error:
            yield replace(entry, problem=str(error))

    def _of_member(self, archive: Entry, member: Any) -> Entry:
        path = f"{archive.path}{INSIDE}{member.name}"
        problem = member.problem
        if problem is None and is_archive(member.name):
            problem = "is an archive inside an archive, which is not opened; unpack the outer one first"
        return Entry(
            path,
            member.file_bytes,
            archive.modified,
            archive.path,
            member.position,
            None if problem is None else f"{path} {problem}",
        )

    def _wanted(self, name: str) -> bool:
        # macOS puts files called ._photo.jpg beside photo.jpg, which hold no picture.
        wanted = is_archive(name) or self._every_file
        wanted |= os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES and not name.startswith("._")
        self.passed_over += not wanted
        return wanted


def is_archive(path: str) -> bool:
    """Whether a file is called like an archive that can be opened."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def read_list(path: str) -> list[str]:
    """The sources that a text file names, one to a line.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return [os.fsdecode(line) for line in file.read().splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError(
            f"the list {path} cannot be read ({error.strerror}); give a text file of paths"
        ) from error


def local_state(path: str) -> tuple[int | None, str | None]:
    """Length of a file and when it was last changed; None for a file that cannot be looked at."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None, None
    # Of a pipe or device the length says nothing.
    return status.st_size if stat.S_ISREG(status.st_mode) else None, str(status.st_mtime_ns)


def _identity(folder: str | os.PathLike[str]) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself, for instance; reading it will say so
        return False


def _local_entry(path: str) -> Entry:
    return Entry(path, *local_state(path))
