import shutil
import sys

import pytest

from apps.isolation.hostile_child import COMMAND
from apps.scan.cases import (
    EXITS,
    HANGS,
    KILLS,
    NOISE,
    MortalSettings,
    TakenOverSettings,
    dangerous,
    looked_at,
    write_picture,
)
from doctored.apps.scan.analyse import Limits, Task
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.workers import WorkerPool
from doctored.core.errors import DoctoredError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes end another way there")
FACTS = ("noise", "0" * 64, "fp32")


def run(folder, settings, count):
    """What comes of every file of a folder, by its name."""
    finished, known = {}, {}
    tasks = [(number, Task(entry)) for number, entry in enumerate(Listing([str(folder)]))]
    names = {number: task.entry.path.rpartition("/")[2] for number, task in tasks}
    with WorkerPool(settings, count, FACTS, lambda sha256, number: known.get(sha256)) as pool:
        for number, analysis in pool.run(iter(tasks)):
            assert names[number] not in finished, "finished twice"
            finished[names[number]] = analysis
            if analysis.error is None:
                known.setdefault(analysis.sha256, analysis)
    return finished


def test_a_picture_that_ends_its_worker_costs_its_own_row_only(tmp_path):
    folder = tmp_path / "photos"
    for number in range(4):
        write_picture(folder / f"{number}.png", number)
    write_picture(folder / "1a.png", 50, first=KILLS)
    write_picture(folder / "2a.png", 51, first=EXITS)
    shutil.copy(folder / "1a.png", folder / "1b.png")
    log = tmp_path / "log"
    found = run(folder, dangerous(log), 2)
    assert sorted(found) == ["0.png", "1.png", "1a.png", "1b.png", "2.png", "2a.png", "3.png"]
    # Which of the two copies comes first is up to the workers.
    tried, spared = sorted(("1a.png", "1b.png"), key=lambda name: "holds the same bytes" in found[name].error)
    assert f"{tried} ended the process that looked at it (SIGKILL" in found[tried].error
    assert f"{spared} holds the same bytes as" in found[spared].error
    assert "exit status 3" in found["2a.png"].error
    assert all(found[f"{number}.png"].error is None for number in range(4))
    assert len(looked_at(log)) == 6, "the second of the same bytes was not tried"


def test_a_picture_that_takes_too_long_is_given_up(tmp_path):
    folder = tmp_path / "photos"
    write_picture(folder / "a.png", 1, first=HANGS)
    write_picture(folder / "b.png", 2)
    found = run(folder, dangerous(tmp_path / "log", limits=Limits(max_seconds=1)), 1)
    assert "a.png took longer than 1 s" in found["a.png"].error
    assert found["b.png"].error is None


def test_a_picture_that_takes_too_long_is_given_up_while_others_go_on(tmp_path):
    """The clock was once looked at only when no worker had anything to say."""
    folder = tmp_path / "photos"
    write_picture(folder / "000.png", 1, first=HANGS)
    # Together they must take longer than the limit: 150 were done before it on a fast machine.
    for number in range(1, 1000):
        write_picture(folder / f"{number:03}.png", number)
    order = list(run(folder, dangerous(tmp_path / "log", limits=Limits(max_seconds=0.3)), 2))
    assert order.index("000.png") < len(order) - 1


def test_the_same_bytes_are_looked_at_once_even_at_the_same_time(tmp_path):
    folder, log = tmp_path / "photos", tmp_path / "log"
    write_picture(folder / "0.png", 1)
    for number in range(1, 6):
        shutil.copy(folder / "0.png", folder / f"{number}.png")
    found = run(folder, dangerous(log), 2)
    assert len(looked_at(log)) == 1
    assert len({analysis.result for analysis in found.values()}) == 1
    assert len(found) == 6


def test_broken_copies_fail_by_their_own_names(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff broken")
    found = run(tmp_path, NOISE, 2)
    assert {name: name in analysis.error for name, analysis in found.items()} == {
        "a.jpg": True,
        "b.jpg": True,
    }


def test_workers_that_cannot_begin_are_a_sentence(tmp_path):
    write_picture(tmp_path / "a.png", 1)
    values = {name: getattr(NOISE, name) for name in NOISE.__dataclass_fields__}
    with pytest.raises(DoctoredError, match=r"end before they begin \(exit status 4\)"):
        run(tmp_path, MortalSettings(**values), 2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits processes so")
def test_a_picture_that_ends_its_decoder_costs_its_own_row_only(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", number)
    for name, command in (("0a.jpg", b"crash"), ("0b.jpg", b"fill"), ("0c.jpg", b"exit")):
        (tmp_path / name).write_bytes(COMMAND + command)
    values = {name: getattr(NOISE, name) for name in NOISE.__dataclass_fields__} | {"isolate": True}
    found = run(tmp_path, TakenOverSettings(**values), 1)
    assert "0a.jpg ended the process (SIGSEGV) that reads files apart" in found["0a.jpg"].error
    assert "0b.jpg needs more than the" in found["0b.jpg"].error
    assert "0c.jpg ended the process (exit status 3)" in found["0c.jpg"].error
    here = run(tmp_path, NOISE, 1)
    for number in range(3):
        assert found[f"{number}.png"].result == here[f"{number}.png"].result
        assert found[f"{number}.png"].difference_hash == here[f"{number}.png"].difference_hash
