import builtins
import importlib.util
import io
import sys
import threading
import time

import pytest

from doctored.apps.scan.entries import Listing
from doctored.apps.scan.remote import is_url, list_remote, read_remote
from doctored.core.errors import ConfigError, ImageReadError, MissingExtraError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket():
    """Files in fsspec's memory, gone after the test."""
    memory = fsspec.filesystem("memory")
    for name, data in {"a.jpg": b"one", "deep/b.png": b"two", "notes.txt": b"x", "empty.png": b""}.items():
        memory.pipe(f"/bucket/{name}", data)
    yield memory
    memory.rm("/bucket", recursive=True)


def test_what_is_a_url():
    assert is_url("s3://bucket/a.jpg")
    assert not is_url("C:\\photos\\a.jpg")
    assert not is_url("photos/a.jpg")


def test_a_folder_stands_for_all_below_it(bucket):
    found = list(list_remote("memory://bucket"))
    names = ["a.jpg", "deep/b.png", "empty.png", "notes.txt"]
    assert [file.url for file in found] == [f"memory:///bucket/{name}" for name in names]
    assert [file.file_bytes for file in found] == [3, 3, 0, 1]
    listing = Listing(["memory://bucket"])
    assert [entry.path.rpartition("/")[2] for entry in listing] == ["a.jpg", "b.png", "empty.png"]
    assert listing.passed_over == 1


def test_a_file_and_a_pattern(bucket):
    assert [entry.path for entry in Listing(["memory://bucket/notes.txt"])] == ["memory:///bucket/notes.txt"]
    assert [entry.path for entry in Listing(["memory://bucket/*.jpg"])] == ["memory:///bucket/a.jpg"]


def test_a_changed_file_is_noticed(bucket):
    (before,) = list_remote("memory://bucket/a.jpg")
    bucket.pipe("/bucket/a.jpg", b"new")
    (after,) = list_remote("memory://bucket/a.jpg")
    assert before.modified != after.modified


def test_bytes_and_their_limit(bucket):
    assert read_remote("memory://bucket/a.jpg", 1) == b"one"
    with pytest.raises(ImageReadError, match="more than the limit of 2e-06 MB"):
        read_remote("memory://bucket/a.jpg", 2e-6)
    with pytest.raises(ImageReadError, match="empty"):
        read_remote("memory://bucket/empty.png", 1)
    with pytest.raises(ImageReadError, match="is not there"):
        read_remote("memory://bucket/gone.jpg", 1)


def test_what_is_not_there_is_an_entry_with_a_problem(bucket):
    (entry,) = Listing(["memory://nowhere/a.jpg"])
    assert "is not there" in entry.problem


def test_archives_are_opened_where_they_are(bucket, tmp_path):
    import zipfile

    with fsspec.open("memory://bucket/z.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("in/x.jpg", b"123")
    assert [entry.path for entry in Listing(["memory://bucket/z.zip"])] == [
        "memory:///bucket/z.zip!/in/x.jpg"
    ]


def test_unknown_schemes_and_missing_packages_are_sentences(monkeypatch):
    with pytest.raises(ConfigError, match="nonsense"):
        list(list_remote("nonsense://bucket"))
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(MissingExtraError, match=r"doctored\[remote\]"):
            list(list_remote("s3://bucket"))
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == "fsspec":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for module in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(MissingExtraError, match=r"doctored\[remote\]"):
        list(list_remote("s3://bucket"))


@pytest.fixture
def stalling(monkeypatch):
    """A file system that answers until a path says that it shall not, and then never again."""
    never = threading.Event()

    def wait(path):
        never.wait(60)
        raise AssertionError(f"{path} was waited for")

    class StallingFile(io.BytesIO):
        def read(self, size=-1):
            return wait("a file") if self.tell() >= 3_000_000 else super().read(size)

    class Stalling(fsspec.AbstractFileSystem):
        protocol = "stalling"
        cachable = False

        def info(self, path, **_):
            kind = "directory" if path.endswith("folder") else "file"
            return wait(path) if "info" in path else {"name": path, "type": kind, "size": 9}

        def ls(self, path, detail=True, **_):
            return wait(path)

        def open(self, path, mode="rb", **_):
            return wait(path) if "open" in path else StallingFile(bytes(4_000_000))

    fsspec.register_implementation("stalling", Stalling, clobber=True)
    yield
    never.set()


@pytest.mark.parametrize("path", ["info.jpg", "folder", "archive.zip"])
def test_a_listing_that_stalls_is_an_entry_with_a_problem(stalling, path):
    (entry,) = Listing([f"stalling://{path}"], stall_seconds=0.2)
    assert "nothing came for 0.2 s, and --stall-seconds allows no more" in entry.problem


@pytest.mark.parametrize("path", ["open.jpg", "photo.jpg"])
def test_reading_that_stalls_is_given_up(stalling, path):
    """Before the first byte, and in the middle of a file."""
    with pytest.raises(ImageReadError, match=rf"{path} cannot be read \(nothing came for 0.2 s"):
        read_remote(f"stalling://{path}", 10, 0.2)


def test_a_slow_server_that_goes_on_is_waited_for(bucket, monkeypatch):
    bucket.pipe("/bucket/large.jpg", bytes(5_000_000))
    read = fsspec.implementations.memory.MemoryFile.read
    parts = []

    def slowly(self, size=-1):
        time.sleep(0.1)
        parts.append(size)
        return read(self, size)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFile, "read", slowly)
    start = time.monotonic()
    assert read_remote("memory://bucket/large.jpg", 10, 0.4) == bytes(5_000_000)
    assert len(parts) >= 5
    assert time.monotonic() - start > 0.4
