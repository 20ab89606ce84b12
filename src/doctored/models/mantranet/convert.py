"""The released weights of ManTra-Net, and those of its PyTorch port, in the names of this package."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ModelError
from doctored.layers.srm import srm_kernels
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import FIXED_FILTERS, ManTraNetSettings, released_variant
from doctored.models.named_arrays import (
    Arrays,
    State,
    channels_first,
    require_fit,
    require_names,
    require_prediction_errors,
)

_LAYERS_3X3 = (
    *("b1c2", "b2c1", "b2c2", "b3c1", "b3c2", "b3c3"),
    *("b4c1", "b4c2", "b4c3", "b5c1", "b5c2", "transform"),
)
_KERAS_NAMES = {
    "imtfe.b1c1.plain_kernel": "b1c1/regular_kernel",
    "imtfe.b1c1.constrained.raw_kernel": "b1c1/bayar_kernel",
    **{f"imtfe.{layer}.weight": f"{layer}/kernel" for layer in _LAYERS_3X3},
    **{f"imtfe.{layer}.bias": f"{layer}/bias" for layer in _LAYERS_3X3},
    "ladn.adaptation.raw_kernel": "outlierTrans/kernel",
    "ladn.bnorm.running_mean": "bnorm/moving_mean",
    "ladn.bnorm.running_var": "bnorm/moving_variance",
    "ladn.raw_min_std": "glbStd/min_std",
    "ladn.clstm.input_conv.weight": "cLSTM/kernel",
    "ladn.clstm.input_conv.bias": "cLSTM/bias",
    "ladn.clstm.recurrent_conv.weight": "cLSTM/recurrent_kernel",
    "ladn.pred.weight": "pred/kernel",
    "ladn.pred.bias": "pred/bias",
}
_PORT_SRM = "SRMConv2D.weight"
_PORT_EXTRACTOR = {
    "imtfe.b1c1.plain_kernel": "init_conv.weight",
    "imtfe.b1c1.constrained.raw_kernel": "BayarConv2D.weight",
    **{
        f"imtfe.{layer}.{part}": f"middle_and_last_block.{2 * index}.{part}"
        for index, layer in enumerate(_LAYERS_3X3)
        for part in ("weight", "bias")
    },
}
_PORT_LSTM = "conv_lstm.cell_list.0.conv.weight"
_PORT_DETECTOR = {
    "ladn.adaptation.raw_kernel": "adaptation.weight",
    "ladn.raw_min_std": "sigma_F",
    "ladn.clstm.input_conv.weight": _PORT_LSTM,
    "ladn.clstm.input_conv.bias": "conv_lstm.cell_list.0.conv.bias",
    "ladn.clstm.recurrent_conv.weight": _PORT_LSTM,
    "ladn.pred.weight": "end.0.weight",
    "ladn.pred.bias": "end.0.bias",
}


def from_keras(arrays: Arrays, variant: int) -> tuple[ManTraNetSettings, State]:
    """A ManTra-Net from the arrays of a released Keras file.

    Args:
        arrays: By their paths in the file, such as "Featex/b1c2/kernel:0". Only the last two parts count, without
            ":0" and without the number that Keras gives a layer of a second copy ("b1c2_1").
        variant: Which of the five released files, 0 to 4. How many filters the first layer has shows in the
            arrays; the window sizes and the tanh do not.

    Returns:
        The settings, with the widths of the arrays, and the state dict of `ManTraNet` of these settings.

    Raises:
        ModelError: Arrays are missing, unknown or of a wrong shape, or do not obey the constraints of the network.
        ConfigError: The variant does not exist or has another first layer.
    """
    known = set(_KERAS_NAMES.values())
    by_name = {}
    for path, array in arrays.items():
        name = _keras_name(path)
        if name in by_name:
            raise ModelError(f"two arrays are called {name}; the file holds more than one network")
        by_name[name if name in known else path] = array
    require_names(by_name, known, "ManTra-Net's Keras files")
    state = {ours: channels_first(by_name[theirs]) for ours, theirs in _KERAS_NAMES.items()}
    if state["ladn.raw_min_std"].ndim == 4:
        # Not a kernel but one number per channel, (1, 1, 1, C).
        state["ladn.raw_min_std"] = by_name["glbStd/min_std"].transpose(0, 3, 1, 2)
    chosen = released_variant(variant)
    filters = _count(state, "imtfe.b1c1.plain_kernel") + FIXED_FILTERS
    if filters != chosen.first_layer_filters:
        fitting = [n for n in range(5) if released_variant(n).first_layer_filters == filters]
        raise ConfigError(
            f"the first layer has {filters} filters, but that of variant {variant} has "
            f"{chosen.first_layer_filters}; "
            + (f"give one of the variants {fitting}" if fitting else "no released variant has as many")
        )
    return _checked(chosen, state, _KERAS_NAMES)


def from_pytorch_port(arrays: Arrays) -> tuple[ManTraNetSettings, State]:
    """A ManTra-Net, or its extractor alone, from the arrays of the public PyTorch port, which has variant 4.

    Args:
        arrays: By the names of its state dict: that of the whole network or of the extractor.

    Returns:
        The settings, with the widths of the arrays, and the state dict of `ManTraNet` of these settings; only its
        names in "imtfe." if the arrays are those of the extractor.

    Raises:
        ModelError: Arrays are missing, unknown or of a wrong shape, or do not obey the constraints of the network;
            or they are those of the anomaly detector alone.

    The port normalises by the statistics of the picture at hand and stores none. A stored mean and variance of 0
    do the same: BatchNorm's scale matters only where the floor of sigma is reached, and the channels that reach it
    have a variance that is nothing beside BatchNorm's epsilon.
    """
    if arrays.keys() >= set(_PORT_DETECTOR.values()):
        raise ModelError(
            "these are the weights of the anomaly detector without the extractor that it needs; give the file of the "
            "whole network, MantraNetv4.pt"
        )
    whole = any(name.startswith("AnomalyDetector.") for name in arrays)
    prefix = "IMTFE." if any(name.startswith("IMTFE.") for name in arrays) else ""
    names = {ours: prefix + theirs for ours, theirs in _PORT_EXTRACTOR.items()}
    if whole:
        names |= {ours: f"AnomalyDetector.{theirs}" for ours, theirs in _PORT_DETECTOR.items()}
    require_names(arrays, {*names.values(), prefix + _PORT_SRM}, "ManTra-Net's PyTorch port")
    if not _same(arrays[prefix + _PORT_SRM], srm_kernels().numpy()):
        raise ModelError(f"{prefix}{_PORT_SRM} does not hold ManTra-Net's nine SRM filters")
    state = {ours: arrays[theirs] for ours, theirs in names.items()}
    if whole:
        data, hidden = _split_lstm(state)
        state |= {"ladn.clstm.input_conv.weight": data, "ladn.clstm.recurrent_conv.weight": hidden}
        for name in ("running_mean", "running_var"):
            state[f"ladn.bnorm.{name}"] = np.zeros(_count(state, "ladn.adaptation.raw_kernel"), np.float32)
            names[f"ladn.bnorm.{name}"] = name
    return _checked(released_variant(4), state, names)


def _keras_name(path: str) -> str:
    *_, layer, array = ("", *path.split("/"))
    return f"{re.sub(r'_[0-9]+$', '', layer)}/{array.removesuffix(':0')}"


def _checked(
    variant: ManTraNetSettings, state: State, names: dict[str, str]
) -> tuple[ManTraNetSettings, State]:
    """Settings of the arrays' widths, and the arrays, complete and within the constraints."""
    settings = _with_widths(variant, state)
    with torch.device("meta"):
        network = ManTraNet(settings)
    state = require_fit(state, names, network)
    bayar = "imtfe.b1c1.constrained.raw_kernel"
    require_prediction_errors(state[bayar], names[bayar])
    if "ladn.pred.weight" in state:
        _require_detector(state, names, settings.hidden_channels)
        state["ladn.bnorm.num_batches_tracked"] = np.zeros((), np.int64)
    return settings, state


