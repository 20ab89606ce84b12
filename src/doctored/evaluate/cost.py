"""What models cost: parameters, multiply-accumulates, seconds and memory by the size of the picture."""

import math
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctored.core.errors import ConfigError, DoctoredError
from doctored.core.picture import Picture
from doctored.models.catalog import CATALOG
from doctored.predict.detector import EMBEDDED, Detector, load_panel, load_witness
from doctored.predict.memory import peak_memory_mb
from doctored.predict.openvino_engine import FIRST_LAYER_PAD_PX
from doctored.predict.openvino_runtime import openvino_core
from doctored.predict.weights import RUN_FILE, load_run
from doctored.predict.witnesses import Witness

DEFAULT_MEGAPIXELS = (0.1, 0.5, 2.0)
_COUNTED_PX = 256
_RUNS = 2


@dataclass(frozen=True)
class Cost:
    """What one model costs on pictures of one size.

    Attributes:
        model: Its name.
        parameters: Numbers that were learned or fixed, and that a picture meets; 0 for a yardstick.
        macs_per_pixel: Multiply-accumulates of all convolutions and matrix products, by pixel of one of 256 x 256; the
            halos of tiles are not counted. 0 for a yardstick.
        megapixels: Size of the picture.
        seconds_per_mp: The faster of two runs, by megapixel; loading the model does not count.
        peak_memory_mb: Largest resident memory of a process that does only this, all libraries included; None
            where the system does not say.
    """

    model: str
    parameters: int
    macs_per_pixel: float
    megapixels: float
    seconds_per_mp: float
    peak_memory_mb: float | None


def catalogued_models() -> list[str]:
    """Names of all models of the catalogue that come with this installation."""
    return [name for name, entry in CATALOG.items() if entry.is_code_alone or (EMBEDDED / name).is_dir()]


def measure_costs(
    models: Sequence[str],
    megapixels: Sequence[float] = DEFAULT_MEGAPIXELS,
    settings: dict[str, Any] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Cost]:
    """Run every model on a picture of every size, each in a process of its own.

    Args:
        models: Names from the catalogue, or folders of runs or exported models.
        megapixels: Sizes; the pictures are 4:3 and show noise.
        settings: Further arguments of `Detector.from_name`.
        on_progress: Called after each with the numbers done and to do.

    Raises:
        ConfigError: A size is not positive and finite.
        ModelError: There is no such model, or it did not survive a size.
    """
    for size in megapixels:
        if not 0 < size < math.inf:
            raise ConfigError(f"a picture of {size:g} megapixels cannot be; give finite sizes above 0")
    costs = []
    for model in models:
        parameters, macs_per_pixel = count_operations(model)
        for size in megapixels:
            seconds, memory_mb = _in_new_process(model, size, settings or {})
            costs.append(Cost(model, parameters, macs_per_pixel, size, seconds / size, memory_mb))
            if on_progress is not None:
                on_progress(len(costs), len(models) * len(megapixels))
    return costs


def count_operations(model: str) -> tuple[int, float]:
    """Parameters and multiply-accumulates per pixel of a model; both 0 for a yardstick.

    Of an exported model they are those of its float32 graph, in which the weights of equal steps count once but
    their work every time. Of a combination they are the sums over its models.

    Raises:
        ModelError: There is no such model, or it is damaged.
        MissingExtraError: A training run is named and PyTorch is not installed.
    """
    members = []

    def note(name: str) -> Witness:
        members.append(name)
        return load_witness(name)  # checks the files, and says what is wrong with them

    load_panel(model, note)
    counts = [_count_of_one(name) for name in members]
    return sum(parameters for parameters, _ in counts), sum(macs for _, macs in counts)


def _count_of_one(model: str) -> tuple[int, float]:
    entry = CATALOG.get(model)
    if entry is not None and entry.is_code_alone:
        return 0, 0.0
    folder = Path(model) if entry is None else EMBEDDED / model
    if (folder / RUN_FILE).is_file():
        return _count_in_torch(load_run(folder))
    parameters: dict[bytes, int] = {}
    macs = 0.0
    for path in sorted(folder.glob("*.fp32.xml")):
        in_graph, graph_macs = count_in_graph(path)
        parameters |= in_graph
        macs += graph_macs
    return sum(parameters.values()), macs


