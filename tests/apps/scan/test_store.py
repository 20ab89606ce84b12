import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace

import pytest

from apps.scan.cases import rows
from doctored.apps.scan.analyse import Analysis, EarlierLook, failed, map_path
from doctored.apps.scan.entries import Entry
from doctored.apps.scan.store import ScanSettings, ScanStore, Wanted, connect, rounded_share
from doctored.core.errors import ConfigError, DataError

SETTINGS = ScanSettings("1", "[]", "noise", "noise", "m" * 64, "fp32", 0.05, None, None, "400 MP")
FOUND = replace(
    failed("", ("noise", "m" * 64, "fp32"), 0.5, "s" * 64),
    error=None,
    result='{"reason": "why", "regions": [{"score": 1}], "witnesses": [], "picture": {"width": 4}}',
    raw_score=0.25,
    verdict="no_signs",
)


def opened(path, settings=SETTINGS, names=("a.jpg", "b.jpg")):
    store = ScanStore(path)
    store.begin(settings)
    store.list_entries(Entry(name, 5, "1") for name in names)
    return store


def todo(store):
    return [task.entry.path for _, task in store.to_do()]


def test_every_entry_has_one_row_and_is_done_once(tmp_path):
    store = opened(tmp_path / "scan.db", names=("b.jpg", "a.jpg", "b.jpg"))
    jobs = list(store.to_do())
    assert [task.entry.path for _, task in jobs] == ["b.jpg", "a.jpg"], "as listed"
    store.finish(jobs[0][0], FOUND)
    assert todo(store) == ["a.jpg"]
    counts = store.counts()
    assert (counts.files, counts.done, counts.errors) == (2, 1, 0)
    store.finish(jobs[1][0], failed("broken", ("noise", "m" * 64, "fp32")))
    assert store.errors(5) == ["broken"]
    assert store.counts().errors == 1
    store.close()


def test_columns_for_queries_come_from_the_result(tmp_path):
    store = opened(tmp_path / "scan.db", names=("a.jpg",))
    store.finish(1, FOUND)
    store.close()
    (row,) = rows(tmp_path / "scan.db", "reason, regions, picture, raw_score, path")
    assert row == {
        "reason": "why",
        "regions": '[{"score":1}]',
        "picture": '{"width":4}',
        "raw_score": 0.25,
        "path": "a.jpg",
    }


def test_the_columns_of_an_analysis_are_in_the_table(tmp_path):
    ScanStore(tmp_path / "scan.db").close()
    with closing(sqlite3.connect(tmp_path / "scan.db")) as database:
        columns = {column[1] for column in database.execute("PRAGMA table_info(files)")}
    assert {field.name for field in fields(Analysis)} <= columns


def test_rows_survive_a_kill(tmp_path):
    program = f"""
import os, signal, sys
from pathlib import Path
from doctored.apps.scan.analyse import Analysis
from doctored.apps.scan.entries import Entry
from doctored.apps.scan.store import ScanSettings, ScanStore
store = ScanStore(Path(sys.argv[1]))
store.begin({SETTINGS!r})
store.list_entries([Entry("a.jpg"), Entry("b.jpg")])
store.finish(1, {FOUND!r})
os.kill(os.getpid(), signal.SIGKILL)"""
    path = tmp_path / "scan.db"
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    store = ScanStore(path)
    assert [(row["path"], row["done"]) for row in rows(path)] == [("a.jpg", 1), ("b.jpg", 0)]
    store.close()


def test_what_changed_is_to_do_again(tmp_path):
    store = opened(tmp_path / "scan.db")
    for number, _ in list(store.to_do()):
        store.finish(number, FOUND)
    store.list_entries([Entry("a.jpg", 5, "2"), Entry("b.jpg", 5, "1")])
    assert todo(store) == ["a.jpg"]
    store.close()


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {}, 0),
        ({"model_sha256": "n" * 64}, {}, 1),
        ({"model": "other"}, {}, 1),
        ({"precision": "int8"}, {}, 0),
        ({"precision": "int8"}, {"any_precision": False}, 1),
        ({}, {"maps": "maps"}, 1),
        ({}, {"retry": True}, 1),
        ({"limits": "500 MP"}, {}, 1),
    ],
)
def test_rows_that_rest_on_something_else_are_to_do_again(tmp_path, changes, options, expected):
    """One row holds a result, the other an error; each change concerns one of them."""
    store = opened(tmp_path / "scan.db")
    store.finish(1, FOUND)
    store.finish(2, failed("broken", ("noise", "m" * 64, "fp32"), 0.1))
    store.close()
    store = opened(tmp_path / "scan.db", replace(SETTINGS, **changes))
    changed = {"any_precision": True, "maps": None, "retry": False} | options
    retry = changed.pop("retry")
    store.set_aside_outdated(Wanted(**changed), retry=retry)
    assert len(todo(store)) == expected
    store.close()


