"""ResNets in the layout of TF-slim: a block halves the map in its last unit instead of its first."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

# Branches of frozen units start this small: without a norm to tame them, 33 full ones would double the variance
# 33 times.
_FROZEN_BRANCH_START = 0.25


class ConvNorm(nn.Module):
    """A convolution without bias and its BatchNorm.

    A frozen norm is multiplied into the filters at every forward pass, which costs nothing beside running over the
    map once more.

    Shapes:
        features: (B, in_channels, H, W); the result is (B, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, frozen: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.frozen = frozen
        norm: Any = FrozenBatchNorm2d if frozen else nn.BatchNorm2d
        self.norm = norm(out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not self.frozen:
            return self.norm(self.conv(features))
        kernel, offset = self.folded()
        return F.conv2d(features, kernel, offset, self.conv.stride, self.conv.padding)

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Filters and offsets of the one convolution that both are, with the norm's running statistics."""
        norm = self.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut; the 3 x 3 one has the stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, frozen: bool) -> None:
        super().__init__()
        inner = out_channels // 4
        self.conv1 = ConvNorm(in_channels, inner, 1, frozen=frozen)
        self.conv2 = ConvNorm(inner, inner, 3, stride, frozen=frozen)
        self.conv3 = ConvNorm(inner, out_channels, 1, frozen=frozen)
        self.shortcut = _shortcut(in_channels, out_channels, stride, frozen)
        _start_branch(self.conv3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        branch = F.relu(self.conv1(features), inplace=True)
        branch = F.relu(self.conv2(branch), inplace=True)
        return F.relu(self.conv3(branch) + self.shortcut(features), inplace=True)


class BasicUnit(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the first one has the stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, frozen: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, out_channels, 3, stride, frozen=frozen)
        self.conv2 = ConvNorm(out_channels, out_channels, 3, frozen=frozen)
        self.shortcut = _shortcut(in_channels, out_channels, stride, frozen)
        _start_branch(self.conv2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        branch = F.relu(self.conv1(features), inplace=True)
        return F.relu(self.conv2(branch) + self.shortcut(features), inplace=True)


def _shortcut(in_channels: int, out_channels: int, stride: int, frozen: bool) -> nn.Module:
    if in_channels != out_channels:
        return ConvNorm(in_channels, out_channels, 1, stride, frozen=frozen)
    return nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()


def _start_branch(last: ConvNorm) -> None:
    if last.frozen:
        last.norm.weight.fill_(_FROZEN_BRANCH_START)


def residual_block(settings: ConstrainedRCNNSettings, number: int) -> nn.Sequential:
    """Block 1, 2, 3 or 4; the last units of blocks 1 and 2 halve the map.

    Differs: other ResNets, torchvision's among them, halve in the first units of blocks 2, 3 and 4.
    """
    unit = Bottleneck if settings.bottleneck else BasicUnit
    frozen = settings.backbone_norm == "frozen"
    in_channels = settings.stem_width if number == 1 else settings.widths[number - 2]
    out_channels = settings.widths[number - 1]
    count = settings.units[number - 1]
    return nn.Sequential(
        *(
            unit(
                in_channels if index == 0 else out_channels,
                out_channels,
                stride=2 if index == count - 1 and number <= 2 else 1,
                frozen=frozen,
            )
            for index in range(count)
        )
    )


class SlimResNet(nn.Module):
    """The shared part of the network, up to block 3; block 4 works on RoIs and belongs to the heads.

    Shapes:
        residual: (B, 3, H, W), the constrained convolution's output.
        conv_3x: (B, widths[1], ceil(H / 16), ceil(W / 16)), the paper's conv_3x.
        conv_4x: (B, widths[2], ceil(H / 16), ceil(W / 16)), the paper's conv_4x.
    """

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, settings.stem_width, 7, stride=2, frozen=settings.backbone_norm == "frozen")
        self.block1 = residual_block(settings, 1)
        self.block2 = residual_block(settings, 2)
        self.block3 = residual_block(settings, 3)

    def forward(self, residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stem = F.relu(self.conv1(residual), inplace=True)
        conv_2x = self.block1(F.max_pool2d(stem, 3, stride=2, padding=1))
        conv_3x = self.block2(conv_2x)
        return conv_3x, self.block3(conv_3x)
