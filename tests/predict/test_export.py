import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import ConfigError, MissingExtraError, ModelError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.predict.bfloat16 import deep_convolutions, large_convolutions
from doctored.predict.export import export_mantranet, export_network, record_int8_check
from doctored.predict.openvino_engine import model_files, region_file
from doctored.predict.openvino_runtime import openvino_core
from doctored.predict.weights import ExportedModel, read_exported
from models.constrained_rcnn.toys import TOY_COMPAT, overfitted_toy
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
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
    core = openvino_core()
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
    model = openvino_core().read_model(quantised_toy.folder / model_files("fp32")[0])
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


def test_either_network_is_exported_by_what_it_is(exported_rcnn: ExportedModel, tmp_path: Path):
    exported = export_network(overfitted_toy(), tmp_path / "rcnn", training="two forgeries")
    assert (exported.name, exported.settings) == ("constrained-rcnn", TOY_RCNN)
    assert exported.training == "two forgeries"
    assert exported.precisions == ("bf16", "fp32")
    assert sorted(path.name for path in exported.folder.iterdir()) == [
        "manifest.json",
        "regions.fp32.bin",
        "regions.fp32.xml",
    ]
    assert export_network(random_mantranet(), tmp_path / "mantranet").name == "mantranet"
    with pytest.raises(ConfigError, match="holds an exported model already"):
        export_network(overfitted_toy(), tmp_path / "rcnn")


@pytest.mark.parametrize("settings", [TOY_COMPAT, replace(TOY_RCNN, short_side_px=60, long_side_px=90)])
def test_networks_that_resize_or_are_compatible_are_not_exported(
    settings: ConstrainedRCNNSettings, tmp_path: Path
):
    with pytest.raises(ConfigError, match="cannot be exported; run it as it is, on PyTorch"):
        export_network(ConstrainedRCNN(settings).eval(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_first_filters_and_predictions_of_regions_keep_float32(overfitted_rcnn: ExportedModel):
    core = openvino_core()
    quantised, exact = (
        core.read_model(overfitted_rcnn.folder / region_file(precision)) for precision in ("int8", "fp32")
    )
    lowered = {convolution.get_friendly_name() for convolution in deep_convolutions(exact)}
    kinds = {"quantised": 0, "half": 0, "float": 0}
    for model in (quantised, exact):
        for operation in model.get_ordered_ops():
            if operation.get_type_name() != "Convolution":
                continue
            kernel = operation.input_value(1).get_node()
            kind = {"Multiply": "quantised", "Convert": "half", "Constant": "float"}[kernel.get_type_name()]
            assert (kind != "float") == (operation.get_friendly_name() in lowered)
            kinds[kind] += 1
    # Blocks 1 to 3 have 4, 4 + 3 and 3 (where the width changes a shortcut too), the two block 4 have 3 each, then come
    # the 3 x 3 one of the RPN and the skip structure's. In float32 stay both first layers, the attention's, the RPN's
    # two outputs, and the last two of the masks.
    assert kinds == {"quantised": 22, "half": 22, "float": 2 * 7}
    (first,) = (
        op
        for op in exact.get_ordered_ops()
        if op.get_type_name() == "Convolution" and list(op.input_value(1).get_shape()) == [3, 3, 5, 5]
    )
    kernel = overfitted_toy().constrained_conv.kernel.detach().numpy()
    assert np.array_equal(first.input_value(1).get_node().get_data(), kernel)