def test_the_same_bytes_are_known(tmp_path):
    store = opened(tmp_path / "scan.db")
    store.finish(1, FOUND)
    wanted = Wanted(True, None)
    other = store.same_bytes("s" * 64, 2, wanted)
    assert (other.duplicate, other.seconds, other.result) == (True, 0.0, FOUND.result)
    assert store.same_bytes("s" * 64, 1, wanted) == FOUND, "the file itself, which was touched"
    assert store.same_bytes("t" * 64, 2, wanted) is None
    assert store.same_bytes("s" * 64, 2, Wanted(True, "maps")) is None
    store.close()


@pytest.mark.parametrize(("earlier", "maps"), [("maps-2", "maps"), ("maps", "maps-2"), ("other", ".")])
def test_a_map_counts_where_it_is_wanted_only(tmp_path, earlier, maps):
    """One in maps-2 counted as in maps, so that nothing was written there."""
    store = opened(tmp_path / "scan.db", names=("a.jpg",))
    store.finish(1, replace(FOUND, map=map_path(earlier, "s" * 64)))
    assert store.same_bytes("s" * 64, 1, Wanted(True, earlier)) is not None
    assert store.same_bytes("s" * 64, 1, Wanted(True, maps)) is None
    store.set_aside_outdated(Wanted(True, maps), retry=False)
    assert todo(store) == ["a.jpg"]
    store.finish(1, replace(FOUND, map=map_path(maps, "s" * 64)))
    store.set_aside_outdated(Wanted(True, maps), retry=False)
    assert todo(store) == []
    store.close()


def test_a_file_that_can_no_longer_be_read_keeps_nothing_that_was_found_in_it(tmp_path):
    """Its old verdict and scores stayed beside the error."""
    store = opened(tmp_path / "scan.db", names=("new.jpg",))
    store.list_entries([Entry("old.jpg", 5, "1")])
    filled = {
        field.name: 1
        for field in fields(Analysis)
        if field.name not in ("error", "result", "preview", "kept")
    }
    store.finish(2, replace(FOUND, **filled, preview=b"map", kept=b"kept"))
    store.list_entries([Entry(name, problem="gone") for name in ("new.jpg", "old.jpg")])
    store.close()
    columns = ", ".join(field.name for field in fields(Analysis) if field.name != "analysed_at")
    new, old = rows(tmp_path / "scan.db", columns)
    assert old == new
    assert {name: value for name, value in old.items() if value is not None} == {
        "error": "gone",
        "quick_look": 0,
    }


def test_problems_are_done_without_being_looked_at(tmp_path):
    store = opened(tmp_path / "scan.db")
    store.list_entries([Entry("z.zip", problem="z.zip is broken")])
    store.set_aside_outdated(Wanted(True, None), retry=True)
    assert todo(store) == ["a.jpg", "b.jpg"]
    assert store.errors(5) == ["z.zip is broken"]
    store.list_entries([Entry("z.zip", 5, "1")])
    assert "z.zip" in todo(store), "it was mended"
    store.close()


def test_names_that_are_no_text_are_kept(tmp_path):
    name = "caf\udce9.jpg"  # what Python makes of a byte that is no UTF-8
    store = opened(tmp_path / "scan.db", names=(name,))
    assert todo(store) == [name]
    store.close()
    assert rows(tmp_path / "scan.db")[0]["path"] == b"caf\xe9.jpg"


def test_a_second_scan_is_refused_until_the_first_ends(tmp_path):
    first = ScanStore(tmp_path / "scan.db")
    with pytest.raises(ConfigError, match="another scan"):
        ScanStore(tmp_path / "scan.db")
    connect(tmp_path / "scan.db").close()  # readers are welcome
    first.close()
    ScanStore(tmp_path / "scan.db").close()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database " * 100)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    for use in (ScanStore, connect):
        with pytest.raises(DataError, match=r"cannot be used as the store .*choose another"):
            use(tmp_path / "text.db")
        with pytest.raises(DataError, match="of another program"):
            use(tmp_path / "other.db")
    with pytest.raises(DataError, match="is not there"):
        connect(tmp_path / "missing.db")
    with pytest.raises(DataError, match="cannot be used"):
        ScanStore(tmp_path / "text.db" / "scan.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db", "text.db"], "no locks are left"


