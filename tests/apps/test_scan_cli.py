import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from apps.scan.cases import rows, write_picture
from doctored.apps import scan_cli
from doctored.apps.cli import app
from doctored.apps.scan.run import Progress


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_picture(f"photos/{number}.png", number)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").write_bytes(b"notes")
    return tmp_path


def scan(*arguments, **options):
    command = ["scan", *arguments, "--output", "scan.db", "--model", "noise", "--workers", "1"]
    return CliRunner().invoke(app, command, **options)


def test_errors_are_listed_and_the_status_says_so(photos):
    result = scan("photos")
    assert result.exit_code == 1
    error, summary = result.stderr.splitlines()
    assert error.startswith("Error: photos/broken.jpg is a text file")
    assert summary == (
        "4 files in scan.db, 4 looked at now, 1 failed; 1 passed over that are not called like pictures"
    )
    assert result.stdout == ""
    os.remove("photos/broken.jpg")
    again = scan("photos")
    assert again.exit_code == 0
    assert again.stderr.startswith("3 files in scan.db, 0 looked at now; 1 passed over")


def test_many_errors_are_cut_off(photos):
    for number in range(25):
        (photos / "photos" / f"broken {number}.jpg").write_bytes(bytes([number, 255]))
    result = scan("photos")
    assert len(result.stderr.splitlines()) == 22
    assert "and 6 more, see: doctored results show --errors scan.db" in result.stderr


def test_lists_standard_input_and_every_file(photos):
    (photos / "list.txt").write_text("photos/0.png\n")
    assert scan("--list", "list.txt").exit_code == 0
    assert scan("-", input="photos/1.png\n").exit_code == 0
    assert [row["path"] for row in rows("scan.db")] == ["photos/0.png", "photos/1.png"]
    assert "5 files" in scan("photos", "--all").stderr


def test_wrong_usage(photos):
    assert "name a SOURCE" in scan().stderr
    shard = scan("photos", "--shard", "3/2")
    assert (shard.exit_code, shard.stderr) == (2, "Error: shard 3/2 does not exist; give 1/n to n/n\n")
    for name in ("nonsense", "too long for a disk" * 20):
        model = CliRunner().invoke(app, ["scan", "photos", "--output", "scan.db", "--model", name])
        assert (model.exit_code, len(model.stderr.splitlines())) == (2, 1)
        assert f"there is no model '{name}'" in model.stderr


def test_progress_says_rate_time_left_and_errors():
    assert scan_cli._note(Progress(10, 100, 0, None)) == ""
    assert scan_cli._note(Progress(0, 2000, 0, None, listing=True)) == "listed so far"
    assert scan_cli._note(Progress(10, 100, 2, 3.0)) == "2 failed, 3.0 a second, 30 s left"
    assert (
        scan_cli._note(Progress(10, 100, 0, 3.0, stage="quick look")) == "quick look, 3.0 a second, 30 s left"
    )
    assert scan_cli._note(Progress(10, 100, 0, 0.1)) == "6.0 a minute, 15 min left"


def test_lines_take_the_place_of_the_bar_where_nobody_watches(monkeypatch, capsys):
    monkeypatch.setattr(scan_cli, "_LINE_EVERY_SECONDS", 0)
    with scan_cli.ProgressBar("files") as bar:
        scan_cli._Announcer(bar)(Progress(10, 100, 0, 2.0))
    assert capsys.readouterr().err == "10 of 100 files, 2.0 a second, 45 s left\n"


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent another way there")
def test_ctrl_c_ends_with_a_sentence_and_keeps_what_is_finished(photos):
    os.mkfifo("photos/pipe.png")  # a pipe is no picture, and must not be waited for
    for number in range(200):
        write_picture(f"photos/more/{number}.png", number + 10)
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from doctored.apps import scan_cli\n"
        "scan_cli._LINE_EVERY_SECONDS = 0\n"
        "from doctored.apps.cli import main\n"
        "if __name__ == '__main__': main()"
    )
    (photos / "program.py").write_text(program)
    command = [sys.executable, "program.py", "scan", "photos", "--output", "scan.db", "--model", "noise"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("20 of"):
                break
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (
        err.splitlines()[-1] == "stopped; what is finished is kept, and the same command goes on from there"
    )
    assert 20 <= sum(row["done"] for row in rows("scan.db")) < 205
    assert "205 files" in scan("photos").stderr


def test_runners_and_what_does_not_go_with_them(photos):
    assert "there is no runner 'spark'" in scan("photos", "--runner", "spark").stderr
    assert "give it with --runner ray" in scan("photos", "--address", "auto").stderr
    assert (
        "--retry-errors goes with --runner local"
        in scan("photos", "--runner", "ray", "--retry-errors").stderr
    )


def test_ray_that_is_not_installed_is_a_sentence(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = scan("photos", "--runner", "ray")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "pip install 'doctored[cluster]'" in result.stderr


def test_fast_takes_both_embedded_networks_to_the_most_suspicious(photos):
    """What the row of such a picture says is what `detect` says."""
    command = ["scan", "photos", "--output", "scan.db", "--workers", "1", "--fast", "0.3"]
    result = CliRunner().invoke(app, command)
    assert result.stderr.splitlines()[-1].startswith(
        "4 files in scan.db, 4 looked at quickly now, 1 in whole, 2 only quickly so far, 1 failed; 1 passed over"
    )
    found = {row["path"]: row for row in rows("scan.db") if row["error"] is None}
    (whole,) = [path for path, row in found.items() if not row["quick_look"]]
    assert found[whole]["quick_score"] == max(row["quick_score"] for row in found.values())
    assert {row["model"] for path, row in found.items() if path != whole} == {"constrained-rcnn"}
    detected = json.loads(CliRunner().invoke(app, ["detect", whole, "--json"]).stdout)
    stored = json.loads(found[whole]["result"])
    assert stored == {key: detected[key] for key in stored}
    again = CliRunner().invoke(app, command)
    assert again.stderr.splitlines()[-1].startswith(
        "4 files in scan.db, 0 looked at quickly now, 0 in whole, 2 only"
    )


def test_fast_with_one_model_is_a_sentence(photos):
    result = scan("photos", "--fast", "0.1")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "--fast needs a model of several with a Constrained R-CNN" in result.stderr
