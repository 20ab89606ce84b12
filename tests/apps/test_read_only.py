"""Outputs that cannot be written are one sentence: a disk that refuses to write, and a file in a folder's place.

Root may write into folders that forbid it, so for root the folder is mounted anew, read-only.
"""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from apps.scan.cases import write_picture
from doctored.apps.cli import app

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders are protected in another way there")


@pytest.fixture
def read_only(tmp_path):
    """A folder with a finished scan in it, into which nothing can be written."""
    folder = tmp_path / "locked"
    folder.mkdir()
    assert CliRunner().invoke(app, command("scan", tmp_path, folder / "scan.db")).exit_code == 0
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mounted = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]]
    if any(subprocess.run(line, capture_output=True, check=False).returncode for line in mounted):
        pytest.skip("root cannot mount folders here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def command(name, tmp_path, output):
    picture = tmp_path / "photo.png"
    if not picture.exists():
        write_picture(picture, 1)
    return [name, str(picture), "--model", "noise", "--output", str(output)]


CASES = {
    "detect": ("detect", "out", ()),
    "report": ("report", "report.html", ()),
    "scan": ("scan", "new.db", ()),
    "scan that goes on": ("scan", "scan.db", ()),
    "maps": ("scan", "../elsewhere.db", ("--maps",)),
}


def is_one_sentence(result):
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit), result.exception
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    return errors[0]


@pytest.mark.parametrize(("name", "output", "more"), CASES.values(), ids=CASES)
def test_a_disk_that_refuses_to_write(read_only, tmp_path, name, output, more):
    words = [
        *command(name, tmp_path, read_only / output),
        *more,
        *([str(read_only / "maps")] if more else []),
    ]
    error = is_one_sentence(CliRunner().invoke(app, words))
    assert str(read_only) in error
    assert "another scan" not in error, "that is not what keeps it from writing"


@pytest.mark.parametrize("name", ["detect", "report", "scan"])
def test_a_file_in_the_place_of_a_folder(tmp_path, name):
    (tmp_path / "file").write_text("x")
    output = {"detect": "out", "report": "report.html", "scan": "scan.db"}[name]
    error = is_one_sentence(CliRunner().invoke(app, command(name, tmp_path, tmp_path / "file" / output)))
    assert str(tmp_path / "file") in error
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "words",
    [
        ("train", "imc", "{photos}"),
        ("train", "mantranet", "{photos}"),
        ("forge", "{photos}", "--count", "1"),
        ("calibrate", "{photos}", "--model", "noise"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_other_command_says_so_too(tmp_path, words):
    """Training once ended with a traceback."""
    for number in range(2):
        write_picture(tmp_path / "photos" / f"{number}.png", number, (300, 300))
    (tmp_path / "file").write_text("x")
    words = [word.replace("{photos}", str(tmp_path / "photos")) for word in words]
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "file" / "out")])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert str(tmp_path / "file") in line
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(("verb", "ending"), [("export", "csv"), ("report", "html")])
def test_tables_and_pages_of_a_scan(read_only, verb, ending):
    words = ["results", verb, str(read_only / "scan.db"), "--output", str(read_only / f"new.{ending}")]
    is_one_sentence(CliRunner().invoke(app, words))