def test_the_folder_of_a_store_is_made(tmp_path):
    ScanStore(tmp_path / "new" / "folder" / "scan.db").close()
    assert (tmp_path / "new" / "folder" / "scan.db").is_file()


def test_stores_of_other_versions_are_refused(tmp_path):
    ScanStore(tmp_path / "scan.db").close()
    with closing(sqlite3.connect(tmp_path / "scan.db")) as database:
        database.execute("PRAGMA user_version = 99")
    for use in (ScanStore, connect):
        with pytest.raises(ConfigError, match="version 99"):
            use(tmp_path / "scan.db")


GLANCE = ("glance", "g" * 64, "bf16")
QUICK = replace(
    FOUND,
    model="glance",
    model_sha256="g" * 64,
    precision="bf16",
    quick_look=True,
    kept=b"kept",
    quick_score=1.0,
)


def test_a_quick_look_is_enough_only_where_one_is_wanted(tmp_path):
    store = opened(tmp_path / "scan.db")
    store.finish(1, QUICK)
    store.finish(2, FOUND)
    wanted, whole = Wanted(True, None, GLANCE), Wanted(True, None)
    assert store.same_bytes("s" * 64, 1, wanted) == QUICK
    assert store.same_bytes("s" * 64, 3, wanted).quick_look is False, "the whole look first"
    assert store.same_bytes("s" * 64, 1, whole).model == "noise"
    for options, expected in (
        (wanted, []),
        (Wanted(False, None, GLANCE), []),
        (Wanted(False, None, ("glance", "g" * 64, "fp32")), ["a.jpg"]),
        (Wanted(True, None, ("glance", "h" * 64, "bf16")), ["a.jpg"]),
        (whole, ["a.jpg"]),
    ):
        store.set_aside_outdated(options, retry=False)
        assert todo(store) == expected
        store.finish(1, QUICK)
    assert (store.counts().done, store.counts().quick) == (2, 1)
    store.close()


def test_a_quick_look_is_no_result_of_the_model_that_took_it(tmp_path):
    """A scan with that model alone wants its verdict, too."""
    store = opened(tmp_path / "scan.db")
    store.finish(1, QUICK)
    store.close()
    settings = replace(SETTINGS, model="glance", model_sha256="g" * 64, operating_point=0.2)
    store = opened(tmp_path / "scan.db", settings)
    store.judge_again(lambda *_: pytest.fail("nothing to judge"))
    store.set_aside_outdated(Wanted(True, None), retry=False)
    assert todo(store) == ["a.jpg", "b.jpg"]
    assert store.same_bytes("s" * 64, 2, Wanted(True, None)) is None
    store.close()


def test_the_highest_quick_scores_are_chosen_and_the_same_bytes_count_once(tmp_path):
    scores = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 5.0, "e": 4.0, "f": None}
    store = opened(tmp_path / "scan.db", names=(*scores, "broken"))
    for number, (name, score) in enumerate(scores.items(), 1):
        sha256 = ("b" if name == "d" else name) * 64
        looked = FOUND if name in "ef" else QUICK
        store.finish(number, replace(looked, sha256=sha256, quick_score=score, kept=name.encode()))
    store.finish(7, failed("broken", GLANCE))
    store.choose(0.5)  # of four different pictures with scores: those of b and d, and e
    count, tasks = store.chosen(None)
    found = {task.entry.path: task.earlier for _, task in tasks}
    assert count == 2, "somebody has looked at the whole of e"
    assert found == {"b": EarlierLook("b" * 64, b"b", 0.5), "d": EarlierLook("b" * 64, b"d", 0.5)}
    assert [task.entry.path for _, task in store.chosen("maps")[1]] == ["b", "d", "e"], "e has no map"
    store.close()


@pytest.mark.parametrize(
    ("share", "count", "expected"), [(0.1, 10, 1), (0.1, 11, 2), (0.3, 10, 3), (0.01, 5, 1)]
)
def test_shares_are_rounded_up(share, count, expected):
    assert rounded_share(share, count) == expected
