"""The layers that both stages share and that pre-training trains."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.layers.constrained_conv import ConstrainedConv2d
from doctored.layers.padding import symmetric_pad
from doctored.models.constrained_rcnn.resnet import SlimResNet
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

FRAME_PX = 2
"""What is put around a picture for the 5 x 5 filters."""


class Trunk(nn.Module):
    """The paper's learnable manipulation feature extractor: the constrained convolution and the backbone."""

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.settings = settings
        self.constrained_conv = ConstrainedConv2d(3, 3, kernel_size=5)
        self.constrained_conv.raw_kernel.requires_grad_(not settings.freeze_constrained)
        self.backbone = SlimResNet(settings)

    def residual(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, h, w) prediction errors of `network_pixels`, in float32 under autocast too."""
        with torch.autocast(pixels.device.type, enabled=False):
            padded = (
                F.pad(pixels, (FRAME_PX,) * 4) if self.settings.compat else symmetric_pad(pixels, FRAME_PX)
            )
            return self.constrained_conv(padded)
