import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import doctored
from doctored.apps.cli import app
from doctored.apps.options import DEFAULT_MODEL
from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError, UnknownModelError
from doctored.core.inspection import AnsweringModel, Inspection, PictureFacts, Region, Timing, WitnessFinding
from doctored.predict import detector

SCHEMA = json.loads(resources.files("doctored.core").joinpath("inspection.schema.json").read_text("utf-8"))


class FakeDetector:
    """Answers at once: the map is the red channel, the verdict that of a calibrated model."""

    witness_names = ("mantranet",)
    seconds = 0.0
    score = 0.9

    @classmethod
    def from_name(cls, name, *, device, precision, tile, fpr, calibration):
        if name == "missing":
            raise UnknownModelError("there is no model 'missing'; see: doctored models")
        if device not in ("auto", "cpu"):
            raise ConfigError(f"device is {device!r}; give auto or cpu")
        return cls()

    def estimate_seconds(self, picture):
        return self.seconds

    def inspect(self, picture, on_progress=lambda done, total: None):
        on_progress(1, 1)
        localization_map = picture.pixels[:, :, 0].astype(np.float32) / 255
        return Inspection(
            picture=PictureFacts.of(picture),
            model=AnsweringModel("mantranet", "0" * 64, 1.25),
            localization_map=localization_map,
            witnesses=(WitnessFinding("mantranet", "0" * 64, 1.25, localization_map),),
            regions=(Region((0, 0, 2, 1), "copy_move", 0.75),),
            verdict="manipulated",
            reason="It scores higher than most authentic pictures.",
            detection_score=self.score,
            false_alarm_rate=0.02,
            timing=Timing(time.perf_counter(), 1.0),
            version=doctored.__version__,
        )


@pytest.fixture(autouse=True)
def fake_detector(monkeypatch):
    monkeypatch.setattr("doctored.predict.Detector", FakeDetector, raising=False)
    return FakeDetector


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_picture(path, red=0, size=(6, 4)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 0, 0)).save(path)
    return str(path)


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments], **options)


def results_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_forgery_found_is_not_a_failure(folder):
    result = run("detect", make_picture("photo.png"))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "photo.png: manipulated",
        "  It scores higher than most authentic pictures.",
        "  score 0.900, false-alarm rate 0.020",
        "  mantranet: raw score 1.250",
        "  copy-move, 2 x 1 px at 0, 0: score 0.75",
    ]
    assert result.stderr == ""


def test_json_has_one_object_per_input_in_order_failed_ones_too(folder):
    make_picture("b.png")
    (folder / "a.jpg").write_bytes(b"no picture")
    result = run("detect", "--json", "b.png", "missing.jpg", "a.jpg", "b.png")
    assert result.exit_code == 1
    results = results_of(result)
    assert [r["path"] for r in results] == ["b.png", "missing.jpg", "a.jpg", "b.png"]
    assert [r["error"] is None for r in results] == [True, False, False, True]
    for one in results:
        jsonschema.Draft202012Validator(SCHEMA).validate(one)
    assert results[0]["outputs"] == {}
    assert len(result.stderr.splitlines()) == 2
    assert "missing.jpg cannot be opened" in result.stderr
    assert "Traceback" not in result.output


