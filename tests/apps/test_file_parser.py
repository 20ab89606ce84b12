"""Every command that takes pictures hands them to the parser that `--isolate` chooses."""

import json
import sys

import pytest
from typer.testing import CliRunner

from apps.isolation.hostile_child import COMMAND, HOSTILE_PROGRAM
from apps.scan.cases import write_picture
from apps.web.conftest import finish, running, send
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.cli import app
from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import parent
from doctored.core.read_image import read_image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits processes so")
EXIF = exif_block({271: "Maker"}, thumbnail=jpeg_bytes(scene(16, 12)))
CRASH = COMMAND + b"crash;"
SENTENCE = "crash.jpg ended the process (SIGSEGV) that reads files apart from the rest"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parent, "PROGRAM", HOSTILE_PROGRAM)
    (tmp_path / "photo.jpg").write_bytes(jpeg_bytes(scene(90, 70), quality=90, exif=EXIF))
    (tmp_path / "crash.jpg").write_bytes(CRASH)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


def test_in_this_process_it_is_the_reader(tmp_path):
    path = write_picture(tmp_path / "a.png", 1)
    with FileParser() as parser:
        assert parser.read(path, max_megapixels=1, max_megabytes=1).sha256 == read_image(path).sha256


def test_detect(folder):
    command = ["detect", "photo.jpg", "crash.jpg", "--json", "--model", "noise"]
    apart = run(*command, "--isolate")
    assert apart.exit_code == 1
    found = [json.loads(line) for line in apart.stdout.splitlines()]
    assert SENTENCE in found[1]["error"]
    here = [json.loads(line) for line in run(*command).stdout.splitlines()]
    assert found[0] | {"timing": None} == here[0] | {"timing": None}
    assert "damaged" in here[1]["error"], "nobody obeys here"


def test_report(folder):
    command = ["report", "photo.jpg", "crash.jpg", "--model", "noise", "--output"]
    assert run(*command, "apart.json", "--isolate").exit_code == 1
    run(*command, "here.json")
    apart, here = (
        json.loads((folder / name).read_text())["pictures"] for name in ("apart.json", "here.json")
    )
    assert SENTENCE in apart[1]["error"]
    assert apart[0]["file"] == here[0]["file"]
    assert apart[0]["file"]["thumbnail"]["width"] == 16


def test_report_of_a_scan(folder):
    run("scan", "photo.jpg", "--model", "noise", "--output", "scan.db", "--workers", "1")
    (folder / "photo.jpg").write_bytes(CRASH)
    assert run("results", "report", "scan.db", "--isolate", "--output", "scan.html").exit_code == 0
    assert "ended the process (SIGSEGV)" in (folder / "scan.html").read_text()


def test_serve(folder):
    with running(folder, isolate=True, max_megapixels=1, max_megabytes=1) as client:
        job = finish(client, send(client, (folder / "photo.jpg").read_bytes()))
        assert job["state"] == "done"
        report = client.get(f"/jobs/{job['id']}/result").json()["report"]
        assert report["file"]["thumbnail"]["width"] == 16
        assert report["file"]["exif"]["camera"] == "Maker"
        assert send(client, CRASH, "crash.jpg").status_code == 422, "its header is none of a picture"


def test_a_server_outlives_a_picture_that_ends_its_decoder(folder, monkeypatch):
    monkeypatch.setattr(parent.IsolatedParser, "check_header", lambda *_, **__: None)
    with running(folder, isolate=True, max_megapixels=1, max_megabytes=1) as client:
        job = finish(client, send(client, CRASH, "crash.jpg"))
        assert job["state"] == "failed"
        assert SENTENCE in job["error"]
        assert finish(client, send(client, (folder / "photo.jpg").read_bytes()))["state"] == "done"
