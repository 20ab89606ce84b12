"""Stores of scans and archives."""

import json
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import mutations
from apps.scan.cases import write_picture
from apps.scan.test_archives import make
from apps.scan.test_store import SETTINGS
from doctored.apps.scan.analyse import Analyst, Limits
from doctored.apps.scan.archives import ArchiveReader, list_members
from doctored.apps.scan.entries import Entry, Listing, Shard, read_list
from doctored.apps.scan.export import write_table
from doctored.apps.scan.report import scan_page
from doctored.apps.scan.results import (
    Filter,
    highest_results,
    parse_since,
    read_results,
    stored_file,
    unfinished,
)
from doctored.apps.scan.store import ScanStore, Wanted
from doctored.core.errors import DoctoredError
from doctored.predict import Detector
from parser import Parser, Reader, file_reader, text_reader

_FILTER = Filter(above=0.0)
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")
_CONTENT = {"a.jpg": b"first" * 50, "deep/b.png": b"second" * 300, "../../etc/c.jpg": b"third"}


def store_of_a_scan() -> bytes:
    """The store of a scan of three pictures and a broken one."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        for number in range(3):
            write_picture(photos / f"{number}.png", number)
        (photos / "broken.png").write_bytes(b"no picture")
        store = ScanStore(Path(folder) / "scan.db")
        store.begin(replace(SETTINGS, model="noise"))
        store.list_entries(Listing([str(photos)]))
        analyst = Analyst(Detector.from_name("noise"), Limits())
        for number, entry in list(store.to_do()):
            store.finish(number, analyst.analyse(entry, lambda sha256: True))
        store.end(0)
        store.close()
        return _compact(Path(folder) / "scan.db")


def _compact(path: Path) -> bytes:
    """The whole store in one file of small pages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA page_size = 512")
        database.execute("VACUUM")
    return path.read_bytes()


def _read_store(folder: Path) -> Reader:
    path = folder / "scan.db"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        found = [json.dumps(result.to_json()) for result in read_results(path, _FILTER)]
        for result in highest_results([path], Filter(), 3):
            stored_file(result)
        write_table(folder / "out.csv", read_results(path))
        return found, unfinished(path)

    return read


def _page(folder: Path) -> Reader:
    path = folder / "scan.db"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return scan_page([path], Filter(), Limits(4, 1), lambda done, total: None)

    return read


def _continued_store(folder: Path) -> Reader:
    path = folder / "scan.db"

    def read(data: bytes) -> object:
        for other in folder.glob("scan.db*"):
            other.unlink()
        path.write_bytes(data)
        store = ScanStore(path)
        try:
            store.begin(replace(SETTINGS, model="noise"))
            store.list_entries(Entry(name, 5, "1") for name in ("a.jpg", "b.jpg"))
            store.set_aside_outdated(Wanted(False, None), retry=True)
            entries = list(store.to_do())
            store.same_bytes("s" * 64, 1, Wanted(True, None))
            store.end(0)
            return entries, store.counts(), store.errors(3)
        finally:
            store.close()

    return read


def _archive(suffix: str) -> object:
    def prepare(folder: Path) -> Reader:
        path = folder / f"archive{suffix}"
        reader = ArchiveReader()

        def read(data: bytes) -> object:
            path.write_bytes(data)
            reader.close()
            problem, members = None, []
            try:
                for member in list_members(str(path)):
                    members.append(member)
            except DoctoredError as error:
                problem = error
            for member in members[:20]:
                if member.problem is None:
                    try:
                        reader.read(str(path), member.position, member.file_bytes, "a member", 1)
                    except DoctoredError as error:
                        problem = error
            if problem is not None:
                raise problem
            return list(Listing([str(path)]))

        return read

    return prepare


def _archive_file(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return Path(make(Path(folder) / f"archive{suffix}", _CONTENT)).read_bytes()


_MUTATIONS = {".zip": mutations.zip_members, ".tar": mutations.tar_headers}

PARSERS = [
    Parser("store", _read_store, lambda: [store_of_a_scan()], mutations.sqlite_cells),
    Parser("store-page", _page, lambda: [store_of_a_scan()], mutations.sqlite_cells),
    Parser("continued-store", _continued_store, lambda: [store_of_a_scan()], mutations.sqlite_cells),
    *(
        Parser(
            f"archive{suffix}",
            _archive(suffix),
            lambda suffix=suffix: [_archive_file(suffix)],
            _MUTATIONS.get(suffix, mutations.compressed_tar),
        )
        for suffix in _SUFFIXES
    ),
    Parser("since", text_reader(parse_since), lambda: [b"2026-03-31", b"2026-03-31T14:00+02:00"]),
    Parser("shard", text_reader(Shard.parse), lambda: [b"3/16"]),
    Parser(
        "list-of-sources",
        file_reader("list.txt", lambda path: read_list(str(path))),
        lambda: [b"a.jpg\nb/*.png\n"],
    ),
]
