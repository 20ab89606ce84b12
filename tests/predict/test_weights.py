import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.predict.weights import ExportedModel, load_run, read_exported, run_settings, run_sha256
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
from models.constrained_rcnn.toys import write_rcnn_run
from models.mantranet.toys import TOY_SETTINGS, as_batch, random_mantranet, random_picture


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a training run, as far as detection needs it."""
    description = {"model": "mantranet", "settings": asdict(TOY_SETTINGS), "version": "0.1.0"}
    (tmp_path / "model.json").write_text(json.dumps(description))
    save_file(random_mantranet().state_dict(), tmp_path / "weights.safetensors")
    return tmp_path


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@torch.no_grad()
def test_a_run_comes_back_as_it_was(run: Path):
    network = load_run(run)
    image = as_batch(random_picture(20, 30))
    assert network.settings == TOY_SETTINGS
    assert not network.training
    assert torch.equal(network(image), random_mantranet()(image))
    assert run_sha256(run) == hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


@torch.no_grad()
def test_a_run_of_the_other_network_comes_back_as_it_was(tmp_path: Path):
    torch.manual_seed(0)
    original = ConstrainedRCNN(TOY_RCNN).eval()
    network = load_run(write_rcnn_run(tmp_path / "run", original))
    image = as_batch(random_picture(70, 90))
    assert network.settings == run_settings(tmp_path / "run") == TOY_RCNN
    assert not network.training
    assert torch.equal(network(image)[0].boxes_xyxy, original(image)[0].boxes_xyxy)


@pytest.mark.parametrize("model", ["mantranet", "mantranet-imc"])
def test_settings_are_read_of_any_stage(run: Path, model: str):
    _edit(run / "model.json", model=model)
    assert run_settings(run) == TOY_SETTINGS


def test_settings_of_an_unknown_network_are_refused(run: Path):
    _edit(run / "model.json", model="resnet")
    with pytest.raises(ModelError, match=r"describes 'resnet'; give a run of doctored train"):
        run_settings(run)


def test_settings_of_the_other_network_do_not_pass(run: Path):
    _edit(run / "model.json", model="constrained-rcnn")
    with pytest.raises(ModelError, match="needs settings with exactly anchor_scales, "):
        load_run(run)


def test_a_run_without_weights_says_when_they_come(run: Path):
    (run / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights.safetensors is missing; a run writes it with its first"):
        load_run(run)
    with pytest.raises(ModelError, match=r"weights.safetensors cannot be read"):
        run_sha256(run)


def test_damaged_weights_are_a_sentence(run: Path):
    path = run / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"weights.safetensors cannot be read .* damaged or cut off"):
        load_run(run)


@pytest.mark.parametrize("change", ["missing", "unknown", "reshaped"])
def test_weights_of_another_network_name_the_array(run: Path, change: str):
    tensors = load_file(run / "weights.safetensors")
    bias = tensors.pop("ladn.pred.bias")
    if change == "unknown":
        tensors |= {"ladn.pred.bias": bias, "ladn.pred.bend": bias.clone()}
    if change == "reshaped":
        tensors["ladn.pred.bias"] = torch.zeros(2)
    save_file(tensors, run / "weights.safetensors")
    named = "ladn.pred.bend" if change == "unknown" else "ladn.pred.bias"
    with pytest.raises(ModelError, match=rf"does not fit .*: 1 arrays are .* the first is {named}"):
        load_run(run)


def test_a_run_of_another_kind_is_refused(run: Path):
    _edit(run / "model.json", model="mantranet-imc")
    with pytest.raises(ModelError, match=r"describes 'mantranet-imc', which makes no localization map"):
        load_run(run)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (None, "needs settings with exactly adapted_channels, "),
        (asdict(TOY_SETTINGS) | {"depth": 3}, "needs settings with exactly adapted_channels, "),
        (asdict(TOY_SETTINGS) | {"window_sizes": [8]}, r"impossible settings \(window_sizes"),
    ],
)
def test_wrong_settings_are_a_sentence(run: Path, settings: object, sentence: str):
    _edit(run / "model.json", settings=settings)
    with pytest.raises(ModelError, match=sentence):
        load_run(run)


@pytest.mark.parametrize(("text", "sentence"), [("{", "is no JSON"), ("[]", "a list instead of an object")])
def test_a_description_that_is_no_object_is_a_sentence(run: Path, text: str, sentence: str):
    (run / "model.json").write_text(text)
    with pytest.raises(ModelError, match=sentence):
        load_run(run)


def test_an_export_tells_what_it_is(quantised_toy: ExportedModel):
    exported = read_exported(quantised_toy.folder)
    assert exported == quantised_toy
    assert exported.name == "mantranet"
    assert exported.settings == TOY_SETTINGS
    assert exported.precisions == ("int8", "bf16", "fp32")
    assert exported.int8_passed
    assert exported.figures == {"auc": 0.5}
    assert exported.training == "noise"
    assert exported.temperature == 1.0
    manifest = (quantised_toy.folder / "manifest.json").read_bytes()
    assert exported.sha256 == hashlib.sha256(manifest).hexdigest()


def test_every_file_but_the_manifest_is_hashed(quantised_toy: ExportedModel):
    manifest = json.loads((quantised_toy.folder / "manifest.json").read_text())
    names = {path.name for path in quantised_toy.folder.iterdir()}
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert len(names) == 7  # features in two precisions and anomalies in one, two files each


@pytest.mark.parametrize("name", ["features.fp32.bin", "anomalies.fp32.xml"])
def test_one_changed_bit_is_noticed_before_anything_runs(toy_copy: Path, name: str):
    content = bytearray((toy_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (toy_copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name} is not the file that was exported"):
        read_exported(toy_copy)


def test_a_missing_file_is_named(toy_copy: Path):
    (toy_copy / "features.fp32.bin").unlink()
    with pytest.raises(ModelError, match=r"features.fp32.bin cannot be read \(No such file"):
        read_exported(toy_copy)


@pytest.mark.parametrize("name", ["/dev/zero", "../features.fp32.xml", "a/b", "", ".", "x" * 5000, "a\0b"])
def test_a_manifest_that_names_something_else_than_its_files_is_refused(toy_copy: Path, name: str):
    """Hashing /dev/zero took all memory there is, and never ended."""
    (toy_copy / "a").mkdir()
    _edit(toy_copy / "manifest.json", files={name: "0" * 64})
    with pytest.raises(ModelError, match=r"manifest\.json is not a complete manifest|cannot be read"):
        read_exported(toy_copy)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf"), 10**400])
def test_an_impossible_temperature_is_refused(toy_copy: Path, temperature: float):
    _edit(toy_copy / "manifest.json", temperature=temperature)
    with pytest.raises(ModelError, match="is not a complete manifest"):
        read_exported(toy_copy)


def test_a_manifest_of_another_format_is_refused(toy_copy: Path):
    _edit(toy_copy / "manifest.json", format=7)
    with pytest.raises(ModelError, match="has format 7, this version reads 1; export the model again"):
        read_exported(toy_copy)


def test_a_manifest_of_an_unknown_network_is_refused(toy_copy: Path):
    _edit(toy_copy / "manifest.json", model="resnet")
    with pytest.raises(ModelError, match="describes 'resnet', this version knows mantranet and constrained"):
        read_exported(toy_copy)


@pytest.mark.parametrize("key", ["files", "settings", "temperature", "precisions", "int8_passed", "model"])
def test_an_incomplete_manifest_is_a_sentence(toy_copy: Path, key: str):
    path = toy_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[key]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=rf"is not a complete manifest \(KeyError: '{key}'\)"):
        read_exported(toy_copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"feature_channels": 12.0},
        {"feature_channels": True},
        {"feature_channels": -1},
        {"feature_channels": 10**30},
        {"widths": [6, 7, 8, 9, "10"]},
        {"widths": [6, 7]},
        {"widths": 5},
        {"hidden_channels": None},
        {"transform_tanh": []},
    ],
)
def test_impossible_settings_are_one_sentence(run: Path, changes: dict[str, object]):
    """PyTorch met them first, with a TypeError, ValueError or RuntimeError."""
    settings = asdict(TOY_SETTINGS) | changes
    _edit(run / "model.json", settings=settings)
    with pytest.raises(ModelError, match=r"model\.json has impossible settings"):
        load_run(run)


def test_settings_of_a_giant_are_refused_without_its_memory(run: Path):
    """900 GB were asked for before the weights, which do not fit, were looked at."""
    _edit(run / "model.json", settings=asdict(TOY_SETTINGS) | {"widths": [100_000] * 5})
    with pytest.raises(ModelError, match=r"arrays are missing, unknown or of another shape"):
        load_run(run)


def test_settings_of_a_network_without_end_are_refused(tmp_path: Path):
    """Building one with 2^53 units a block never came back."""
    run = write_rcnn_run(tmp_path / "run", ConstrainedRCNN(TOY_RCNN))
    for units in (2**53, 100_000):
        _edit(run / "model.json", settings=asdict(TOY_RCNN) | {"units": [1, 1, units, 1]})
        with pytest.raises(ModelError, match="has impossible settings"):
            load_run(run)


def test_a_deeply_nested_description_is_one_sentence(run: Path):
    (run / "model.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="nested too deeply"):
        load_run(run)
