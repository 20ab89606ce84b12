"""The networks on OpenVINO: exported models, on the CPU, without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.predict.bfloat16 import convert_to_bfloat16, deep_convolutions, large_convolutions
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.engine import Precision
from doctored.predict.memory import refused_memory_as_memory_error
from doctored.predict.openvino_runtime import load_openvino, openvino_core
from doctored.predict.regions import TileRegions
from doctored.predict.weights import ExportedModel

FIRST_LAYER_PAD_PX = 2
"""What is mirrored around a tile before an exported model sees it, for the 5 x 5 layer that networks begin with."""

RAW_FEATURES = "raw_features"
"""Name, in the exported feature model, of the trace features before they are normalised."""

_SMALLEST_NORM = 1e-6


def model_files(precision: Precision) -> tuple[str, str]:
    """Names of the feature and the anomaly model; bfloat16 is made from the float32 files on loading.

    The anomaly model has no int8 form: rounded to 256 steps it gave maps of a trained network that had little to do
    with those in float32 (correlation .6), while int8 features alone leave them as they are (.998). In int8 it
    computes in bfloat16 where the processor has instructions for that, else in float32.
    """
    return f"features.{'int8' if precision == 'int8' else 'fp32'}.xml", "anomalies.fp32.xml"


def region_file(precision: Precision) -> str:
    """Name of the model of a Constrained R-CNN; bfloat16 is made from the float32 file on loading."""
    return f"regions.{'int8' if precision == 'int8' else 'fp32'}.xml"


class OpenVINOEngine:
    """A `ManTraNetEngine` on all cores of the CPU.

    Args:
        exported: The model; its files were checked when it was read.
        settings: Its own.
        precision: Which arithmetic; there must be files for it.
        threads: Number of threads; None for one per core.

    Raises:
        ModelError: OpenVINO cannot load the files, or they hold another network than the settings describe.
    """

    def __init__(
        self,
        exported: ExportedModel,
        settings: ManTraNetSettings,
        precision: Precision,
        threads: int | None = None,
    ) -> None:
        self.settings = settings
        self.precision: Precision = precision
        core, options = openvino_core(), _options(threads)
        feature_model, anomaly_model = (
            _read_model(core, exported.folder / name) for name in model_files(precision)
        )
        adapted = settings.adapted_channels
        for port in (feature_model.output(0), anomaly_model.input(0)):
            _check_channels(exported, port.partial_shape[-1], "adapted_channels", adapted)
        if precision == "bf16":
            convert_to_bfloat16(feature_model, large_convolutions(feature_model))
        if precision == "bf16" or (precision == "int8" and "bf16" in fast_arithmetic()):
            convert_to_bfloat16(anomaly_model, large_convolutions(anomaly_model))
        self._features = _Network(core, feature_model, options)
        self._anomalies = _Network(core, anomaly_model, options)
        raw_model = _raw_feature_model(feature_model)
        _check_channels(
            exported, raw_model.output(0).partial_shape[1], "feature_channels", settings.feature_channels
        )
        self._raw_features = _Network(core, raw_model, options)

    def adapted(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        adapted: NDArray[np.float32] = self._features(with_mirrored_frame(image_tile))[0][0]
        return adapted

    def anomaly_logits(
        self, adapted_tile: NDArray[np.float32], mean: NDArray[np.float32], std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._anomalies(adapted_tile[None], mean, std)[0][0]
        return logits

    def trace_features(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        raw = self._raw_features(with_mirrored_frame(image_tile))[0][0].transpose(1, 2, 0)
        norm = np.sqrt(np.einsum("hwc,hwc->hw", raw, raw))
        return np.ascontiguousarray(raw / np.maximum(norm, _SMALLEST_NORM)[..., None])

    def release_memory(self) -> None:
        for network in (self._features, self._anomalies, self._raw_features):
            network.release_memory()


class OpenVINORCNNEngine:
    """A `ConstrainedRCNNEngine` on all cores of the CPU; arguments and errors as of `OpenVINOEngine`."""

    def __init__(
        self,
        exported: ExportedModel,
        settings: ConstrainedRCNNSettings,
        precision: Precision,
        threads: int | None = None,
    ) -> None:
        self.settings = settings
        self.precision: Precision = precision
        self._folder = exported.folder
        core = openvino_core()
        model = _read_model(core, exported.folder / region_file(precision))
        if precision == "bf16":
            convert_to_bfloat16(model, deep_convolutions(model))
        self._regions = _Network(core, model, _options(threads))

    def regions(self, image_tile: NDArray[np.uint8]) -> TileRegions:
        found = TileRegions(*(output.copy() for output in self._regions(with_mirrored_frame(image_tile))))
        if not len(found.rois):
            # There is always a first proposal. OpenVINO gives none, and no error, if it was refused memory on the way.
            raise MemoryError("the engine that runs the network got no memory")
        if found.labels.size and found.labels.max() >= len(self.settings.classes):
            raise _unfit(
                self._folder, "classes", str(len(self.settings.classes)), f"{found.labels.max() + 1} or more"
            )
        return found

    def release_memory(self) -> None:
        self._regions.release_memory()


def _options(threads: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        # Pinned, the first threads of every process would share the first cores.
        "ENABLE_CPU_PINNING": False,
    }
    return options if threads is None else {**options, "INFERENCE_NUM_THREADS": threads}


class _Network:
    """One model, compiled for the tile shape at hand.

    All tiles of a pass have one shape. Compiling for another takes a fraction of a second; keeping both would
    keep the memory of both.
    """

    def __init__(self, core: Any, model: Any, options: dict[str, Any]) -> None:
        self._core, self._model, self._options = core, model, options
        self._shape: tuple[int, ...] | None = None
        self._request: Any = None

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs in order; the next call overwrites them."""
        if inputs[0].shape != self._shape:
            self.release_memory()  # before that of the next comes
            with refused_memory_as_memory_error():
                model = self._model.clone()
                model.reshape({number: list(array.shape) for number, array in enumerate(inputs)})
                self._request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
            self._shape = inputs[0].shape
        with refused_memory_as_memory_error():
            outputs = self._request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)
        return list(outputs.to_tuple())

    def release_memory(self) -> None:
        """Give back the compiled model with all that lies between its layers; the next call compiles it anew."""
        self._request = None
        self._shape = None


