import os
import sys

import pytest
from typer.testing import CliRunner

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.apps.cli import app
from doctored.data.benchmarks.catalog import BENCHMARKS


def call(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_names_that_are_no_text_are_prepared_with_escapes(tmp_path):
    """The fingerprint of such a set could not be taken."""
    for kind, array in (("images", photo(1)), ("masks", box_mask(5, 6, 20, 17)), ("authentic", photo(2))):
        save(tmp_path / "mine" / kind / "a.png", array)
        (tmp_path / "mine" / kind / "a.png").rename(tmp_path / "mine" / kind / os.fsdecode(b"caf\xe9.png"))
    out = tmp_path / "out"
    result = call("prepare", "folder", "--source", tmp_path / "mine", "--output", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (out / "images").iterdir()) == [r"caf\udce9.png"]
    checked = call("check", out, "--workers", 1)
    assert checked.exit_code == 0, checked.output


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "COVERAGE"
    for number in range(1, 5):
        save(folder / f"{number}.tif", photo(number))
        save(folder / f"{number}t.tif", photo(number + 4))
        save(folder / f"{number}forged.tif", box_mask(5, 6, 20, 17))
    (folder / "4forged.tif").unlink()
    return folder


def test_prepare_prints_counts_and_says_what_is_missing_on_standard_error(source, tmp_path):
    arguments = ("prepare", "coverage", "--source", source, "--output", tmp_path / "out", "--workers", 1)
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'out'}  3 manipulated, 4 authentic, 1 left out\n"
    assert "left out: 4t.tif: has no mask 4forged\n" in result.stderr
    assert "warning: coverage: 3 manipulated pictures prepared, 100 published\n" in result.stderr
    assert call(*arguments).stdout == result.stdout
    other = call(*arguments, "--split", "test")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "start it anew with --force" in other.stderr
    assert call(*arguments, "--split", "test", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("columbus",), "no data set 'columbus'"),
        (("coverage", "--split", "val"), "--split is 'val'; choose train or test"),
        (("folder", "--convention", "grey"), "--convention is 'grey'"),
        (("coverage", "--reference", "a.csv"), "coverage has no use for --reference"),
    ],
)
def test_wrong_usage_is_a_sentence_and_status_2(source, tmp_path, options, says):
    result = call("prepare", *options, "--source", source, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert says in result.stderr


def test_the_help_names_every_set():
    words = call("prepare", "--help").stdout.replace(",", " ").split()
    assert set(BENCHMARKS) <= set(words)


def test_without_opencv_prepare_says_what_to_install_and_check_runs(source, tmp_path, monkeypatch):
    arguments = ("prepare", "coverage", "--source", source, "--output", tmp_path / "out", "--workers", 1)
    assert call(*arguments).exit_code == 0
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert call("check", tmp_path / "out", "--workers", 1).exit_code == 0
    result = call(*arguments, "--split", "train", "--force")
    assert result.exit_code == 1
    assert (
        "doctored data needs packages that are not installed; run: pip install 'doctored[train]'"
        in result.stderr
    )


def test_check_prints_a_line_for_each_problem_and_exits_with_1(source, tmp_path):
    call("prepare", "coverage", "--source", source, "--output", tmp_path / "out", "--workers", 1)
    sound = call("check", tmp_path / "out", "--workers", 1)
    assert (sound.exit_code, sound.stdout) == (0, "")
    (tmp_path / "out" / "manifest.csv").unlink()
    (tmp_path / "out" / "masks" / "1t.png").unlink()
    broken = call("check", tmp_path / "out", "--workers", 1)
    assert (broken.exit_code, broken.stdout) == (
        1,
        "unpaired: images/1t.tif: has no mask of its name in masks/\n",
    )
    assert call("check", tmp_path / "gone").exit_code == 1
