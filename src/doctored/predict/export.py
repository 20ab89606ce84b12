"""Turning trained networks into files that run without PyTorch: OpenVINO models and a manifest."""

import contextlib
import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import doctored
from doctored.core.errors import ConfigError, MissingExtraError
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.predict.bfloat16 import deep_convolutions, large_convolutions
from doctored.predict.families import IMC_HEAD_FILE, ImcHead
from doctored.predict.openvino_engine import FIRST_LAYER_PAD_PX, RAW_FEATURES, with_mirrored_frame
from doctored.predict.openvino_runtime import load_openvino
from doctored.predict.weights import MANIFEST_FILE, MANIFEST_FORMAT, ExportedModel, read_exported

if TYPE_CHECKING:
    import torch

    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
    from doctored.models.mantranet.mantranet import ManTraNet

_EXAMPLE_PX = 48
_CALIBRATION_PX = 192

# The first two 3 x 3 layers are 0.6 % of the work, and see the weakest traces beside the strongest edges: without
# them the error of the adapted map is a third smaller.
_FLOAT_LAYERS = 2
# Single large activations would stretch the 256 steps over values that hardly occur; cutting off one in a thousand
# halves the error.
_OUTLIERS = 1e-3


@dataclass(frozen=True, eq=False)
class _Part:
    """A model of an export.

    Attributes:
        name: First part of the names of its files.
        model: In float32.
        lowered: Its convolutions for lower precisions.
        quantised: Those of them that become int8; with none of them it has no int8 form.
    """

    name: str
    model: Any
    lowered: list[Any]
    quantised: list[Any]


def export_network(
    network: "ManTraNet | ConstrainedRCNN",
    folder: Path,
    calibration_images: Sequence[NDArray[np.uint8]] | None = None,
    *,
    training: str = "",
    imc_head: ImcHead | None = None,
) -> ExportedModel:
    """Write either network; arguments and errors are those of `export_mantranet`.

    Raises:
        ConfigError: The network is a Constrained R-CNN that resizes pictures or has `compat`, or comes with a head.
    """
    if isinstance(network.settings, ConstrainedRCNNSettings):
        if imc_head is not None:
            raise ConfigError("only a ManTra-Net takes a head that names manipulations; leave --imc out")
        return export_constrained_rcnn(network, folder, calibration_images, training=training)
    return export_mantranet(network, folder, calibration_images, training=training, imc_head=imc_head)


def export_mantranet(
    network: "ManTraNet",
    folder: Path,
    calibration_images: Sequence[NDArray[np.uint8]] | None = None,
    *,
    training: str = "",
    temperature: float = 1.0,
    half_weights: bool = True,
    imc_head: ImcHead | None = None,
) -> ExportedModel:
    """Write a network as OpenVINO models in float32 and, given pictures to quantise on, in int8.

    Int8 is not chosen unasked before `record_int8_check` has said that it is as good.

    Args:
        network: In eval mode, on the CPU.
        folder: Created if need be; it must not hold an export already.
        calibration_images: uint8 (H, W, 3) pictures like those that will be analysed, forged ones among them, to
            find the ranges of activations on; None for no int8.
        training: What it was trained on, in a sentence, for the manifest.
        temperature: What logits are divided by before the sigmoid.
        half_weights: Whether the kernels of the large convolutions are stored in float16, which halves the files.
        imc_head: Names manipulations by the features of this network's extractor; None if there is none.

    Raises:
        ConfigError: The folder holds an export already, calibration_images is empty, or the head is for features of
            other size.
        MissingExtraError: NNCF is not installed and int8 is wanted.
    """
    _check_export(folder, calibration_images)
    channels = network.settings.feature_channels
    if imc_head is not None and imc_head.weight.shape[1] != channels:
        raise ConfigError(
            f"the head names manipulations by {imc_head.weight.shape[1]} features, the network has {channels}; give "
            "the stage one that this network was started from"
        )
    features, anomalies = _converted_mantranet(network)
    convolutions = large_convolutions(features)
    parts = [
        _Part("features", features, convolutions, convolutions[_FLOAT_LAYERS:]),
        _Part("anomalies", anomalies, large_convolutions(anomalies), []),
    ]
    manifest = {
        "model": "mantranet",
        "settings": asdict(network.settings),
        "temperature": temperature,
        "training": training,
    }
    extra = {} if imc_head is None else {IMC_HEAD_FILE: imc_head.to_bytes()}
    return _write_export(folder, parts, manifest, calibration_images, half_weights, extra)


