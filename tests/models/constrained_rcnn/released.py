"""A Constrained R-CNN's weights as the released checkpoints hold them, by walking through its modules."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.resnet import ConvNorm

Arrays = dict[str, NDArray[np.float32]]


def randomise(network: ConstrainedRCNN, seed: int = 0) -> ConstrainedRCNN:
    """In eval mode; offsets and statistics are random too, not only the kernels."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("norm.weight", "running_var")):
                tensor.uniform_(0.5, 1.5)
            elif "bbox_pred" in name:
                tensor.normal_(0, 1e-4)  # larger ones would move every box out of the picture
            elif name.endswith(("bias", "running_mean", "offset")):
                tensor.normal_(0, 0.1)
            elif name.startswith(("rpn.", "box_head.cls")):
                tensor.normal_(0, 0.01)
    return network.eval()


def released_arrays(network: ConstrainedRCNN) -> Arrays:
    """All variables but the optimiser's."""
    arrays: Arrays = {}
    resnet = "resnet_v1_101"
    arrays["noise/constrained_conv/weights"] = _hwio(network.constrained_conv.kernel)
    arrays["noise/constrained_conv/biases"] = np.zeros(3, np.float32)
    _conv_norm(arrays, f"{resnet}/conv1", network.backbone.conv1)
    for number in (1, 2, 3):
        _block(arrays, f"{resnet}/block{number}", getattr(network.backbone, f"block{number}"))
    _block(arrays, f"{resnet}/block4", network.box_head.block4)
    _layer(arrays, f"{resnet}/rpn_conv/3x3", network.rpn.conv)
    _layer(arrays, f"{resnet}/cbam_rpn_conv1/mlp_1", network.rpn.cbam.mlp_1)
    _layer(arrays, f"{resnet}/cbam_rpn_conv1/mlp_2", network.rpn.cbam.mlp_2)
    _layer(arrays, f"{resnet}/cbam_rpn_conv1/conv_layer", network.rpn.cbam.spatial_conv)
    _layer(arrays, f"{resnet}/rpn_cls_score", network.rpn.cls_score)
    _layer(arrays, f"{resnet}/rpn_bbox_pred", network.rpn.bbox_pred)
    _layer(arrays, f"{resnet}/cls_score", network.box_head.cls_score)
    _layer(arrays, f"{resnet}/bbox_pred", network.box_head.bbox_pred)
    if network.mask_stage is not None:
        head = network.mask_stage.head
        _layer(arrays, "feature_fuse/mask_fuse", network.mask_stage.fusion.conv)
        _block(arrays, "mask_conv/block4", head.block4)
        _layer(arrays, "mask_predict/Conv2d_transpose", head.upsample)
        _layer(arrays, "mask_predict/Conv", head.narrow)
        _layer(arrays, "mask_predict/Conv_1", head.predict)
        for scope, offset in (("Conv/", head.norm.first_offset), ("", head.norm.second_offset)):
            arrays[f"mask_predict/{scope}BatchNorm/beta"] = _vector(offset)
            arrays[f"mask_predict/{scope}BatchNorm/moving_mean"] = np.zeros(64, np.float32)
            arrays[f"mask_predict/{scope}BatchNorm/moving_variance"] = np.ones(64, np.float32)
    return arrays


def imagenet_arrays(network: ConstrainedRCNN) -> Arrays:
    """Those variables that TF-slim's checkpoint for ImageNet has, and its own."""
    arrays = {
        name: array
        for name, array in released_arrays(network).items()
        if name.startswith(("resnet_v1_101/conv1/", "resnet_v1_101/block"))
    }
    arrays["resnet_v1_101/logits/weights"] = np.zeros((1, 1, 32, 1000), np.float32)
    arrays["resnet_v1_101/logits/biases"] = np.zeros(1000, np.float32)
    arrays["resnet_v1_101/mean_rgb"] = np.zeros(3, np.float32)
    arrays["global_step"] = np.zeros((), np.int64)
    return arrays


def training_variables(arrays: Arrays) -> Arrays:
    """What the optimiser of the released training leaves beside the weights."""
    momenta = {
        f"{name}/Momentum": np.full_like(array, 7)
        for name, array in arrays.items()
        if name.endswith(("weights", "biases"))
    }
    return momenta | {
        "Variable": np.float32(1e-3).reshape(()),
        "Fix_Resnet_V1/resnet_v1_101/conv1/weights": np.zeros((7, 7, 3, 64), np.float32),
    }


def _hwio(kernel: torch.Tensor) -> NDArray[np.float32]:
    """(out, in, H, W) to (H, W, in, out); for a transposed convolution (in, out, H, W) to (H, W, out, in)."""
    return np.ascontiguousarray(np.einsum("abhw->hwba", kernel.detach().numpy()))


def _vector(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy().copy()


def _layer(arrays: Arrays, scope: str, layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    linear = isinstance(layer, nn.Linear)
    arrays[f"{scope}/weights"] = _vector(layer.weight.T) if linear else _hwio(layer.weight)
    if layer.bias is not None:
        arrays[f"{scope}/biases"] = _vector(layer.bias)


def _conv_norm(arrays: Arrays, scope: str, layer: ConvNorm) -> None:
    _layer(arrays, scope, layer.conv)
    arrays[f"{scope}/BatchNorm/gamma"] = _vector(layer.norm.weight)
    arrays[f"{scope}/BatchNorm/beta"] = _vector(layer.norm.bias)
    arrays[f"{scope}/BatchNorm/moving_mean"] = _vector(layer.norm.running_mean)
    arrays[f"{scope}/BatchNorm/moving_variance"] = _vector(layer.norm.running_var)


def _block(arrays: Arrays, scope: str, block: nn.Sequential) -> None:
    for number, unit in enumerate(block, start=1):
        inside = f"{scope}/unit_{number}/bottleneck_v1"
        for name, layer in unit.named_children():
            if isinstance(layer, ConvNorm):
                _conv_norm(arrays, f"{inside}/{name}", layer)