def count_in_graph(path: Path) -> tuple[dict[bytes, int], float]:
    """Sizes of the parameters of one exported graph, by their content, and its multiply-accumulates per pixel."""
    graph = openvino_core().read_model(path)
    graph.reshape(
        {
            tensor: [
                _COUNTED_PX if length.is_dynamic else length.get_length() for length in tensor.partial_shape
            ]
            for tensor in graph.inputs
        }
    )
    # The first models of both networks see a frame around what counts, the others do not.
    frame_px = 2 * FIRST_LAYER_PAD_PX if graph.input(0).get_element_type().get_type_name() == "u8" else 0
    parameters: dict[bytes, int] = {}
    macs = 0.0
    for operation in graph.get_ops():
        macs += _macs_of(operation) / (_COUNTED_PX - frame_px) ** 2
        parameters |= _parameters_of(operation)
    return parameters, macs


def _macs_of(operation: Any) -> float:
    kind = operation.get_type_name()
    if kind not in ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "MatMul"):
        return 0.0
    # Heads work on as many regions of interest as there are, here on as many as there may be.
    weights, outputs = list(operation.input(1).get_shape()), math.prod(_largest_shape(operation.output(0)))
    if kind == "MatMul":
        return float(outputs * _largest_shape(operation.input(0))[-1])
    if (
        kind == "ConvolutionBackpropData"
    ):  # every input is weighed once for each channel out and place in the window
        return float(math.prod(_largest_shape(operation.input(0))) * math.prod(weights[1:]))
    # Per output: channels in (of a group) times the window.
    return float(outputs * math.prod(weights[1:] if kind == "Convolution" else weights[2:]))


def _largest_shape(port: Any) -> list[int]:
    return [length.get_max_length() for length in port.get_partial_shape()]


def _parameters_of(operation: Any) -> dict[bytes, int]:
    """Sizes of the arrays that an operation multiplies with or adds, by their content."""
    if operation.get_type_name() not in (
        "Convolution",
        "ConvolutionBackpropData",
        "GroupConvolution",
        "MatMul",
        "Add",
        "Maximum",
    ):
        return {}
    constant = operation.input_value(1).get_node()
    if constant.get_type_name() == "Convert":  # stored as half precision
        constant = constant.input_value(0).get_node()
    if constant.get_type_name() != "Constant":
        return {}
    return {np.asarray(constant.data).tobytes(): math.prod(constant.output(0).shape)}


def _count_in_torch(network: Any) -> tuple[int, float]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, 3, _COUNTED_PX, _COUNTED_PX))
    # It counts a multiplication and an addition as two.
    macs_per_pixel = counter.get_total_flops() / 2 / _COUNTED_PX**2
    return sum(parameter.numel() for parameter in network.parameters()), macs_per_pixel


def _in_new_process(model: str, megapixels: float, settings: dict[str, Any]) -> tuple[float, float | None]:
    # Memory that an earlier measurement left behind would be counted again.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_measure, model, megapixels, settings).result()
    except BrokenProcessPool as error:
        raise DoctoredError(
            f"{model} did not survive a picture of {megapixels:g} megapixels, probably for lack of memory; "
            "leave that size out"
        ) from error


def _measure(model: str, megapixels: float, settings: dict[str, Any]) -> tuple[float, float | None]:
    """Seconds of the faster run, and peak memory of this process in millions of bytes."""
    height = max(1, round(math.sqrt(megapixels * 1e6 * 3 / 4)))
    width = max(1, round(megapixels * 1e6 / height))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    detector, picture = Detector.from_name(model, **settings), Picture.from_array(pixels)
    seconds = min(detector.inspect(picture).timing.seconds for _ in range(_RUNS))
    return seconds, peak_memory_mb()
