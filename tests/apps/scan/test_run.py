import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image

from apps.scan.cases import NOISE, calibrate_noise, dangerous, looked_at, rows, write_picture
from doctored.apps.scan import run as run_module
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import Progress, cores, default_workers, free_memory_mb, scan
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
