"""Commands under limits of the operating system end with a sentence, not with a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from apps.scan.cases import rows, write_picture

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to these limits")
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "splicing.jpg"


def limited(limits, *arguments):
    """The command in a process of its own under limits, (kind, value) each."""

    def set_limits():
        for kind, value in limits:
            resource.setrlimit(kind, (value, value))

    command = [sys.executable, "-m", "doctored", *map(str, arguments)]
    return subprocess.run(command, preexec_fn=set_limits, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("megabytes", "sentence"),
    [
        (200, "Error: doctored detect needs more memory than is free, or than this process may use"),
        (500, f"Error: {PICTURE} needs more memory than is free; close other programs"),
    ],
)
def test_too_little_memory_is_a_sentence(megabytes, sentence):
    """Loading the model, and compiling it; OpenVINO has no error of its own for that."""
    ended = limited([(resource.RLIMIT_AS, megabytes * 1_000_000)], "detect", PICTURE)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(sentence)
    assert ended.stdout == ""


def test_a_full_disk_stops_a_scan_with_a_sentence_and_loses_nothing(tmp_path):
    """No file may grow beyond a size, which is how a full disk looks to SQLite; later there is room again."""
    for number in range(30):
        write_picture(tmp_path / "photos" / f"{number:02}.png", number, (64, 64))
    store = tmp_path / "scan.db"
    command = ["scan", tmp_path / "photos", "--output", store, "--workers", 1, "--model", "noise"]
    stopped = limited([(resource.RLIMIT_FSIZE, 200_000)], *command)
    assert stopped.returncode == 1
    (line,) = stopped.stderr.splitlines()
    assert line.startswith(f"Error: {store} cannot be written to (")
    kept = {row["path"]: row["result"] for row in rows(store) if row["done"]}
    assert 0 < len(kept) < 30
    assert limited([], *command).returncode == 0
    found = {row["path"]: row["result"] for row in rows(store)}
    assert len(found) == 30
    assert {path: found[path] for path in kept} == kept


@pytest.mark.parametrize("command", [["report", "--output", "new.html"], ["detect", "--output", "out"]])
def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "photo.png", 1)
    ended = limited([(resource.RLIMIT_FSIZE, 1000)], *command, "photo.png", "--model", "noise")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "cannot be written (" in line
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["photo.png"]


def test_a_full_disk_before_the_first_step_of_training_is_a_sentence(tmp_path):
    pytest.importorskip("torch")
    for number in range(2):
        write_picture(tmp_path / "photos" / f"{number}.png", number, (300, 300))
    words = ["train", "imc", tmp_path / "photos", "--output", tmp_path / "run"]
    ended = limited([(resource.RLIMIT_FSIZE, 100)], *words)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("Error: ")]) == 1
