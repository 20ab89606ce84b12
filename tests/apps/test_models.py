import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps.cli import app
from doctored.models.catalog import CATALOG


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def models():
    return {model["name"]: model for model in map(json.loads, run("models", "--json").stdout.splitlines())}


def test_every_model_of_the_catalogue_is_listed_with_size_and_hash(toy_model, monkeypatch):
    monkeypatch.setattr("doctored.predict.detector.EMBEDDED", toy_model.parent)
    listed = models()
    assert list(listed) == list(CATALOG)
    mantranet = listed["mantranet"]
    assert mantranet["installed"] is True
    assert mantranet["bytes"] == sum(len(file.read_bytes()) for file in toy_model.iterdir())
    assert mantranet["training"] == "noise"
    assert len(mantranet["sha256"]) == 64
    assert listed["centre"]["kind"] == "yardstick"
    text = run("models").stdout
    assert f"SHA-256 {mantranet['sha256']}" in text
    assert "trained on noise" in text


def test_a_model_that_did_not_come_along_is_listed_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr("doctored.predict.detector.EMBEDDED", tmp_path)
    listed = models()
    assert (listed["mantranet"]["installed"], listed["mantranet"]["bytes"]) == (False, None)
    assert listed["sharpness"]["installed"] is True
    assert "does not come with this installation" in run("models").stdout


@pytest.fixture
def training_run(toy_network, tmp_path):
    from dataclasses import asdict

    from safetensors.torch import save_file

    folder = tmp_path / "run"
    folder.mkdir()
    model = {"model": "mantranet", "settings": asdict(toy_network.settings)}
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "run.json").write_text(json.dumps({"photographs": 12, "sources": ["attic", "cellar"]}))
    save_file(toy_network.state_dict(), folder / "weights.safetensors")
    return folder


def make_photographs(folder, count, side):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(folder / f"{number:03}.png")
    return folder


def test_an_exported_run_detects_and_says_what_it_learned_from(training_run, tmp_path):
    result = run("weights", "export", training_run, "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "trained on 12 photographs (attic, cellar)" in result.stdout
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["precisions"] == ["bf16", "fp32"]
    Image.new("RGB", (70, 70)).save(tmp_path / "photo.png")
    detected = run("detect", "--json", tmp_path / "photo.png", "--model", tmp_path / "model")
    assert detected.exit_code == 0, detected.stderr

    again = run("weights", "export", training_run, "--output", tmp_path / "model")
    assert again.exit_code == 2
    assert "already" in again.stderr


def test_photographs_bring_int8(training_run, tmp_path):
    photos = make_photographs(tmp_path / "photos", 3, 200)
    result = run("weights", "export", training_run, "--output", tmp_path / "model", "--photos", photos)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["precisions"][0] == "int8"


def test_photographs_too_small_to_quantise_on_are_one_sentence(training_run, tmp_path):
    photos = make_photographs(tmp_path / "photos", 2, 50)
    result = run("weights", "export", training_run, "--output", tmp_path / "model", "--photos", photos)
    assert result.exit_code == 1
    assert "at least 192" in result.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("run.json", "{"), ("weights.safetensors", "{"), ("model.json", "[]")]
)
def test_a_damaged_run_is_one_sentence(training_run, tmp_path, name, content):
    (training_run / name).write_text(content)
    result = run("weights", "export", training_run, "--output", tmp_path / "model")
    assert result.exit_code == 1
    assert name in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path):
    result = run("weights", "export", tmp_path, "--output", tmp_path / "model")
    assert result.exit_code == 1
    assert "model.json cannot be read" in result.stderr
