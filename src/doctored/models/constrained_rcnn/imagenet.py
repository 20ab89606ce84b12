"""A start from torchvision's ImageNet weights."""

from collections.abc import Mapping

import torch

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

_IMAGENET_STD = (0.229, 0.224, 0.225)
_PARTS = {"conv": ("weight",), "norm": ("weight", "bias", "running_mean", "running_var")}


def from_torchvision(
    arrays: Mapping[str, torch.Tensor], settings: ConstrainedRCNNSettings
) -> dict[str, torch.Tensor]:
    """The part of a `ConstrainedRCNN`'s state that a torchvision ResNet of the same depth can give.

    Units correspond one to one, though the strides lie in others of them. The first layer's weights are scaled so
    that a residual excites them as a normalised photograph of the same contrast would. Both copies of block 4 come
    from layer 4; where that is wider, as a ResNet-18's is, they are left out.

    Args:
        arrays: `state_dict()` of `torchvision.models.resnet101`, `resnet50` or `resnet18`.
        settings: Of the network to start.

    Raises:
        ConfigError: An array is missing or of another shape, as with a ResNet of another depth.
    """
    state = _conv_norm(arrays, "conv1", "bn1", "backbone.conv1")
    first = state["backbone.conv1.conv.weight"]
    std = first.new_tensor(_IMAGENET_STD).view(3, 1, 1)
    state["backbone.conv1.conv.weight"] = (
        (first / (255 * std)).flip(1) if settings.compat else first / (2 * std)
    )
    for layer in (1, 2, 3):
        state |= _layer(arrays, layer, settings, f"backbone.block{layer}")
    widest = "layer4.0.conv3.weight" if settings.bottleneck else "layer4.0.conv2.weight"
    if widest in arrays and len(arrays[widest]) == settings.widths[3]:
        state |= _layer(arrays, 4, settings, "box_head.block4")
        if settings.mask_stage:
            state |= _layer(arrays, 4, settings, "mask_stage.head.block4")
    return state


def _layer(
    arrays: Mapping[str, torch.Tensor], layer: int, settings: ConstrainedRCNNSettings, target: str
) -> dict[str, torch.Tensor]:
    count, width = settings.units[layer - 1], settings.widths[layer - 1]
    if f"layer{layer}.{count}.conv1.weight" in arrays:
        raise ConfigError(
            f"layer{layer} has more than the {count} units of block {layer}; give a ResNet of the same depth"
        )
    incoming = settings.stem_width if layer == 1 else settings.widths[layer - 2]
    state: dict[str, torch.Tensor] = {}
    for unit in range(count):
        source, place = f"layer{layer}.{unit}", f"{target}.{unit}"
        for number in (1, 2, 3) if settings.bottleneck else (1, 2):
            state |= _conv_norm(
                arrays, f"{source}.conv{number}", f"{source}.bn{number}", f"{place}.conv{number}"
            )
        if unit == 0 and incoming != width:
            state |= _conv_norm(
                arrays, f"{source}.downsample.0", f"{source}.downsample.1", f"{place}.shortcut"
            )
    last = state[f"{target}.0.conv{3 if settings.bottleneck else 2}.conv.weight"]
    if len(last) != width:
        raise ConfigError(
            f"layer{layer} has {len(last)} channels, expected {width}; give a ResNet of the same widths"
        )
    return state


def _conv_norm(
    arrays: Mapping[str, torch.Tensor], conv: str, norm: str, target: str
) -> dict[str, torch.Tensor]:
    state = {}
    for part, source in (("conv", conv), ("norm", norm)):
        for name in _PARTS[part]:
            if f"{source}.{name}" not in arrays:
                raise ConfigError(
                    f"{source}.{name} is missing; give the state of a torchvision ResNet of the same depth"
                )
            state[f"{target}.{part}.{name}"] = arrays[f"{source}.{name}"]
    return state