def _with_widths(variant: ManTraNetSettings, state: State) -> ManTraNetSettings:
    w1, w2, w3, w4, w5 = (
        _count(state, f"imtfe.{layer}.weight") for layer in ("b1c2", "b2c2", "b3c3", "b4c3", "b5c2")
    )
    settings = replace(
        variant,
        first_layer_filters=_count(state, "imtfe.b1c1.plain_kernel") + FIXED_FILTERS,
        widths=(w1, w2, w3, w4, w5),
        feature_channels=_count(state, "imtfe.transform.weight"),
    )
    if "ladn.pred.weight" not in state:
        return settings
    return replace(
        settings,
        adapted_channels=_count(state, "ladn.adaptation.raw_kernel"),
        hidden_channels=max(1, _count(state, "ladn.clstm.recurrent_conv.weight") // 4),
    )


def _require_detector(state: State, names: dict[str, str], hidden: int) -> None:
    """What the original's training keeps true; where it is not, gates or axes have changed places."""
    norms = np.linalg.norm(state["ladn.adaptation.raw_kernel"], axis=1)
    if np.abs(norms - 1).max() > 1e-3:
        raise ModelError(
            f"the filters of {names['ladn.adaptation.raw_kernel']} have norms from {norms.min():.3g} to "
            f"{norms.max():.3g}, but ManTra-Net's have norm 1; the file is damaged or its training kept no constraint"
        )
    for name in ("ladn.raw_min_std", "ladn.bnorm.running_var"):
        if state[name].min() < 0:
            raise ModelError(f"{names[name]} holds {state[name].min():.3g}, but it can not be below 0")
    forget = state["ladn.clstm.input_conv.bias"][hidden : 2 * hidden]
    if not 0.5 < forget.mean() < 1.5:
        raise ModelError(
            f"the forget biases in {names['ladn.clstm.input_conv.bias']} have the mean {forget.mean():.3g}, but "
            "ManTra-Net's are near 1; the gates are in another order or the file is of another network"
        )


def _split_lstm(state: State) -> list[NDArray[Any]]:
    """The port convolves data and hidden state together: input channels of the one, then of the other."""
    kernel = state["ladn.clstm.input_conv.weight"]
    channels = _count(state, "ladn.adaptation.raw_kernel")
    if kernel.ndim != 4 or not channels < kernel.shape[1]:
        raise ModelError(
            f"the ConvLSTM's kernel is {kernel.shape}, but it takes {channels} channels and its own state; the file is "
            "damaged or of another network"
        )
    return np.split(kernel, [channels], axis=1)


def _count(state: State, name: str) -> int:
    """Output channels of a layer, the first axis of its kernel."""
    if not state[name].size:
        raise ModelError(f"the array for {name} is empty; the file is damaged")
    return len(state[name]) if state[name].ndim else 1


def _same(array: NDArray[Any], constant: NDArray[Any]) -> bool:
    return array.shape == constant.shape and bool(np.allclose(array, constant, rtol=0, atol=1e-5))
