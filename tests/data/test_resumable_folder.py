import os

import pytest

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.data.resumable_folder import open_folder, work_through, write_file

COMMAND = {"command": "forge", "seed": 0, "kinds": ["splicing"]}
RESULTS = ("images", "Tp_*.png", "manifest.csv")


def fill(folder):
    open_folder(folder, COMMAND, RESULTS, force=False)
    (folder / "images").mkdir()
    for name in ("images/a.png", "Tp_1.png", "manifest.csv", "notes.txt"):
        (folder / name).write_text(name)


def contents(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_same_command_finds_what_it_left(tmp_path):
    fill(tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "images" / ".b.png.123.part").touch()  # of a program that was killed
    open_folder(tmp_path / "out", COMMAND, RESULTS, force=False)
    assert contents(tmp_path / "out") == before
    open_folder(tmp_path / "out", COMMAND, RESULTS, force=True)
    assert contents(tmp_path / "out") == before


def test_another_command_is_refused_with_what_differs(tmp_path):
    fill(tmp_path / "out")
    other = COMMAND | {"seed": 7, "size": 64}
    with pytest.raises(ConfigError, match=r"\(seed was 0, is 7, size was null, is 64\).*--force"):
        open_folder(tmp_path / "out", other, RESULTS, force=False)
    assert "images/a.png" in contents(tmp_path / "out")


def test_force_removes_the_results_of_the_other_command_and_nothing_else(tmp_path):
    fill(tmp_path / "out")
    open_folder(tmp_path / "out", COMMAND | {"seed": 7}, RESULTS, force=True)
    assert contents(tmp_path / "out") == ["command.json", "notes.txt"]
    open_folder(tmp_path / "out", COMMAND | {"seed": 7}, RESULTS, force=False)


def test_a_folder_of_something_else_is_refused_and_with_force_left_as_it_is(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").touch()
    with pytest.raises(ConfigError, match="already holds something"):
        open_folder(tmp_path, COMMAND, RESULTS, force=False)
    open_folder(tmp_path, COMMAND, RESULTS, force=True)
    assert contents(tmp_path) == ["command.json", "images/mine.jpg"]


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    open_folder(tmp_path, COMMAND, RESULTS, force=False)
    assert contents(tmp_path) == ["command.json"]


def test_a_file_in_the_way_and_a_damaged_description_are_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be used as --output folder"):
        open_folder(tmp_path / "file" / "out", COMMAND, RESULTS, force=False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "command.json").write_text("{")
    with pytest.raises(DataError, match="cannot be used as --output folder"):
        open_folder(tmp_path / "out", COMMAND, RESULTS, force=False)


def test_a_file_that_cannot_be_completed_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_file(path, b"old")

    def refuse(*names):
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no room"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def square(number):
    if number == 13:
        raise DataError("thirteen")
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_done_once(workers):
    results = {}
    work_through(square, range(12), workers, results.__setitem__)
    assert results == {number: number * number for number in range(12)}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_job_ends_the_work_with_that_error(workers):
    done = []
    with pytest.raises(DataError, match="thirteen"):
        work_through(square, range(10, 500), workers, lambda item, result: done.append(item))
    assert len(done) < 100


def killed(number):
    """The third item is too much for the memory."""
    if number == 2:
        os._exit(9)
    return number


def test_a_killed_worker_is_one_sentence():
    """It ended in a traceback of BrokenProcessPool."""
    with pytest.raises(DoctoredError, match=r"a worker process was ended from outside.*call again to go on"):
        work_through(killed, range(3), 2, lambda item, result: None)


def test_nothing_to_do_starts_no_process():
    work_through(square, [], 2, None)
