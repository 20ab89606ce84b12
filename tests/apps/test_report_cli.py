import builtins
import importlib.util
import json
import os
import shlex
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.cli import app


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with one photograph."""
    monkeypatch.chdir(tmp_path)
    gps = {1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 15.0, 0.0)}
    (tmp_path / "photo.jpg").write_bytes(
        jpeg_bytes(scene(240, 180), exif=exif_block({271: "Nikon"}, gps=gps))
    )
    return tmp_path


def run(*arguments, **options):
    return CliRunner().invoke(app, ["report", "--model", "noise", *map(str, arguments)], **options)


@pytest.mark.parametrize("ending", ["html", "json", "pdf", "HTML"])
def test_a_report_is_one_file_of_the_form_that_its_ending_names(folder, ending):
    result = run("photo.jpg", "--output", f"new/folder/report.{ending}")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"see new/folder/report.{ending}\n"
    (file,) = (folder / "new" / "folder").iterdir()
    start = {"html": b"<!doctype html>", "json": b"{", "pdf": b"%PDF-"}[ending.lower()]
    assert file.read_bytes().startswith(start)


def test_a_failed_input_is_a_section_and_exit_1(folder):
    (folder / "text.jpg").write_text("no picture")
    result = run("text.jpg", "photo.jpg", "missing.jpg", "--output", "report.json")
    assert result.exit_code == 1
    pictures = json.loads((folder / "report.json").read_text())["pictures"]
    assert [picture["path"] for picture in pictures] == ["text.jpg", "photo.jpg", "missing.jpg"]
    assert [picture["error"] is None for picture in pictures] == [False, True, False]
    errors = result.stderr.splitlines()
    assert errors == [f"Error: {picture['error']}" for picture in pictures if picture["error"]]


def test_no_readable_picture_still_gives_a_report_that_says_so(folder):
    result = run("missing.jpg", "--output", "report.html")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "missing.jpg cannot be opened" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photo.jpg", "--output", "report.docx"], "report.docx does not say which form the report has"),
        (["photo.jpg", "--output", "report"], "end its name in .html, .pdf, .json"),
        (["photo.jpg", "--output", "old.html"], "old.html already exists"),
        (["photo.html", "--output", "photo.html", "--force"], "photo.html is one of the pictures"),
        (["photo.jpg", "--output", "folder.html", "--force"], "folder.html is a folder"),
        (["photo.jpg", "--output", "r.html", "--c2pa-trust", "none.pem"], "none.pem cannot be read"),
        (["photo.jpg", "--output", "r.html", "--c2pa-trust", "old.html"], "old.html holds no certificate"),
        (["photo.jpg", "--output", "r.html", "--fpr", "2"], "give a number between 0 and 1"),
    ],
)
def test_wrong_usage_is_one_sentence_before_any_work(folder, arguments, sentence):
    (folder / "old.html").write_text("old")
    (folder / "photo.html").write_bytes((folder / "photo.jpg").read_bytes())
    (folder / "folder.html").mkdir()
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert sentence in result.stderr
    assert (folder / "old.html").read_text() == "old"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
@pytest.mark.parametrize("ending", ["html", "json", "pdf"])
def test_a_name_that_is_no_text_is_shown_with_escapes(folder, ending):
    """The page could not be encoded, after all the work."""
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes((folder / "photo.jpg").read_bytes())
    result = run(os.fsdecode(b"caf\xe9.jpg"), "--output", f"report.{ending}")
    assert result.exit_code == 0, result.output
    if ending != "pdf":
        assert r"caf\udce9.jpg" in (folder / f"report.{ending}").read_text("utf-8")


def test_force_overwrites(folder):
    (folder / "report.html").write_text("old")
    assert run("photo.jpg", "--output", "report.html", "--force").exit_code == 0
    assert (folder / "report.html").read_text() != "old"


def test_a_pdf_without_its_package_is_a_sentence_with_the_line_to_run(folder, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "reportlab" else find_spec(name)
    )
    result = run("photo.jpg", "--output", "report.pdf")
    assert result.exit_code == 1
    assert "pip install 'doctored[pdf]'" in result.stderr


def test_the_position_shows_only_when_asked_for(folder):
    run("photo.jpg", "--output", "hidden.html")
    run("photo.jpg", "--output", "shown.html", "--show-position")
    assert "52.50000" not in (folder / "hidden.html").read_text()
    assert "52.50000" in (folder / "shown.html").read_text()


def test_the_command_in_the_report_makes_the_same_report(folder):
    (folder / "a b.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    run("*.jpg", "--output", "report.json", "--max-mp", "1", "--show-position")
    first = json.loads((folder / "report.json").read_text())
    words = shlex.split(first["origin"]["command"])
    assert words[:2] == ["doctored", "report"]
    assert "--force" not in words
    (folder / "report.json").unlink()
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    second = json.loads((folder / "report.json").read_text())
    assert second["origin"]["command"] == first["origin"]["command"]
    for stored in (first, second):
        del stored["origin"]["made_at"]
        for picture in stored["pictures"]:
            del picture["inspection"]["timing"]
    assert first == second


def test_names_that_begin_with_a_dash_can_be_repeated(folder):
    (folder / "photo.jpg").rename(folder / "--x.jpg")
    assert run("--output", "report.json", "--", "--x.jpg").exit_code == 0
    words = shlex.split(json.loads((folder / "report.json").read_text())["origin"]["command"])
    assert words[-2:] == ["--", "--x.jpg"]


def test_a_report_opens_no_connection(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a report opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for form in ("html", "json", "pdf"):
        assert run("photo.jpg", "--output", f"report.{form}").exit_code == 0


def test_html_and_json_need_nothing_but_the_base_install(folder):
    """Neither the extras nor PyTorch and OpenCV, which only the wheel's own test would notice otherwise."""
    program = """
import sys
for name in ("torch", "cv2", "reportlab", "c2pa", "matplotlib", "scipy", "sklearn", "cryptography"):
    sys.modules[name] = None
from doctored.apps.cli import app
app(["report", "--model", "noise", "photo.jpg", "--output", sys.argv[1]], standalone_mode=False)
"""
    for form in ("html", "json"):
        result = subprocess.run(
            [sys.executable, "-c", program, f"report.{form}"], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
    stored = json.loads((folder / "report.json").read_text())
    assert stored["pictures"][0]["file"]["content_credentials"]["state"] == "not_checked"
    assert "pip install &#39;doctored[c2pa]&#39;" in (folder / "report.html").read_text()


def test_a_full_disk_leaves_no_half_report(folder, monkeypatch):
    real_open = builtins.open

    def full(path, mode="r", *arguments, **options):
        if "w" in mode and "report.html" in str(path):
            raise OSError(28, "No space left on device")
        return real_open(path, mode, *arguments, **options)

    monkeypatch.setattr(builtins, "open", full)
    result = run("photo.jpg", "--output", "report.html")
    assert result.exit_code == 1
    assert "report.html cannot be written (No space left on device)" in result.stderr
    assert not (folder / "report.html").exists()
