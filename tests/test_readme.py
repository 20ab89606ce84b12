"""What the README shows works; `.ci/run` runs its two set-up commands as they are, in fresh environments."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SETUP = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]


def test_there_are_two_set_up_commands_and_each_is_complete():
    analyse, test = SETUP
    assert "pip install . && .venv/bin/doctored detect docs/images/" in analyse
    assert "pip install -e '.[dev]' && .venv/bin/python -m pytest" in test


def test_the_first_command_analyses_a_picture_that_is_there(tmp_path, monkeypatch):
    words = shlex.split(SETUP[0].split("&&")[-1])
    assert words[0] == ".venv/bin/doctored"
    monkeypatch.chdir(ROOT)
    arguments = [word if word != "out" else str(tmp_path / "out") for word in words[1:]]
    # Any model will do here; the one that comes with the package is not needed for it.
    result = CliRunner().invoke(app, [*arguments, "--model", "sharpness"])
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "splicing.overlay.png").exists()


def test_the_python_example_runs_and_its_comments_are_true(monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("doctored.predict.detector.DEFAULT_MODEL", "sharpness")
    names = {}
    exec(example, names)
    shape = names["inspection"].localization_map.shape
    assert f"# {shape}: float32" in example
    assert names["inspection"].localization_map.dtype == np.float32
    assert names["inspection"].verdict in capsys.readouterr().out


def test_the_python_example_of_the_first_page_runs(monkeypatch):
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "start.md").read_text("utf-8"), re.DOTALL
    )
    monkeypatch.chdir(ROOT / "docs" / "images")
    monkeypatch.setattr("doctored.predict.detector.DEFAULT_MODEL", "sharpness")
    names = {}
    exec(example.replace("photo.jpg", "splicing.jpg"), names)
    assert names["inspection"].verdict in example


def test_links_lead_to_files():
    for page in (ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", ["splicing", "copy_move", "removal"])
def test_bundled_forgeries_are_small_and_have_masks(name):
    path = ROOT / "docs" / "images" / f"{name}.jpg"
    assert path.stat().st_size < 150_000
    with Image.open(path) as image, Image.open(path.with_name(f"{name}.mask.png")) as mask:
        assert image.size == mask.size
        share = np.asarray(mask).mean()
    assert 0.01 < share < 0.2
    assert name in (ROOT / "docs" / "images" / "credits.md").read_text("utf-8")
