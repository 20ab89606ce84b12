import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest
from PIL import Image

from apps.scan.cases import (
    EXITS,
    KILLS,
    NOISE,
    calibrate_noise,
    dangerous,
    hasty,
    looked_at,
    rows,
    write_picture,
)
from doctored.apps.scan import run as run_module
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import QUICK, WHOLE, Progress, cores, default_workers, free_memory_mb, scan
from doctored.core.errors import ConfigError, DoctoredError
from doctored.predict import Detector
from doctored.predict.weights import RUN_FILE


def run(folder, output, settings=NOISE, workers=1, **options):
    shown = []
    outcome = scan(Listing([str(folder)]), [str(folder)], output, settings, workers, shown.append, **options)
    assert shown[-1].done == outcome.counts.done == outcome.counts.files
    return outcome


@pytest.fixture
def photos(tmp_path):
    """Four pictures, two of them alike, and one that is broken."""
    folder = tmp_path / "photos"
    for number in range(3):
        write_picture(folder / f"{number}.png", number)
    shutil.copy(folder / "0.png", folder / "0 copy.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_every_file_has_one_row(photos, tmp_path):
    outcome = run(photos, tmp_path / "scan.db", workers=2)
    assert (outcome.counts.files, outcome.counts.errors, outcome.analysed) == (5, 1, 5)
    assert "broken.jpg is a text file" in outcome.errors[0]
    found = {os.path.basename(row["path"]): row for row in rows(tmp_path / "scan.db")}
    assert sorted(found) == ["0 copy.png", "0.png", "1.png", "2.png", "broken.jpg"]
    assert found["0 copy.png"]["duplicate"] + found["0.png"]["duplicate"] == 1
    assert found["0 copy.png"]["raw_score"] == found["0.png"]["raw_score"]
    assert found["1.png"]["model_sha256"] == Detector.from_name("noise").sha256
    assert json.loads(found["1.png"]["regions"]) == []
    assert found["broken.jpg"]["sha256"] is not None


def test_only_what_changed_is_looked_at_again(photos, tmp_path):
    output, log = tmp_path / "scan.db", tmp_path / "log"
    settings = dangerous(log)
    assert run(photos, output, settings).analysed == 5
    assert len(looked_at(log)) == 3
    assert run(photos, output, settings).analysed == 0
    write_picture(photos / "1.png", 77)
    os.utime(photos / "2.png", ns=(5, 5))
    outcome = run(photos, output, settings)
    assert outcome.analysed == 2
    assert outcome.counts.errors == 1, "an error of before is still reported"
    assert [os.path.basename(path) for path in looked_at(log)[3:]] == ["1.png"], "the same bytes were known"
    assert run(photos, output, settings, retry_errors=True).analysed == 1
    assert run(photos, output, replace(NOISE, model="centre")).analysed == 4


def test_files_that_vanish_after_they_were_listed_have_a_row(photos, tmp_path):
    class Vanishing(Listing):
        def __iter__(self):
            yield from super().__iter__()
            (photos / "2.png").unlink()

    outcome = scan(Vanishing([str(photos)]), [], tmp_path / "scan.db", NOISE, 1, lambda progress: None)
    assert any("2.png cannot be opened" in error for error in outcome.errors)
    assert outcome.counts.files == 5


def test_maps_are_made_later_too(photos, tmp_path):
    run(photos, tmp_path / "scan.db")
    with_maps = replace(NOISE, maps=tmp_path / "maps")
    assert run(photos, tmp_path / "scan.db", with_maps).analysed == 4
    assert run(photos, tmp_path / "scan.db", with_maps).analysed == 0
    for row in rows(tmp_path / "scan.db"):
        if row["error"] is None:
            with Image.open(row["map"]) as image:
                assert (image.size, image.mode) == ((90, 70), "L")


def test_maps_are_made_beside_a_folder_of_almost_the_same_name(photos, tmp_path):
    for name, expected in (("maps-2", 5), ("maps", 4)):
        outcome = run(photos, tmp_path / "scan.db", replace(NOISE, maps=tmp_path / name))
        assert outcome.analysed == expected
        assert len(list((tmp_path / name).rglob("*.png"))) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"maps": "file"}, "file cannot be written"), ({"model": "nobody"}, "there is no model 'nobody'")],
)
def test_what_cannot_be_done_is_refused_before_there_is_a_store(photos, tmp_path, changes, words):
    (tmp_path / "file").write_text("mine")
    if "maps" in changes:
        changes = {"maps": tmp_path / changes["maps"]}
    with pytest.raises(DoctoredError, match=words):
        run(photos, tmp_path / "scan.db", replace(NOISE, **changes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "photos"]


def test_killed_again_and_again_nothing_is_lost_or_done_twice(tmp_path):
    """The process is killed five times in the middle of its work; what it had said to be finished stays so."""
    folder, output, log = tmp_path / "photos", tmp_path / "scan.db", tmp_path / "log"
    for number in range(240):
        write_picture(folder / f"{number:03}.png", number, size_hw=(64, 64))
    for number in range(0, 60, 3):
        (folder / f"broken {number}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([number]))
    program = f"""
import sys
sys.path.insert(0, {str(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))!r})
from pathlib import Path
from apps.scan.cases import dangerous
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import scan
if __name__ == "__main__":
    scan(Listing([sys.argv[1]]), [], Path(sys.argv[2]), dangerous(sys.argv[3]), 2,
         lambda progress: print(progress.done, flush=True))"""
    script = tmp_path / "program.py"
    script.write_text(program)
    command = [sys.executable, str(script), str(folder), str(output), str(log)]
    finished = [0]
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if int(line) >= finished[-1] + 40:
                    break
            process.kill()
        time.sleep(0.3)  # workers end with the file that they are at
        finished.append(sum(row["done"] for row in rows(output)))
        assert finished[-1] >= int(line), "what was finished is kept"
    outcome = run(folder, output, dangerous(log))
    assert (outcome.counts.files, outcome.counts.errors) == (260, 20)
    found = rows(output)
    assert len(found) == len({row["path"] for row in found}) == 260
    assert all(row["error"] for row in found if "broken" in row["path"])
    looks = Counter(looked_at(log))
    assert len(looks) == 240
    # Only what two workers were at when they were killed may have been looked at again.
    assert sum(looks.values()) <= 240 + 5 * 2


def test_time_left_follows_from_the_rate():
    assert Progress(40, 100, 0, 2.0).seconds_left == 30
    assert Progress(0, 100, 0, None).seconds_left is None


def test_workers_fit_cores_and_memory(monkeypatch):
    monkeypatch.setattr(run_module, "cores", lambda: 8)
    monkeypatch.setattr(run_module, "free_memory_mb", lambda: 5000.0)
    assert default_workers("auto", "mantranet") == 3
    monkeypatch.setattr(run_module, "free_memory_mb", lambda: 100.0)
    assert default_workers("cpu", "mantranet") == 1
    monkeypatch.setattr(run_module, "free_memory_mb", lambda: None)
    assert default_workers("cpu", "mantranet") == 8
    assert default_workers("cuda", "mantranet") == 1


def test_a_run_on_a_gpu_has_one_worker(tmp_path, monkeypatch):
    (tmp_path / RUN_FILE).write_text("{}")
    monkeypatch.setattr(run_module, "cores", lambda: 8)
    monkeypatch.setattr(run_module, "free_memory_mb", lambda: None)
    monkeypatch.setattr(run_module, "torch_device", lambda device: "cuda")
    assert default_workers("auto", str(tmp_path)) == 1
    assert default_workers("cpu", str(tmp_path)) == 8
    assert default_workers("auto", "mantranet") == 8


def test_a_long_listing_says_how_far_it_is(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_ANNOUNCED_EVERY", 2)
    shown = []
    scan(Listing([str(photos)]), [], tmp_path / "scan.db", NOISE, 1, shown.append)
    assert [progress.files for progress in shown if progress.listing] == [2, 4]


def test_few_files_share_all_cores(photos, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(run_module, "cores", lambda: 8)
    pool = run_module.WorkerPool
    monkeypatch.setattr(
        run_module, "WorkerPool", lambda *given: started.append((given[1], given[0].threads)) or pool(*given)
    )
    for name in ("0.png", "1.png", "0 copy.png"):
        (photos / name).unlink()
    run(photos, tmp_path / "scan.db", replace(NOISE, threads=None), workers=8)
    assert started == [(2, 4)]


def test_what_the_machine_has():
    assert 1 <= cores() <= os.cpu_count()
    if sys.platform == "linux":
        assert 10 < free_memory_mb() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6


def test_judged_anew_without_being_looked_at_again(photos, tmp_path, monkeypatch):
    file, output = tmp_path / "calibration.json", tmp_path / "scan.db"
    calibrate_noise(file)
    settings = replace(NOISE, calibration=str(file))
    run(photos, output)
    assert {row["verdict"] for row in rows(output)} == {"cannot_judge", None}
    outcome = run(photos, output, settings)
    assert outcome.analysed == 0
    before = rows(output)
    for row in before:
        if row["error"] is None:
            expected = Detector.from_name("noise", calibration=file).judge(
                row["raw_score"], (row["height"], row["width"]), row["compression"]
            )
            assert row["detection_score"] == expected.detection_score
            assert row["reason"] == expected.reason
    assert run(photos, output, replace(settings, fpr=0.2)).analysed == 0
    after = rows(output)
    assert [row["operating_point"] for row in after if row["error"] is None] == [0.2] * 4
    monkeypatch.setattr(Detector, "judge", lambda *_: pytest.fail("it was judged so already"))
    assert run(photos, output, replace(settings, fpr=0.2)).analysed == 0
    assert before[0]["false_alarm_rate"] == after[0]["false_alarm_rate"]
    assert before[0]["detection_score"] != after[0]["detection_score"]


def test_a_clock_that_jumps_costs_nothing_but_another_read(photos, tmp_path):
    """A time of change in the future, and one that goes back: what counts is that it differs, not which way."""
    os.utime(photos / "2.png", ns=(2**62, 2**62))
    first = run(photos, tmp_path / "scan.db")
    again = run(photos, tmp_path / "scan.db")
    assert (first.counts.done, again.analysed) == (first.counts.files, 0)
    os.utime(photos / "2.png", ns=(1, 1))
    back = run(photos, tmp_path / "scan.db")
    assert back.analysed == 1
    assert all(row["seconds"] is None or row["seconds"] >= 0 for row in rows(tmp_path / "scan.db"))


@pytest.fixture
def bright(tmp_path):
    """Ten pictures, the later ones brighter, which a `Hasty` suspects; a copy of the last, and a broken one."""
    folder = tmp_path / "photos"
    for number in range(10):
        write_picture(folder / f"{number}.png", number, size_hw=(64, 64), brightest=100 + 15 * number)
    shutil.copy(folder / "9.png", folder / "9 copy.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def fast(folder, output, log, share, **options):
    settings = options.pop("settings", hasty(log))
    return scan(Listing([str(folder)]), [], output, settings, 2, lambda progress: None, fast=share, **options)


def looks(log):
    """What was looked at, by how: sets of names, each of them looked at once."""
    found = {}
    for name, look in looked_at(log):
        assert name not in found.setdefault(look, set()), "looked at twice"
        found[look].add(name)
    return found


def in_whole(output):
    """The names of the files that were looked at in whole."""
    return {
        os.path.basename(row["path"]) for row in rows(output) if not row["error"] and not row["quick_look"]
    }


def test_the_most_suspicious_of_all_are_looked_at_in_whole(bright, tmp_path):
    output, log = tmp_path / "scan.db", tmp_path / "log"
    outcome = fast(bright, output, log, 0.3)
    of_copies = {"9.png", "9 copy.png"}
    found = looks(log)
    quick = found.pop("quick")
    assert len(quick & of_copies) == 1, "the same bytes once"
    assert quick | of_copies == {f"{number}.png" for number in range(10)} | of_copies
    assert {name for names in found.values() for name in names} - of_copies == {"7.png", "8.png"}
    assert len(found) == 3, (
        "three of ten different pictures, and each with what was kept of its own quick look"
    )
    assert in_whole(output) == {"7.png", "8.png", *of_copies}
    assert (outcome.analysed, outcome.sent_on) == (16, 4)
    assert (outcome.counts.files, outcome.counts.quick, outcome.counts.errors) == (12, 7, 1)
    noise = Detector.from_name("noise")
    for row in rows(output):
        if row["error"]:
            continue
        witnesses = {one["name"]: one["raw_score"] for one in json.loads(row["witnesses"])}
        assert row["quick_score"] == witnesses["glance"]
        if row["quick_look"]:
            assert (row["model"], row["model_sha256"], row["raw_score"]) == (
                *("glance", "9" * 64),
                row["quick_score"],
            )
            assert (row["verdict"], row["detection_score"]) == ("cannot_judge", None)
            assert "only glance has looked, quickly" in row["reason"]
        else:
            assert (row["model_sha256"], row["kept"]) == (noise.sha256, None)
            assert row["seconds"] > 0 or row["duplicate"]


def test_a_larger_share_and_then_all_of_it_look_at_the_rest_only(bright, tmp_path):
    output, log = tmp_path / "scan.db", tmp_path / "log"
    fast(bright, output, log, 0.3)
    before = len(looked_at(log))
    assert fast(bright, output, log, 0.3).analysed == 0
    outcome = fast(bright, output, log, 0.5)
    assert (outcome.analysed, outcome.sent_on) == (2, 2)
    assert sorted(looked_at(log)[before:]) == [
        [name, f"whole, kept of {name}"] for name in ("5.png", "6.png")
    ]
    before = len(looked_at(log))
    assert fast(bright, output, log, 0.1).analysed == 0, "what was looked at in whole stays so"
    assert run(bright, output, hasty(log)).analysed == 5
    assert sorted(looked_at(log)[before:]) == [[f"{number}.png", "whole"] for number in range(5)]
    before = len(looked_at(log))
    outcome = fast(bright, output, log, 0.3)
    assert (outcome.analysed, outcome.counts.quick) == (0, 0)
    write_picture(bright / "new.png", 50, size_hw=(64, 64), brightest=255)
    assert fast(bright, output, log, 0.1).sent_on == 1, (
        "of 11 pictures 2 are chosen, and one of these was known"
    )
    assert looked_at(log)[before:] == [["new.png", "quick"], ["new.png", "whole, kept of new.png"]]


def test_a_fast_scan_that_was_stopped_goes_on(bright, tmp_path):
    output, log = tmp_path / "scan.db", tmp_path / "log"

    class StoppedError(Exception):
        pass

    for stage, done in ((QUICK, 4), (WHOLE, 1)):

        def stop(progress, stage=stage, done=done):
            if (progress.stage, progress.done) == (stage, done):
                raise StoppedError

        with pytest.raises(StoppedError):
            scan(Listing([str(bright)]), [], output, hasty(log), 1, stop, fast=0.3)
    assert len(in_whole(output)) == 1
    stages = []
    scan(Listing([str(bright)]), [], output, hasty(log), 1, stages.append, fast=0.3)
    assert in_whole(output) == {"7.png", "8.png", "9.png", "9 copy.png"}
    assert [(one.stage, one.done, one.files) for one in stages[:1]] == [(QUICK, 12, 12)]
    assert (stages[-1].stage, stages[-1].done) == (WHOLE, stages[-1].files)
    # Only what the worker was at when it was stopped, once in each stage, may have been looked at again.
    counts = Counter(look if look == "quick" else "whole" for _, look in looked_at(log))
    assert counts["quick"] <= 11
    assert counts["whole"] <= 4


def test_pictures_that_end_their_worker_cost_their_own_row_in_either_stage(bright, tmp_path):
    write_picture(bright / "kills.png", 20, size_hw=(64, 64), first=KILLS)
    write_picture(bright / "exits.png", 21, size_hw=(64, 64), first=EXITS)
    output = tmp_path / "scan.db"
    outcome = fast(bright, output, tmp_path / "log", 0.3)
    failed = {os.path.basename(row["path"]): row for row in rows(output) if row["error"]}
    assert sorted(failed) == ["broken.jpg", "exits.png", "kills.png"]
    assert "SIGKILL" in failed["exits.png"]["error"]
    assert failed["exits.png"]["quick_look"] == 0
    assert outcome.counts.errors == 3
    assert in_whole(output) == {"7.png", "8.png", "9.png", "9 copy.png"}, (
        "four of 11, with the one that failed"
    )


def test_maps_are_those_of_the_whole_look(bright, tmp_path):
    output, log = tmp_path / "scan.db", tmp_path / "log"
    fast(bright, output, log, 0.3)
    with_maps = hasty(log, maps=tmp_path / "maps")
    assert fast(bright, output, log, 0.3, settings=with_maps).sent_on == 4
    for row in rows(output):
        assert (row["map"] is None) == bool(row["error"] or row["quick_look"])
    assert fast(bright, output, log, 0.3, settings=with_maps).analysed == 0


def test_another_quick_model_or_precision_looks_again(bright, tmp_path, monkeypatch):
    output, log = tmp_path / "scan.db", tmp_path / "log"
    fast(bright, output, log, 0.3)
    assert fast(bright, output, log, 0.3, settings=hasty(log, precision="fp32")).analysed == 0
    with closing(sqlite3.connect(output)) as database, database:
        database.execute("UPDATE files SET precision = 'int8' WHERE path LIKE '%0.png' OR path LIKE '%1.png'")
        database.execute("UPDATE files SET model_sha256 = 'other' WHERE path LIKE '%2.png'")
    outcome = fast(bright, output, log, 0.3)
    assert (outcome.analysed, outcome.sent_on) == (1, 0)
    outcome = fast(bright, output, log, 0.3, settings=hasty(log, precision="fp32"))
    assert (outcome.analysed, outcome.sent_on) == (2, 0)


def test_fast_needs_a_share_and_somebody_who_is_quick(bright, tmp_path):
    for share in (0, 1, -0.5, 3):
        with pytest.raises(
            ConfigError, match=r"the share of files for --fast is .*; give a number between 0 and 1"
        ):
            fast(bright, tmp_path / "scan.db", tmp_path / "log", share)
    with pytest.raises(ConfigError, match="with a Constrained R-CNN, which looks first, and noise is none"):
        fast(bright, tmp_path / "scan.db", tmp_path / "log", 0.1, settings=NOISE)
