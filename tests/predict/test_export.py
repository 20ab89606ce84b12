import shutil
from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import ConfigError, MissingExtraError, ModelError
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.predict.bfloat16 import large_convolutions
from doctored.predict.export import export_mantranet, record_int8_check
from doctored.predict.openvino_engine import model_files
from doctored.predict.openvino_runtime import load_openvino
from doctored.predict.weights import ExportedModel, read_exported
from models.mantranet.toys import random_mantranet


def test_an_export_is_not_overwritten(exported_toy: ExportedModel):
    with pytest.raises(ConfigError, match="holds an exported model already; name another folder"):
        export_mantranet(random_mantranet(), exported_toy.folder)


def test_no_calibration_pictures_are_not_the_same_as_none(tmp_path: Path):
    with pytest.raises(ConfigError, match="no calibration pictures; give some, or None"):
        export_mantranet(random_mantranet(), tmp_path, [])


def test_a_missing_nncf_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'doctored\[train\]'"):
        export_mantranet(random_mantranet(), tmp_path, [np.zeros((70, 80, 3), np.uint8)])


def test_int8_may_not_be_chosen_before_it_was_checked(
    exported_toy: ExportedModel, quantised_toy: ExportedModel, tmp_path: Path
):
    assert not exported_toy.int8_passed
    folder = tmp_path / "copy"
    shutil.copytree(quantised_toy.folder, folder)
    refused = record_int8_check(folder, passed=False, figures={"auc_int8": 0.4})
    assert not refused.int8_passed
    assert refused.figures == {"auc": 0.5, "auc_int8": 0.4}
    again = record_int8_check(folder, passed=True, figures={"auc_int8": 0.5})
    assert again.int8_passed
    assert again.sha256 != refused.sha256


def test_an_export_without_int8_cannot_be_checked(exported_toy: ExportedModel, tmp_path: Path):
    with pytest.raises(ConfigError, match="has no int8 files to be checked"):
        record_int8_check(exported_toy.folder, passed=True, figures={})
    with pytest.raises(ModelError, match=r"manifest.json cannot be read"):
        record_int8_check(tmp_path, passed=True, figures={})


def test_only_large_convolutions_are_quantised(quantised_toy: ExportedModel):
    core = load_openvino().Core()
    for name, layers, in_float in zip(model_files("int8"), (12, 8), (2, 8), strict=True):
        model = core.read_model(quantised_toy.folder / name)
        quantised = [
            convolution
            for convolution in large_convolutions(model)
            if convolution.input_value(1).get_node().get_type_name() == "Multiply"
        ]
        assert len(large_convolutions(model)) == layers
        assert len(quantised) == layers - in_float
        activations = [op for op in model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]
        assert len(activations) == len(quantised)


def test_the_first_layer_keeps_full_weights(quantised_toy: ExportedModel):
    """In float16 the SRM filters' weights no longer sum to 0, and a flat patch would leave a residual."""
    model = load_openvino().Core().read_model(quantised_toy.folder / model_files("fp32")[0])
    (first,) = [
        operation
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Convolution" and operation.input_value(1).get_shape()[-1] == 5
    ]
    kernel = first.input_value(1).get_node().get_data()
    assert np.array_equal(kernel, random_mantranet().imtfe.b1c1.kernel.detach().numpy())


@pytest.mark.slow
def test_files_of_a_full_network_are_small(tmp_path: Path):
    pictures = [np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)]
    export_mantranet(ManTraNet().eval(), tmp_path / "full", pictures)
    size = sum(path.stat().st_size for path in (tmp_path / "full").iterdir())
    assert size < 15e6
    assert read_exported(tmp_path / "full").precisions == ("int8", "bf16", "fp32")
