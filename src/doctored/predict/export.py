"""Turning a trained ManTra-Net into files that run without PyTorch: OpenVINO models and a manifest."""

import contextlib
import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import doctored
from doctored.core.errors import ConfigError, MissingExtraError
from doctored.predict.bfloat16 import large_convolutions
from doctored.predict.openvino_engine import (
    FIRST_LAYER_PAD_PX,
    RAW_FEATURES,
    model_files,
    with_mirrored_frame,
)
from doctored.predict.openvino_runtime import load_openvino
from doctored.predict.weights import MANIFEST_FILE, MANIFEST_FORMAT, ExportedModel, read_exported

if TYPE_CHECKING:
    from doctored.models.mantranet.mantranet import ManTraNet

_EXAMPLE_PX = 48
_CALIBRATION_PX = 192

# The first two 3 x 3 layers are 0.6 % of the work, and see the weakest traces beside the strongest edges: without
# them the error of the adapted map is a third smaller.
_FLOAT_LAYERS = 2
# Single large activations would stretch the 256 steps over values that hardly occur; cutting off one in a thousand
# halves the error.
_OUTLIERS = 1e-3


def export_mantranet(
    network: "ManTraNet",
    folder: Path,
    calibration_images: Sequence[NDArray[np.uint8]] | None = None,
    *,
    name: str = "mantranet",
    training: str = "",
    temperature: float = 1.0,
    half_weights: bool = True,
) -> ExportedModel:
    """Write a network as OpenVINO models in float32 and, given pictures to quantise on, in int8.

    Int8 is not chosen unasked before `record_int8_check` has said that it is as good.

    Args:
        network: In eval mode, on the CPU.
        folder: Created if need be; it must not hold an export already.
        calibration_images: uint8 (H, W, 3) pictures like those that will be analysed, forged ones among them, to
            find the ranges of activations on; None for no int8.
        name: Catalogue name.
        training: What it was trained on, in a sentence, for the manifest.
        temperature: What logits are divided by before the sigmoid.
        half_weights: Whether the kernels of the large convolutions are stored in float16, which halves the files.

    Raises:
        ConfigError: The folder holds an export already, or calibration_images is empty.
        MissingExtraError: NNCF is not installed and int8 is wanted.
    """
    if (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"{folder} holds an exported model already; name another folder or remove it")
    if calibration_images is not None and not calibration_images:
        raise ConfigError("there are no calibration pictures; give some, or None to leave int8 out")
    folder.mkdir(parents=True, exist_ok=True)
    features, anomalies = _converted(network)
    precisions = ["bf16", "fp32"]
    written: list[Path] = []
    if calibration_images is not None:
        tiles = [_calibration_tile(image) for image in calibration_images]
        quantised = _quantised(features, large_convolutions(features)[_FLOAT_LAYERS:], tiles)
        written += _save(folder / model_files("int8")[0], quantised)
        precisions.insert(0, "int8")
    for model_file, model in zip(model_files("fp32"), (features, anomalies), strict=True):
        if half_weights:
            _halve_weights(model)
        written += _save(folder / model_file, model)
    manifest = {
        "format": MANIFEST_FORMAT,
        "model": name,
        "version": doctored.__version__,
        "settings": asdict(network.settings),
        "temperature": temperature,
        "precisions": precisions,
        "int8_passed": False,
        "figures": {},
        "training": training,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written},
    }
    _write_manifest(folder, manifest)
    return read_exported(folder)


def record_int8_check(folder: Path, *, passed: bool, figures: Mapping[str, float]) -> ExportedModel:
    """Note in a manifest whether int8 was found to be as good as float32.

    Args:
        folder: Of the exported model.
        passed: Whether int8 may be chosen unasked.
        figures: What was measured, for instance AUC in both and the mean difference of the maps.

    Raises:
        ModelError: There is no valid export in the folder.
        ConfigError: It has no int8 files.
    """
    exported = read_exported(folder)
    if "int8" not in exported.precisions:
        raise ConfigError(f"{folder} has no int8 files to be checked; export with calibration pictures")
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    manifest |= {"int8_passed": passed, "figures": manifest["figures"] | dict(figures)}
    _write_manifest(folder, manifest)
    return read_exported(folder)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(manifest, indent=2) + "\n"
    # Bytes, so that the hash of the file is the same whatever the system's line ends.
    (folder / MANIFEST_FILE).write_bytes(text.encode())


