"""Constrained R-CNN with pixels first and regions last: what is exported."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.scaling import Scaling
from doctored.models.constrained_rcnn.trunk import FRAME_PX


class RegionPass(nn.Module):
    """A picture with its mirrored frame, uint8 (1, H + 4, W + 4, 3), to the six tensors of its `Regions`.

    Raises:
        ConfigError: The network has `compat`.
    """

    kernel: torch.Tensor

    def __init__(self, network: ConstrainedRCNN) -> None:
        super().__init__()
        if network.settings.compat or network.settings.short_side_px is not None:
            raise ConfigError(
                "a network with compat, or that resizes pictures, cannot be exported; run it as it is, on PyTorch"
            )
        self.network = network
        self.register_buffer("kernel", network.constrained_conv.kernel.detach())

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        signed = image.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        size_hw = (image.shape[1] - 2 * FRAME_PX, image.shape[2] - 2 * FRAME_PX)
        features = self.network.features_of_residual(F.conv2d(signed, self.kernel))
        regions = self.network.regions(features, Scaling(1.0, size_hw, size_hw))
        return tuple(vars(regions).values())
