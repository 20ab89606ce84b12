import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from apps.scan.cases import KILLS, NOISE, dangerous, hasty, looked_at, write_picture
from doctored.apps.scan import cluster
from doctored.apps.scan.cluster import QUICK_LOOKS, PartedFolder, PartScanner, on_every_machine, scan_on_ray
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.run import QUICK, WHOLE
from doctored.core.errors import ConfigError
from doctored.predict import Detector

dataset = pytest.importorskip("pyarrow.dataset")
pytest.importorskip("fsspec")

NOISE_FACTS = ("noise", Detector.from_name("noise").sha256, "fp32")


def results(folder):
    return dataset.dataset(str(folder / "results"), format="parquet").to_table().to_pylist()


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Seven files in parts of three: two copies, one broken, one deadly, one with a problem."""
    monkeypatch.setattr(cluster, "PART_FILES", 3)
    photos = tmp_path / "photos"
    for number in (0, 1, 3):
        write_picture(photos / f"{number}.png", number)
    shutil.copy(photos / "0.png", photos / "0 copy.png")
    (photos / "4.jpg").write_bytes(b"no picture")
    write_picture(photos / "5.png", 5, first=KILLS)
    (photos / "6.zip").write_bytes(b"no archive")
    folder = PartedFolder(str(tmp_path / "out"))
    stored = folder.list_files(Listing([str(photos)]), folder.describe({"model": "noise"}))
    assert (stored["parts"], stored["files"]) == (3, 7)
    return tmp_path, folder


def test_parts_hold_every_file_once(listed):
    tmp_path, folder = listed
    scanner = PartScanner(folder, dangerous(tmp_path / "log"), NOISE_FACTS)
    outcome = scanner({"part": [0, 1, 2]})
    assert outcome == {"part": [0, 1, 2], "files": [3, 3, 1], "errors": [0, 2, 1], "looked": [3, 3, 1]}
    rows = {os.path.basename(row["path"]): row for row in results(tmp_path / "out")}
    assert list(rows) == ["0 copy.png", "0.png", "1.png", "3.png", "4.jpg", "5.png", "6.zip"], "as listed"
    assert [rows[name]["duplicate"] for name in ("0 copy.png", "0.png")] == [False, True]
    assert rows["0.png"]["raw_score"] == rows["0 copy.png"]["raw_score"] is not None
    assert "SIGKILL" in rows["5.png"]["error"]
    assert "cannot be unpacked" in rows["6.zip"]["error"]
    assert folder.finished() == {0, 1, 2}
    before = len(looked_at(tmp_path / "log"))
    assert scanner({"part": [1]}) == {"part": [1], "files": [3], "errors": [2], "looked": [0]}
    assert len(looked_at(tmp_path / "log")) == before, "a finished part is not done again"


def test_one_folder_holds_one_scan(tmp_path):
    folder = PartedFolder(str(tmp_path / "out"))
    assert folder.describe({"model": "noise"}) == {"model": "noise", "parts": None}
    assert folder.describe({"model": "noise"})["parts"] is None
    with pytest.raises(ConfigError, match=r"a scan with model 'noise', and this one has 'ela'"):
        folder.describe({"model": "ela"})


def test_names_that_are_no_text_survive_the_listing(tmp_path, monkeypatch):
    entry = Entry("caf\udce9.zip!/a\udce9.jpg", 5, "1", "caf\udce9.zip", 7)
    folder = PartedFolder(str(tmp_path / "out"))
    monkeypatch.setattr(Listing, "__iter__", lambda listing: iter([entry]))
    folder.list_files(Listing([]), {})
    assert folder.entries(0) == [entry]


def test_remote_folders(tmp_path):
    import fsspec

    write_picture(tmp_path / "a.png", 1)
    folder = PartedFolder("memory://cluster-test")
    try:
        folder.list_files(Listing([str(tmp_path)]), {})
        assert PartScanner(folder, NOISE, NOISE_FACTS)({"part": [0]})["files"] == [1]
        assert folder.finished() == {0}
        assert folder.outcome(0) == (1, 0, [])
    finally:
        fsspec.filesystem("memory").rm("/cluster-test", recursive=True)


def test_paths_for_other_machines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    sources, settings = on_every_machine(
        ["photos", "-", "s3://bucket"], replace(NOISE, model="mine", maps=Path("maps"), calibration="c.json")
    )
    assert sources == [str(tmp_path / "photos"), "-", "s3://bucket"]
    assert settings.model == str(tmp_path / "mine")
    assert settings.maps == tmp_path / "maps"
    assert settings.calibration == str(tmp_path / "c.json")
    assert on_every_machine([], NOISE)[1].model == "noise"


@pytest.mark.skipif(sys.platform == "win32", reason="processes end another way there")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_worker_that_is_killed_costs_nothing(tmp_path, monkeypatch):
    """Two workers on a local Ray, one killed in the middle: every file is in the results exactly once."""
    pytest.importorskip("ray.data")
    monkeypatch.setattr(cluster, "PART_FILES", 4)
    tests = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tests), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it leaves a secret in the home folder
    photos, log, output = tmp_path / "photos", tmp_path / "log", str(tmp_path / "out")
    for number in range(24):
        write_picture(photos / f"{number:02}.png", number)
    (photos / "broken.jpg").write_bytes(b"no picture")
    killed = []

    def kill_once(progress):
        pids = [int(pid) for pid in (tmp_path / "log.pids").read_text().split()] if log.exists() else []
        if progress.done and not killed:
            killed.append(pids[-1])
            os.kill(pids[-1], signal.SIGKILL)

    settings = dangerous(log)
    outcome = scan_on_ray(Listing([str(photos)]), {}, output, settings, 2, None, kill_once)
    assert killed
    assert (outcome.counts.files, outcome.counts.errors) == (25, 1)
    paths = [os.path.basename(row["path"]) for row in results(tmp_path / "out")]
    assert sorted(paths) == sorted(os.listdir(photos))
    assert "broken.jpg is a text file" in outcome.errors[0]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    again = scan_on_ray(Listing([str(photos)]), {}, output, settings, 2, None, lambda progress: None)
    assert (again.analysed, again.counts.files) == (0, 25)


def test_two_rounds_look_quickly_and_then_at_the_most_suspicious(listed):
    """What comes of parts is what comes of a scan on one machine."""
    tmp_path, folder = listed
    settings, facts = hasty(tmp_path / "log"), NOISE_FACTS
    first = PartScanner(folder, settings, facts, QUICK_LOOKS)
    assert first({"part": [0, 1]}) == {"part": [0, 1], "files": [3, 3], "errors": [0, 2], "looked": [3, 3]}
    assert first({"part": [2]})["errors"] == [1]
    assert folder.finished(QUICK_LOOKS) == {0, 1, 2}
    assert folder.finished() == set()
    assert folder.outcome(0, QUICK_LOOKS) == (3, 3, [])
    scores = sorted(score for part in range(3) for score in folder.quick_scores(part))
    assert len(scores) == 4
    assert cluster._lowest_of_share(folder, 3, 0.25) == scores[-1]
    assert cluster._lowest_of_share(folder, 3, 0.3) == scores[-2]
    second = PartScanner(folder, settings, facts, sent_on_from=scores[-1])
    outcome = second({"part": [0, 1, 2]})
    assert (outcome["files"], outcome["errors"]) == ([3, 3, 1], [0, 2, 1])
    rows = {os.path.basename(row["path"]): row for row in results(tmp_path / "out")}
    assert list(rows) == ["0 copy.png", "0.png", "1.png", "3.png", "4.jpg", "5.png", "6.zip"], "as listed"
    whole = {name for name, row in rows.items() if row["error"] is None and not row["quick_look"]}
    assert whole == {name for name, row in rows.items() if row["quick_score"] == scores[-1]}
    assert sum(outcome["looked"]) == len(whole) > 0
    for name, row in rows.items():
        if row["error"] is None:
            assert (row["model"], row["quick_look"]) == (
                ("noise", False) if name in whole else ("glance", True)
            )
            assert "kept" not in row
    looks = [look for _, look in looked_at(tmp_path / "log")]
    assert sum(look.startswith("whole, kept of") for look in looks) == 1, "copies once, with what was kept"
    assert "whole" not in looks
    again = second({"part": [1]})
    assert again == {"part": [1], "files": [3], "errors": [2], "looked": [0]}


@pytest.mark.skipif(sys.platform == "win32", reason="processes end another way there")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_takes_both_rounds(tmp_path, monkeypatch):
    pytest.importorskip("ray.data")
    monkeypatch.setattr(cluster, "PART_FILES", 3)
    tests = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tests), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it leaves a secret in the home folder
    photos, output, stages = tmp_path / "photos", str(tmp_path / "out"), []
    for number in range(8):
        write_picture(photos / f"{number}.png", number, brightest=100 + 20 * number)
    (photos / "broken.jpg").write_bytes(b"no picture")
    settings = hasty(tmp_path / "log")
    given = Listing([str(photos)]), {}, output, settings, 1, None, stages.append
    outcome = scan_on_ray(*given, fast=0.25)
    assert (outcome.counts.files, outcome.counts.errors, outcome.counts.quick) == (9, 1, 6)
    assert (outcome.analysed, outcome.sent_on) == (11, 2)
    assert {(one.stage, one.done) for one in stages} >= {(QUICK, 0), (QUICK, 9), (WHOLE, 0), (WHOLE, 9)}
    whole = {os.path.basename(row["path"]) for row in results(tmp_path / "out") if row["model"] == "noise"}
    assert whole == {"6.png", "7.png", "broken.jpg"}
    assert scan_on_ray(*given, fast=0.25).analysed == 0
    with pytest.raises(ConfigError, match=r"a scan with fast 0\.25, and this one has None"):
        scan_on_ray(*given)
