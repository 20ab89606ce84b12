"""The released weights of Constrained R-CNN, and TF-slim's for ImageNet, in the names of this package."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import torch

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.settings import NETWORKS, ConstrainedRCNNSettings, compat
from doctored.models.named_arrays import (
    Arrays,
    State,
    channels_first,
    require_fit,
    require_names,
    require_prediction_errors,
)

CLASSES_BY_COUNT = {
    2: ("authentic", "manipulated"),
    4: ("authentic", "splicing", "removal", "copy_move"),
}
"""What the released files tell apart: those for COCO, CASIA and COVER, and those for NIST16."""

_CONSTRAINED = "noise/constrained_conv"
_PARTS = {
    "weight": "weights",
    "bias": "biases",
    "norm.weight": "BatchNorm/gamma",
    "norm.bias": "BatchNorm/beta",
    "norm.running_mean": "BatchNorm/moving_mean",
    "norm.running_var": "BatchNorm/moving_variance",
}
_LAYERS = {
    "rpn.conv": "resnet_v1_101/rpn_conv/3x3",
    "rpn.cbam.mlp_1": "resnet_v1_101/cbam_rpn_conv1/mlp_1",
    "rpn.cbam.mlp_2": "resnet_v1_101/cbam_rpn_conv1/mlp_2",
    "rpn.cbam.spatial_conv": "resnet_v1_101/cbam_rpn_conv1/conv_layer",
    "rpn.cls_score": "resnet_v1_101/rpn_cls_score",
    "rpn.bbox_pred": "resnet_v1_101/rpn_bbox_pred",
    "box_head.cls_score": "resnet_v1_101/cls_score",
    "box_head.bbox_pred": "resnet_v1_101/bbox_pred",
    "mask_stage.fusion.conv": "feature_fuse/mask_fuse",
    "mask_stage.head.upsample": "mask_predict/Conv2d_transpose",
    "mask_stage.head.narrow": "mask_predict/Conv",
    "mask_stage.head.predict": "mask_predict/Conv_1",
}
_ARRAYS = {
    "constrained_conv.raw_kernel": f"{_CONSTRAINED}/weights",
    "mask_stage.head.norm.first_offset": "mask_predict/Conv/BatchNorm/beta",
    "mask_stage.head.norm.second_offset": "mask_predict/BatchNorm/beta",
}
_BLOCKS = {
    "backbone.": "resnet_v1_101/",
    "box_head.": "resnet_v1_101/",
    "mask_stage.head.": "mask_conv/",
}
# The original normalises by the RoIs at hand and never updates these.
_UNUSED_STATISTICS = frozenset(
    f"mask_predict/{layer}BatchNorm/{statistic}"
    for layer in ("Conv/", "")
    for statistic in ("moving_mean", "moving_variance")
)
# More than any ResNet has; a unit's number decides how large a network is built.
_MOST_UNITS = 100


def is_training_state(name: str) -> bool:
    """Whether a variable of a TensorFlow checkpoint is none of the network's weights, and need not be read.

    That is the optimiser's momentum, the learning rate, the step, the classifier for ImageNet and its mean colour,
    and what the original uses once to turn ImageNet's weights over.
    """
    parts = name.split("/")
    return (
        parts[-1] in ("Momentum", "mean_rgb", "global_step")
        or name == "Variable"
        or parts[0] == "Fix_Resnet_V1"
        or "logits" in parts
    )


def is_imagenet_resnet(names: Collection[str]) -> bool:
    """Whether a checkpoint with these variables is a ResNet alone, without the parts of Constrained R-CNN."""
    return "resnet_v1_101/conv1/weights" in names and f"{_CONSTRAINED}/weights" not in names


def from_tensorflow(arrays: Arrays) -> tuple[ConstrainedRCNNSettings, State]:
    """A Constrained R-CNN from the variables of a released checkpoint.

    Args:
        arrays: By the names of the variables. Without those of the second stage it is a network of stage 1 alone;
            those of `is_training_state` are ignored.

    Returns:
        The settings, with the classes and widths of the arrays, and the state dict of `ConstrainedRCNN` of these
        settings.

    Raises:
        ModelError: Arrays are missing, unknown or of a wrong shape, or break the constraint; or there are as many
            classes as no released checkpoint has.
    """
    arrays = {name: array for name, array in arrays.items() if not is_training_state(name)}
    mask_stage = any(name.startswith(("mask_", "feature_fuse/")) for name in arrays)
    classes = _width(arrays, "resnet_v1_101/cls_score/weights", otherwise=4)
    if classes not in CLASSES_BY_COUNT:
        raise ModelError(
            f"the checkpoint tells {classes} classes apart; those that have names here are "
            f"{' and '.join(map(str, CLASSES_BY_COUNT))}, as the released ones have"
        )
    settings = _with_widths(compat(CLASSES_BY_COUNT[classes], mask_stage), arrays)
    network = _meta_network(settings)
    sources = {ours: _tensorflow_name(ours) for ours in network.state_dict()}
    expected = {*sources.values(), f"{_CONSTRAINED}/biases"}
    if mask_stage:
        expected |= _UNUSED_STATISTICS
    require_names(arrays, expected, "Constrained R-CNN" if mask_stage else "Constrained R-CNN's first stage")
    state = {ours: channels_first(arrays[theirs]) for ours, theirs in sources.items()}
    state = require_fit(state, sources, network)
    require_prediction_errors(state["constrained_conv.raw_kernel"], f"{_CONSTRAINED}/weights")
    if np.abs(arrays[f"{_CONSTRAINED}/biases"]).max(initial=0) > 1e-6:
        raise ModelError(f"{_CONSTRAINED}/biases are not 0, as the original keeps them; the file is damaged")
    return settings, state


def from_imagenet(arrays: Arrays) -> tuple[ConstrainedRCNNSettings, State]:
    """A start for training from the variables of TF-slim's ResNet for ImageNet.

    Both copies of block 4 come from its own. The first layer's weights are scaled for residuals of pictures in
    [-1, 1], so that they are excited as by a photograph of the same contrast in 0..255.

    Args:
        arrays: By the names of the variables; those of `is_training_state` are ignored.

    Returns:
        The settings of the published network, with the widths of the arrays, and the part of its state dict that
        such a ResNet can give.

    Raises:
        ModelError: Arrays are missing, unknown or of a wrong shape.
    """
    arrays = {name: array for name, array in arrays.items() if not is_training_state(name)}
    settings = _with_widths(NETWORKS["constrained-rcnn"], arrays)
    network = _meta_network(settings)
    sources = {
        ours: _tensorflow_name(ours).replace("mask_conv/", "resnet_v1_101/")
        for ours in network.state_dict()
        if re.match(r"backbone\.|box_head\.block4\.|mask_stage\.head\.block4\.", ours)
    }
    require_names(arrays, set(sources.values()), "TF-slim's ResNet-101")
    state = {ours: channels_first(arrays[theirs]) for ours, theirs in sources.items()}
    state = require_fit(state, sources, network)
    state["backbone.conv1.conv.weight"] *= 255 / 2
    return settings, state


def _tensorflow_name(ours: str) -> str:
    """What the original calls an array of our state dict."""
    if ours in _ARRAYS:
        return _ARRAYS[ours]
    unit = re.fullmatch(r"(.+\.)(block\d)\.(\d+)\.(conv\d|shortcut)\.(conv\.weight|norm\..+)", ours)
    if unit:
        place, block, index, layer, part = unit.groups()
        scope = f"{_BLOCKS[place]}{block}/unit_{int(index) + 1}/bottleneck_v1/{layer}"
        return f"{scope}/{_PARTS[part.removeprefix('conv.')]}"
    if ours.startswith("backbone.conv1."):
        return f"resnet_v1_101/conv1/{_PARTS[ours.removeprefix('backbone.conv1.').removeprefix('conv.')]}"
    layer, part = ours.rsplit(".", 1)
    return f"{_LAYERS[layer]}/{_PARTS[part]}"


def _with_widths(settings: ConstrainedRCNNSettings, arrays: Arrays) -> ConstrainedRCNNSettings:
    """Depth and widths as the arrays have them; where one is missing, as published, so that it can be named."""
    u1, u2, u3, u4 = (
        max((_unit(name, f"resnet_v1_101/block{block}/unit_") for name in arrays), default=0) or published
        for block, published in enumerate(settings.units, start=1)
    )
    w1, w2, w3, w4 = (
        # A bottleneck is a quarter as wide.
        max(4, _width(arrays, f"resnet_v1_101/block{block}/unit_1/bottleneck_v1/conv3/weights", published))
        for block, published in enumerate(settings.widths, start=1)
    )
    stem = _width(arrays, "resnet_v1_101/conv1/weights", settings.stem_width)
    return replace(settings, units=(u1, u2, u3, u4), widths=(w1, w2, w3, w4), stem_width=stem)


def _unit(name: str, prefix: str) -> int:
    number = re.match(r"[0-9]{1,3}(?=/)", name.removeprefix(prefix)) if name.startswith(prefix) else None
    return min(int(number[0]), _MOST_UNITS) if number else 0


def _width(arrays: Mapping[str, np.ndarray], name: str, otherwise: int) -> int:
    """Output channels of a layer, the last axis of its weights."""
    return arrays[name].shape[-1] if name in arrays and arrays[name].size and arrays[name].ndim else otherwise


def _meta_network(settings: ConstrainedRCNNSettings) -> ConstrainedRCNN:
    with torch.device("meta"):
        return ConstrainedRCNN(settings)