def _converted(network: "ManTraNet") -> tuple[Any, Any]:
    """The two passes as OpenVINO models with free height and width, in float32."""
    import torch

    from doctored.models.mantranet.passes import AnomalyPass, FeaturePass

    openvino = load_openvino()
    channels = network.settings.adapted_channels
    side = _EXAMPLE_PX + 2 * FIRST_LAYER_PAD_PX
    image = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    adapted = torch.zeros(1, _EXAMPLE_PX, _EXAMPLE_PX, channels)
    statistics = (torch.zeros(channels), torch.ones(channels))
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch wants its tracer to be given up for one that OpenVINO does not read as well.
        warnings.simplefilter("ignore")
        features = openvino.convert_model(FeaturePass(network.eval()), example_input=image)
        anomalies = openvino.convert_model(AnomalyPass(network.eval()), example_input=(adapted, *statistics))
    features.reshape([1, -1, -1, 3])
    anomalies.reshape({0: [1, -1, -1, channels], 1: [channels], 2: [channels]})
    _input_of_adaptation(features).set_friendly_name(RAW_FEATURES)
    return features, anomalies


def _input_of_adaptation(features: Any) -> Any:
    (adaptation,) = (
        operation
        for operation in features.get_ordered_ops()
        if operation.get_type_name() == "Convolution" and operation.input_value(1).get_shape()[-1] == 1
    )
    return adaptation.input_value(0).get_node()


def _halve_weights(model: Any) -> None:
    """Store the kernels of the large convolutions in float16; they are widened again on loading.

    Not those of the first layer: an SRM filter whose weights no longer sum to 0 responds to a flat patch.
    """
    ops = load_openvino().opset13
    for convolution in large_convolutions(model):
        kernel = convolution.input_value(1).get_node().get_data().astype(np.float16)
        convolution.input(1).replace_source_output(ops.convert(ops.constant(kernel), "f32").output(0))
    model.validate_nodes_and_infer_types()


def _save(path: Path, model: Any) -> list[Path]:
    load_openvino().save_model(model, path, compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]


def _calibration_tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a picture, as the feature model takes it."""
    top, left = (max(0, (side - _CALIBRATION_PX) // 2) for side in image.shape[:2])
    return with_mirrored_frame(image[top : top + _CALIBRATION_PX, left : left + _CALIBRATION_PX])


def _quantised(model: Any, convolutions: Sequence[Any], inputs: Sequence[Any]) -> Any:
    """A copy of a model in which some convolutions take and weigh 8-bit integers.

    Args:
        model: In float32; it stays as it is.
        convolutions: Those of its operations that are to be quantised.
        inputs: What to find the ranges of activations on.
    """
    load_openvino()  # before NNCF does, which would let it send statistics
    try:
        import nncf
        from nncf.quantization import range_estimator as ranges
    except ImportError as error:
        raise MissingExtraError("quantising a model", "train") from error
    nncf.set_log_level(logging.ERROR)
    wanted = {convolution.get_friendly_name() for convolution in convolutions}
    # Padding and ReLU may come after quantisation, which makes them four times cheaper.
    others = [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() not in ("Pad", "Relu") and operation.get_friendly_name() not in wanted
    ]
    highest = ranges.StatisticsCollectorParameters(
        ranges.StatisticsType.QUANTILE, ranges.AggregatorType.MAX, quantile_outlier_prob=_OUTLIERS
    )
    lowest = ranges.StatisticsCollectorParameters(ranges.StatisticsType.MIN, ranges.AggregatorType.MIN)
    estimator = ranges.RangeEstimatorParameters(min=lowest, max=highest)
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=others, validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=estimator
            ),
        )