def with_mirrored_frame(image_tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) to (1, H + 4, W + 4, 3), as the exported models take it."""
    frame = (FIRST_LAYER_PAD_PX, FIRST_LAYER_PAD_PX)
    return np.pad(image_tile, (frame, frame, (0, 0)), mode="symmetric")[None]


def _read_model(core: Any, path: Path) -> Any:
    try:
        with refused_memory_as_memory_error():
            return core.read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO cannot read {path}; export the model again with this version of doctored"
        ) from error


def _check_channels(exported: ExportedModel, found: Any, setting: str, expected: int) -> None:
    if found.is_static and found.get_length() != expected:
        raise _unfit(exported.folder, setting, str(expected), str(found.get_length()))


def _unfit(folder: Path, setting: str, stated: str, found: str) -> ModelError:
    return ModelError(
        f"the manifest in {folder} does not fit its network ({setting}: {stated} in the one, {found} in the other); "
        "export the model again"
    )


def _raw_feature_model(feature_model: Any) -> Any:
    """The part of the feature model that ends at the raw features, in float32."""
    openvino = load_openvino()
    model = feature_model.clone()
    for operation in model.get_ordered_ops():
        if operation.get_friendly_name() == RAW_FEATURES:
            raw = openvino.opset13.convert(operation.output(0), "f32")
            return openvino.Model([raw.output(0)], model.get_parameters(), RAW_FEATURES)
    raise ModelError("the exported feature model has no output for its features; export the model again")
