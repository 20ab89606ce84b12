import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from doctored.apps.cli import app
from doctored.models.constrained_rcnn.settings import compat
from doctored.predict.weights import load_run, run_settings
from models.constrained_rcnn.released import imagenet_arrays, released_arrays
from models.constrained_rcnn.test_convert import network as random_rcnn
from models.mantranet.test_convert import keras_arrays, narrow, port_arrays
from models.mantranet.toys import random_mantranet
from predict.bundles import write_bundle
from predict.test_original_weights import write_keras, write_pytorch


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def keras_file(tmp_path):
    return write_keras(tmp_path / "ManTraNet_Ptrain4.h5", keras_arrays(random_mantranet(narrow(4))))


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)).save(path)
    return path


def test_a_converted_mantranet_detects_as_the_original_would(keras_file, photo, tmp_path):
    result = run("weights", "convert", keras_file, "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "ManTra-Net, variant 4, of Keras; 36 arrays of" in result.stdout
    assert f"use it: doctored detect --model {tmp_path / 'model'}" in result.stdout
    assert "academic, non-commercial use only" in result.stdout
    found = run(
        "detect", "--json", photo, "--model", tmp_path / "model", "--device", "cpu", "--precision", "fp32"
    )
    assert found.exit_code == 0, found.stderr

    # The same network as a run of its own training.
    from safetensors.torch import save_file

    original = tmp_path / "original"
    original.mkdir()
    save_file(random_mantranet(narrow(4)).state_dict(), original / "weights.safetensors")
    (original / "model.json").write_text(
        json.dumps({"model": "mantranet", "settings": dataclasses.asdict(narrow(4))})
    )
    expected = run("detect", "--json", photo, "--model", original, "--device", "cpu", "--precision", "fp32")
    raw_scores = [json.loads(answer.stdout)["witnesses"][0]["raw_score"] for answer in (found, expected)]
    assert raw_scores[0] == pytest.approx(raw_scores[1], abs=1e-5)


def test_the_folder_says_where_it_came_from_and_an_export_goes_on_saying_it(keras_file, tmp_path):
    run("weights", "convert", keras_file, "--output", tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "LICENCE.txt",
        "model.json",
        "run.json",
        "weights.safetensors",
    }
    origin = json.loads((tmp_path / "model" / "run.json").read_text())["origin"]
    assert origin["weights"] == "ManTra-Net, variant 4, of Keras"
    assert origin["sha256"] == {keras_file.name: hashlib.sha256(keras_file.read_bytes()).hexdigest()}
    assert "non-commercial" in origin["licence"]
    compacted = run("weights", "compact", tmp_path / "model", "--output", tmp_path / "compact")
    assert compacted.exit_code == 0, compacted.output
    exported = run("weights", "export", tmp_path / "compact", "--output", tmp_path / "export")
    assert exported.exit_code == 0, exported.output
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert "ManTra-Net, variant 4, of Keras" in manifest["training"]
    assert "non-commercial" in manifest["training"]


def test_the_extractor_alone_is_a_start_and_says_so(tmp_path):
    arrays = {
        name.removeprefix("IMTFE."): array
        for name, array in port_arrays(random_mantranet(narrow(4))).items()
        if name.startswith("IMTFE.")
    }
    file = write_pytorch(tmp_path / "IMTFEv4.pt", arrays)
    result = run("weights", "convert", file, "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert f"doctored train mantranet --start {tmp_path / 'model'}" in result.stdout
    assert run_settings(tmp_path / "model").widths == narrow(4).widths
    detected = run("detect", file, "--model", tmp_path / "model")
    assert detected.exit_code == 1
    assert "makes no localization map" in detected.stderr


@pytest.mark.parametrize(
    ("mask_stage", "sentence"), [(True, "use it: doctored detect"), (False, "marks whole boxes")]
)
def test_a_converted_constrained_rcnn_is_a_run(tmp_path, mask_stage, sentence):
    original = random_rcnn(compat(mask_stage=mask_stage))
    checkpoint = write_bundle(tmp_path / "res101_mask_iter_60000", released_arrays(original))
    result = run("weights", "convert", checkpoint, "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert sentence in result.stdout
    loaded = load_run(tmp_path / "model")
    assert loaded.settings == original.settings
    origin = json.loads((tmp_path / "model" / "run.json").read_text())["origin"]
    assert list(origin["sha256"]) == [f"{checkpoint.name}.index", f"{checkpoint.name}.data-00000-of-00001"]


@pytest.mark.parametrize("mask_stage", [True, False])
def test_a_converted_constrained_rcnn_detects_as_the_original_would(photo, tmp_path, mask_stage):
    import torch

    original = random_rcnn(compat(mask_stage=mask_stage))
    checkpoint = write_bundle(tmp_path / "res101_mask_iter_60000", released_arrays(original))
    run("weights", "convert", checkpoint, "--output", tmp_path / "model")
    arguments = ("--model", tmp_path / "model", "--device", "cpu", "--precision", "fp32")
    found = run("detect", "--json", photo, *arguments)
    assert found.exit_code == 0, found.stderr
    pixels = torch.from_numpy(np.asarray(Image.open(photo)).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        (expected,) = original(pixels)
    regions = json.loads(found.stdout)["regions"]
    assert regions[0]["score"] == pytest.approx(float(expected.scores[0]), abs=1e-3)


@pytest.mark.parametrize("kind", ["stage 1", "imagenet"])
def test_training_starts_from_what_detects_little(tmp_path, kind):
    import torch
    from safetensors.torch import load_file

    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
    from doctored.train.checkpoint import start_from
    from doctored.train.constrained_rcnn import fitted_start

    original = random_rcnn(compat(mask_stage=False))
    arrays = released_arrays(original) if kind == "stage 1" else imagenet_arrays(original)
    run("weights", "convert", write_bundle(tmp_path / "res101", arrays), "--output", tmp_path / "model")
    settings = dataclasses.replace(run_settings(tmp_path / "model"), mask_stage=True)
    start = load_file(tmp_path / "model" / "weights.safetensors")
    network = ConstrainedRCNN(settings)
    start_from(network, fitted_start(start, settings, same_classes=True))
    assert network.mask_stage is not None
    for unit in (network.backbone.block3[0], network.box_head.block4[1], network.mask_stage.head.block4[1]):
        assert any(torch.equal(unit.conv2.conv.weight, tensor) for tensor in start.values())


def test_imagenets_resnet_detects_nothing_and_says_so(tmp_path):
    checkpoint = write_bundle(tmp_path / "res101", imagenet_arrays(random_rcnn(compat())))
    result = run("weights", "convert", checkpoint, "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert (
        "detects nothing yet; train on it: doctored train constrained-rcnn --stage 1 --start" in result.stdout
    )
    assert "non-commercial" not in result.stdout  # theirs is another licence
    assert "backbone.conv1.conv.weight" in load_file(tmp_path / "model" / "weights.safetensors")
    detected = run("detect", checkpoint, "--model", tmp_path / "model")
    assert detected.exit_code == 1
    assert "makes no localization map" in detected.stderr


@pytest.mark.parametrize("output", [".", ".."])
def test_a_folder_without_a_name_of_its_own_is_refused(keras_file, tmp_path, monkeypatch, output):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = run("weights", "convert", keras_file, "--output", output)
    assert result.exit_code == 2
    assert "has no name of its own" in result.stderr


def test_what_is_there_is_replaced_only_by_force(keras_file, tmp_path):
    output = tmp_path / "model"
    arguments = ("weights", "convert", keras_file, "--output", output)
    output.mkdir()
    assert run(*arguments).exit_code == 0  # an empty folder is as good as none
    before = (output / "weights.safetensors").read_bytes()
    again = run(*arguments)
    assert again.exit_code == 2
    assert "already holds weights; choose another --output, or replace them with --force" in again.stderr
    write_keras(keras_file, keras_arrays(random_mantranet(narrow(4), seed=1)))
    assert run(*arguments, "--force").exit_code == 0
    assert (output / "weights.safetensors").read_bytes() != before
    (output / "photo.png").touch()
    other = run(*arguments, "--force")
    assert other.exit_code == 2
    assert "holds other files, such as photo.png" in other.stderr
    assert run(*arguments[:-1], keras_file, "--force").exit_code == 2


def test_failures_leave_nothing_and_keep_what_was_there(keras_file, tmp_path, monkeypatch):
    output = tmp_path / "model"
    run("weights", "convert", keras_file, "--output", output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    good = keras_file.read_bytes()
    keras_file.write_bytes(good[: len(good) // 2])
    damaged = run("weights", "convert", keras_file, "--output", output, "--force")
    assert damaged.exit_code == 1
    assert len(damaged.stderr.splitlines()) == 1
    keras_file.write_bytes(good)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("doctored.train.checkpoint.write_tensors", full)
    for folder in (output, tmp_path / "new"):
        result = run("weights", "convert", keras_file, "--output", folder, "--force")
        assert result.exit_code == 1
        assert f"cannot write {folder} (No space left on device); nothing was changed there" in result.stderr
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {keras_file.name, "model"}


@pytest.mark.parametrize("variant", ["5", "-1", "four"])
def test_a_variant_that_does_not_exist_is_wrong_usage(keras_file, tmp_path, variant):
    result = run("weights", "convert", keras_file, "--output", tmp_path / "model", "--variant", variant)
    assert result.exit_code == 2


def test_a_variant_that_does_not_fit_is_wrong_usage(keras_file, tmp_path):
    result = run("weights", "convert", keras_file, "--output", tmp_path / "model", "--variant", "1")
    assert result.exit_code == 2
    assert "has 16 filters, but that of variant 1 has 32" in result.stderr
    assert not (tmp_path / "model").exists()


def test_h5py_that_is_missing_is_named(keras_file, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    result = run("weights", "convert", keras_file, "--output", tmp_path / "model")
    assert result.exit_code == 1
    assert "pip install 'doctored[convert]'" in result.stderr
