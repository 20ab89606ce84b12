import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from doctored.apps.forge_cli import forge_app
from doctored.core.errors import ConfigError

app = typer.Typer()
app.add_typer(forge_app)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments):
    result = call(*arguments)
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(20, 236, (15, 17, 3)).repeat(8, axis=0).repeat(8, axis=1)
        pixels = np.clip(coarse + rng.normal(0, 5, coarse.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_names_that_are_no_text_are_listed_with_escapes(photos, tmp_path):
    """The fingerprint of such photographs could not be taken, nor the manifest written."""
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(sorted(photos.iterdir())):
        shutil.copy(
            path, tmp_path / "photos" / os.fsdecode(f"{number}caf".encode() + b"\xe9" + path.suffix.encode())
        )
    out = tmp_path / "out"
    arguments = ("forge", tmp_path / "photos", "--output", out, "--count", 2, "--size", 64, "--workers", 1)
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert r"caf\udce9.png" in (out / "manifest.csv").read_text("utf-8")
    before = contents(out)
    assert call(*arguments).exit_code == 0
    assert contents(out) == before


def test_forge_fills_a_folder_and_names_what_it_skipped(photos, tmp_path):
    arguments = ("forge", photos, "--output", tmp_path / "out", "--count", 6, "--size", 64, "--workers", 1)
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert re.search(r"^skipped: .*bad.jpg", result.stderr, re.MULTILINE)
    techniques = {json.loads(p.read_text())["row"]["technique"] for p in tmp_path.glob("out/recipes/*")}
    assert techniques == {"authentic", "splicing", "copy_move", "removal", "enhancement"}
    before = contents(tmp_path / "out")
    assert call(*arguments).exit_code == 0
    assert contents(tmp_path / "out") == before
    assert "seed was 0, is 1" in refused(*arguments, "--seed", 1)
    assert call(*arguments, "--seed", 1, "--force").exit_code == 0


def test_kinds_and_domain_can_be_chosen(photos, tmp_path):
    options = ("--kind", "removal", "--kind", "authentic", "--domain", "lossless", "--workers", 1)
    result = call("forge", photos, "--output", tmp_path / "out", "--count", 4, "--size", 64, *options)
    assert result.exit_code == 0, result.output
    rows = [json.loads(path.read_text())["row"] for path in (tmp_path / "out" / "recipes").iterdir()]
    assert sorted(row["technique"] for row in rows) == ["authentic", "authentic", "removal", "removal"]
    assert {row["domain"] for row in rows} == {"lossless"}
    assert all(row["image"].endswith(".png") for row in rows)


def test_a_killed_command_goes_on_to_the_same_files(photos, tmp_path):
    options = ["--count", "30", "--size", "64", "--workers", "2"]
    program = f"""
import sys, typer
from doctored.apps.forge_cli import forge_app
app = typer.Typer()
app.add_typer(forge_app)
if __name__ == "__main__":
    app(["forge", {str(photos)!r}, "--output", {str(tmp_path / "killed")!r}, *{options!r}])
"""
    script = tmp_path / "command.py"
    script.write_text(program)
    running = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    recipes = tmp_path / "killed" / "recipes"
    deadline = time.monotonic() + 120
    while not (recipes.is_dir() and len(list(recipes.glob("*.json"))) >= 3):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    running.communicate()
    assert len(list(recipes.glob("*.json"))) < 30
    assert not (tmp_path / "killed" / "manifest.csv").exists()
    # Workers end with the command that they belonged to.
    time.sleep(0.5)
    left = len(os.listdir(recipes))
    time.sleep(0.5)
    assert len(os.listdir(recipes)) == left
    assert (
        call("forge", photos, "--output", tmp_path / "killed", *options[:-2], "--workers", 1).exit_code == 0
    )
    assert call("forge", photos, "--output", tmp_path / "whole", *options[:-2], "--workers", 1).exit_code == 0
    killed = {
        name: data for name, data in contents(tmp_path / "killed").items() if not name.endswith(".part")
    }
    assert killed == contents(tmp_path / "whole")


def test_the_protocol_is_made_from_annotations(tmp_path):
    images, objects = [], []
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 40, "width": 48})
        objects.append({"image_id": number, "category_id": 3, "segmentation": [[9, 9, 30, 9, 30, 30, 9, 30]]})
    document = {"images": images, "annotations": objects, "categories": [{"id": 3, "name": "cat"}]}
    annotations = tmp_path / "instances.json"
    annotations.write_text(json.dumps(document))
    arguments = ("forge", tmp_path, "--protocol", "coco-synthetic", "--annotations", annotations)
    output = tmp_path / "out"
    assert "outlines no person or airplane" in refused(*arguments, "--output", output)
    result = call(*arguments, "--output", output, "--category", "cat", "--count", 30, "--workers", 1)
    assert result.exit_code == 0, result.output
    for split in ("train", "test"):
        for line in (output / f"{split}_filter_single.txt").read_text().splitlines():
            assert re.fullmatch(r"Tp_\d+_\d+_10_10_3\d_3\d_cat 10 10 3\d 3\d tamper", line)


def test_options_that_do_not_go_together_are_refused(tmp_path):
    forge = ("forge", tmp_path, "--output", tmp_path / "out")
    protocol = (*forge, "--protocol", "coco-synthetic")
    assert "say with --count" in refused(*forge)
    assert "--category belongs to" in refused(*forge, "--count", 1, "--category", "dog")
    assert "choose coco-synthetic" in refused(*forge, "--protocol", "casia")
    assert "needs --annotations FILE" in refused(*protocol)
    wrong = (*protocol, "--annotations", tmp_path / "a.json", "--kind", "splicing")
    assert "--kind, --domain and --size do not go with" in refused(*wrong)
    assert "--size do not go with" in refused(*wrong[:-2], "--size", 256)
    assert not (tmp_path / "out").exists()


def test_contact_sheet_writes_a_picture_and_overwrites_only_when_told(photos, tmp_path):
    arguments = ("contact-sheet", photos / "0.png", "--output", tmp_path / "sheet.png")
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert "already exists" in refused(*arguments)
    assert call(*arguments, "--force", "--donor", photos / "1.png").exit_code == 0


@pytest.mark.parametrize("role", ["picture", "donor"])
def test_a_contact_sheet_takes_no_photographs_place(photos, tmp_path, role):
    """With --force it did, and the photograph was lost."""
    mine, link = tmp_path / "mine.png", tmp_path / "link.png"
    shutil.copy(photos / "0.png", mine)
    link.symlink_to(mine)
    before = mine.read_bytes()
    pictures = [mine] if role == "picture" else [photos / "1.png", "--donor", mine]
    for output in (mine, link):
        words = refused("contact-sheet", *pictures, "--output", output, "--force")
        assert "is one of the photographs; choose another --output" in words
    assert mine.read_bytes() == before


@pytest.mark.parametrize("command", ["forge", "contact-sheet"])
def test_help_shows_two_calls(command):
    text = call(command, "--help").output
    assert len(re.findall(rf"^ +doctored {command} ", text, re.MULTILINE)) >= 2