def export_constrained_rcnn(
    network: "ConstrainedRCNN",
    folder: Path,
    calibration_images: Sequence[NDArray[np.uint8]] | None = None,
    *,
    training: str = "",
    half_weights: bool = True,
) -> ExportedModel:
    """Write a network as one OpenVINO model for pixels to regions; the rest is as in `export_mantranet`.

    Raises:
        ConfigError: The folder holds an export already, calibration_images is empty, or the network resizes pictures
            or has `compat`.
        MissingExtraError: NNCF is not installed and int8 is wanted.
    """
    _check_export(folder, calibration_images)
    regions = _converted_rcnn(network)
    convolutions = deep_convolutions(regions)
    parts = [_Part("regions", regions, convolutions, convolutions)]
    manifest = {
        "model": "constrained-rcnn",
        "settings": asdict(network.settings),
        "temperature": 1.0,
        "training": training,
    }
    return _write_export(folder, parts, manifest, calibration_images, half_weights, {})


def _check_export(folder: Path, calibration_images: Sequence[NDArray[np.uint8]] | None) -> None:
    if (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"{folder} holds an exported model already; name another folder or remove it")
    if calibration_images is not None and not calibration_images:
        raise ConfigError("there are no calibration pictures; give some, or None to leave int8 out")


def _write_export(
    folder: Path,
    parts: Sequence[_Part],
    manifest: Mapping[str, Any],
    calibration_images: Sequence[NDArray[np.uint8]] | None,
    half_weights: bool,
    extra: Mapping[str, bytes],
) -> ExportedModel:
    """Write all files of an export, and extra ones by name; the manifest comes without what follows from them."""
    folder.mkdir(parents=True, exist_ok=True)
    precisions = ["bf16", "fp32"]
    written: list[Path] = []
    if calibration_images is not None:
        tiles = [_calibration_tile(image) for image in calibration_images]
        for part in parts:
            if part.quantised:
                quantised = _quantised(part.model, part.quantised, tiles)
                written += _save(folder / f"{part.name}.int8.xml", quantised)
        precisions.insert(0, "int8")
    for part in parts:
        if half_weights:
            _halve_weights(part.model, part.lowered)
        written += _save(folder / f"{part.name}.fp32.xml", part.model)
    for name, content in extra.items():
        (folder / name).write_bytes(content)
        written.append(folder / name)
    complete = {
        "format": MANIFEST_FORMAT,
        "version": doctored.__version__,
        **manifest,
        "precisions": precisions,
        "int8_passed": False,
        "figures": {},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written},
    }
    _write_manifest(folder, complete)
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


def _converted_mantranet(network: "ManTraNet") -> tuple[Any, Any]:
    """The two passes as OpenVINO models with free height and width, in float32."""
    import torch

    from doctored.models.mantranet.passes import AnomalyPass, FeaturePass

    channels = network.settings.adapted_channels
    side = _EXAMPLE_PX + 2 * FIRST_LAYER_PAD_PX
    image = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    adapted = torch.zeros(1, _EXAMPLE_PX, _EXAMPLE_PX, channels)
    statistics = (torch.zeros(channels), torch.ones(channels))
    features = _traced(FeaturePass(network.eval()), image)
    anomalies = _traced(AnomalyPass(network.eval()), (adapted, *statistics))
    features.reshape([1, -1, -1, 3])
    anomalies.reshape({0: [1, -1, -1, channels], 1: [channels], 2: [channels]})
    _input_of_adaptation(features).set_friendly_name(RAW_FEATURES)
    return features, anomalies


def _converted_rcnn(network: "ConstrainedRCNN") -> Any:
    """Both stages as an OpenVINO model with free height and width, in float32."""
    import torch

    from doctored.models.constrained_rcnn.passes import RegionPass

    # Random, so that there are regions; larger than the largest anchor is not needed.
    image = torch.randint(0, 256, (1, _EXAMPLE_PX, _EXAMPLE_PX, 3), dtype=torch.uint8)
    regions = _traced(RegionPass(network.eval()), image)
    regions.reshape([1, -1, -1, 3])
    return regions


def _traced(network: "torch.nn.Module", example: Any) -> Any:
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch wants its tracer to be given up for one that OpenVINO does not read as well.
        warnings.simplefilter("ignore")
        return load_openvino().convert_model(network, example_input=example)


def _input_of_adaptation(features: Any) -> Any:
    (adaptation,) = (
        operation
        for operation in features.get_ordered_ops()
        if operation.get_type_name() == "Convolution" and operation.input_value(1).get_shape()[-1] == 1
    )
    return adaptation.input_value(0).get_node()


def _halve_weights(model: Any, convolutions: Sequence[Any]) -> None:
    """Store the kernels of convolutions of a model in float16; they are widened again on loading.

    Not those of the first layer: an SRM filter whose weights no longer sum to 0 responds to a flat patch.
    """
    ops = load_openvino().opset13
    for convolution in convolutions:
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