def test_output_folder_holds_what_the_json_says(folder):
    make_picture("in/photo.png", red=51)
    make_picture("photo.png", red=255)
    result = run("detect", "--json", "--output", "out/new", "in/photo.png", "photo.png")
    assert result.exit_code == 0
    first, second = results_of(result)
    assert second["outputs"] == {
        "overlay": str(Path("out/new/photo-2.overlay.png")),
        "map": str(Path("out/new/photo-2.map.png")),
        "json": str(Path("out/new/photo-2.json")),
        "mantranet_map": str(Path("out/new/photo-2.mantranet.map.png")),
    }
    assert len(os.listdir("out/new")) == 8
    for one, value in ((first, 65535 // 5), (second, 65535)):
        assert json.loads(Path(one["outputs"]["json"]).read_text()) == one
        with Image.open(one["outputs"]["map"]) as image:
            assert image.size == (6, 4)
            assert image.getextrema() == (value, value)


def test_summary_names_the_overlay(folder):
    result = run("detect", "--output", "out", make_picture("photo.png"))
    assert f"see {Path('out/photo.overlay.png')}" in result.stdout


def test_existing_output_needs_force_and_stops_before_any_work(folder):
    make_picture("photo.png")
    assert run("detect", "--output", "out", "photo.png").exit_code == 0
    again = run("detect", "--output", "out", "photo.png")
    assert again.exit_code == 2
    assert again.stdout == ""
    assert "--force" in again.stderr
    assert run("detect", "--output", "out", "--force", "photo.png").exit_code == 0
    assert len(os.listdir("out")) == 4


def test_output_that_is_a_file_is_one_sentence(folder):
    make_picture("photo.png")
    (folder / "out").write_text("")
    result = run("detect", "--output", "out", "photo.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: out cannot be written")
    assert len(result.stderr.splitlines()) == 1


def test_a_full_disk_fails_the_picture_and_not_the_call(folder, monkeypatch):
    def fill(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("doctored.apps.outputs.write_png", fill)
    result = run("detect", "--json", "--output", "out", make_picture("photo.png"))
    assert result.exit_code == 1
    assert "No space left on device" in results_of(result)[0]["error"]
    assert os.listdir("out") == []


def test_json_is_the_same_from_run_to_run_but_for_timing(folder):
    make_picture("photo.png")
    results = [results_of(run("detect", "--json", "photo.png"))[0] for _ in range(2)]
    assert results[0].pop("timing") != results[1].pop("timing")
    assert results[0] == results[1]


def test_standard_input_gives_paths(folder):
    make_picture("a b.png")
    make_picture("für.png")
    result = run("detect", "--json", "-", input="a b.png\r\n\nfür.png\n".encode())
    assert result.exit_code == 0
    assert [r["path"] for r in results_of(result)] == ["a b.png", "für.png"]


def test_empty_standard_input_is_wrong_usage(folder):
    result = run("detect", "-", input="\n")
    assert result.exit_code == 2
    assert "standard input" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the command line expands patterns there before this")
def test_patterns_that_the_shell_left_alone_are_expanded(folder):
    for name in ("b.png", "a.png", "c.jpg", "deep/d.png", "x[1].png", "x1.png"):
        make_picture(name)
    results = results_of(run("detect", "--json", "[ab].png", "c.*", "**/d.png", "x[1].png"))
    # x[1].png exists as it is written, so it is no pattern.
    assert [r["path"] for r in results] == ["a.png", "b.png", "c.jpg", "deep/d.png", "x[1].png"]


def test_a_pattern_without_a_match_is_a_missing_file(folder):
    result = run("detect", "*.jpg")
    assert result.exit_code == 1
    assert "*.jpg cannot be opened" in result.stderr


def test_a_folder_is_a_sentence_that_says_what_to_do(folder):
    (folder / "photos").mkdir()
    result = run("detect", "photos")
    assert result.exit_code == 1
    assert "photos is a folder" in result.stderr


def test_limits_reach_the_reader(folder):
    make_picture("photo.png", size=(100, 100))
    pixels = run("detect", "photo.png", "--max-mp", "0.001")
    assert "more than the limit of 0.001; raise it with --max-mp if you trust the file" in pixels.stderr
    size = run("detect", "photo.png", "--max-mb", "0.0001")
    assert "more than the limit of 0.0001 MB; raise it with --max-mb if you trust the file" in size.stderr
    assert (pixels.exit_code, size.exit_code) == (1, 1)
    assert run("detect", "photo.png", "--max-mp", "0.01").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["detect"],
        ["detect", "photo.png", "--no-such-option"],
        ["detect", "photo.png", "--max-mp", "0"],
        ["detect", "photo.png", "--max-mb", "nan"],
        ["detect", "photo.png", "--tile", "big"],
        ["detect", "photo.png", "--device", "abacus"],
        ["no-such-command"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_no_result(folder, arguments):
    make_picture("photo.png")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "manipulated" not in result.stdout or not arguments


def test_a_missing_model_is_one_sentence_and_wrong_usage(folder):
    result = run("detect", "--model", "missing", make_picture("photo.png"))
    assert result.exit_code == 2
    assert result.stderr == "Error: there is no model 'missing'; see: doctored models\n"
    assert result.stdout == ""


def test_too_little_memory_fails_the_picture_and_not_the_call(folder, monkeypatch):
    def fail(self, picture, on_progress=None):
        raise MemoryError

    monkeypatch.setattr(FakeDetector, "inspect", fail)
    result = run("detect", "--json", make_picture("photo.png"))
    assert result.exit_code == 1
    assert "memory" in results_of(result)[0]["error"]


@pytest.mark.parametrize(
    ("seconds", "pictures", "sentences"),
    [
        (19.0, 1, []),
        (100.0, 1, ["a.png has 1.0 megapixels and takes about 2 min"]),
        (8000.0, 1, ["a.png has 1.0 megapixels and takes about 2 h 13 min"]),
        (1.0, 3, []),
        (10.0, 3, ["3 pictures take about 30 s if all are like the first (1.0 megapixels)"]),
    ],
)
def test_what_will_take_long_is_announced(folder, monkeypatch, seconds, pictures, sentences):
    monkeypatch.setattr(FakeDetector, "seconds", seconds)
    make_picture("a.png", size=(1000, 1000))
    result = run("detect", "--json", *["a.png"] * pictures)
    assert result.stderr.splitlines() == sentences
    assert len(result.stdout.splitlines()) == pictures


def test_small_pictures_do_not_wait_for_an_estimate(folder, monkeypatch):
    def estimate(self, picture):
        raise AssertionError("an estimate takes longer than the picture")

    monkeypatch.setattr(FakeDetector, "estimate_seconds", estimate)
    assert run("detect", make_picture("a.png", size=(400, 400))).exit_code == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_is_drawn_while_people_watch_and_leaves_no_trace(folder, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressBar("pictures") as bar:
        bar.show(0.5, 3)
        bar.hide()
        drawn = terminal.getvalue()
        bar.show(3, 3)
    assert "pictures" in drawn
    assert "0/3" in drawn
    assert drawn.endswith("\x1b[2K")  # the line is erased
    assert capsys.readouterr().out == ""


def test_no_progress_bar_goes_into_a_file(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with ProgressBar("pictures") as bar:
        bar.show(1, 3)
    assert file.getvalue() == ""


def test_version():
    assert run("--version").stdout == f"doctored {doctored.__version__}\n"


@contextmanager
def running(program, *arguments, **options):
    """A Python program with its output in pipes; it does not outlive the block."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("detect --model noise - <&-", 2, "standard input, which is closed"),
        ("detect --model noise --json photo.png >&-", 1, "standard output is closed"),
        ("models >&-", 1, "standard output is closed"),
        ("--help >&-", 1, "standard output is closed"),
    ],
)
def test_closed_streams_are_one_sentence(folder, command, status, words):
    """A closed input was a traceback; with a closed output, results were lost and all seemed well."""
    make_picture("photo.png")
    result = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m doctored {command}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, len(result.stderr.splitlines())) == (status, 1), result.stderr
    assert words in result.stderr


def test_python_m_doctored_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "doctored", "--help"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("Usage: doctored ")


def test_help_loads_nothing_slow():
    """`doctored --help` must answer in 0.3 s; each of these takes a third of that or more."""
    program = """
import sys
sys.argv = ["doctored", "--help"]
try:
    from doctored.apps.cli import main
    main()
finally:
    print(*sorted({"numpy", "rich", "PIL", "openvino", "torch", "cv2"} & set(sys.modules)), file=sys.stderr)
"""
    with running(program) as process:
        out, err = process.communicate()
    assert "detect" in out
    assert err.split() == []


# A detector that takes its time, run through the real entry point.
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it
sys.path.insert(0, {tests!r})
from test_cli import FakeDetector
class Slow(FakeDetector):
    def inspect(self, picture, on_progress=None):
        print("started", file=sys.stderr, flush=True)
        end = time.monotonic() + {seconds}
        while time.monotonic() < end:  # like tiles: an interrupt is noticed between two of them
            time.sleep(0.01)
        return super().inspect(picture, on_progress)
import doctored.predict
doctored.predict.Detector = Slow
from doctored.apps.cli import main
main()
"""


def slow_program(seconds):
    return SLOW.format(tests=str(Path(__file__).parent), seconds=seconds)


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent another way there")
def test_ctrl_c_ends_quietly_with_130(folder):
    picture = make_picture("photo.png")
    with running(slow_program(60), "detect", "--output", "out", picture) as process:
        assert process.stderr.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (out, err) == ("", "")
    assert os.listdir("out") == []


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break another way there")
def test_a_reader_that_goes_away_ends_the_command_without_a_traceback(folder):
    pictures = [make_picture("photo.png")] * 5
    with running(slow_program(0.2), "detect", "--json", *pictures) as process:
        assert json.loads(process.stdout.readline())["path"] == "photo.png"
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=20) == 1
    assert set(err.split()) <= {"started"}


def test_a_file_name_that_the_terminal_cannot_show_is_no_failure(folder):
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    with running(slow_program(0), "detect", make_picture("日.png"), env=environment) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert out.startswith("\\u65e5.png: manipulated")


@pytest.mark.parametrize("arguments", [["train", "imc", "photos", "--output", "run"]], ids=" ".join)
def test_a_missing_extra_is_one_sentence_with_the_line_to_run(folder, arguments):
    program = """
import sys
sys.modules["torch"] = None
from doctored.apps.cli import main
main()
"""
    with running(program, *arguments) as process:
        out, err = process.communicate()
    assert process.returncode == 1
    assert out == ""
    assert re.fullmatch(r"Error: doctored \w+ needs .*pip install 'doctored\[train\]'\n", err)


def test_commands_and_python_mean_the_same_model_by_default():
    assert DEFAULT_MODEL == detector.DEFAULT_MODEL
