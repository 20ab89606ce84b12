"""The head that names manipulations: image manipulation classification (IMC) on the features of any network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from doctored.core.imc_classes import IMC_CLASSES, IMC_LEVELS, ImcClass, level_groups

UNIT_FEATURE_SCALE = 16.0
"""For features of norm 1, without which the softmax could never become sharp."""


class IMCHead(nn.Module):
    """One linear layer from the mean feature of a region to the 385 manipulation classes.

    Averaging features and averaging logits is the same for a linear layer, and the former is cheaper.

    Args:
        feature_channels: Of the network whose features come in.
        classes: Number of classes: 385, and more where manipulations were added.
        feature_scale: What the features are multiplied by.

    Shapes:
        region_features: (N, feature_channels), the mean of the features over each region.
        result: (N, classes) logits in canonical class order.

    Differs: ManTra-Net's release holds no such head, so its form is ours.
    """

    def __init__(
        self, feature_channels: int, classes: int = len(IMC_CLASSES), feature_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_channels, classes)
        self.feature_scale = feature_scale

    def forward(self, region_features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(region_features.device.type, enabled=False):
            return self.linear(region_features.float() * self.feature_scale)


def cell_regions(regions: torch.Tensor, stride: int) -> torch.Tensor:
    """The region that each cell of stride x stride pixels lies in with all its pixels, -1 where there is none.

    Shapes:
        regions: (B, H, W), int64; H and W are multiples of stride.
        result: (B, H / stride, W / stride), int64.
    """
    if stride == 1:
        return regions
    highest = F.max_pool2d(regions.float(), stride)
    lowest = -F.max_pool2d(-regions.float(), stride)
    return torch.where(highest == lowest, highest, -1.0).long()


def pool_regions(features: torch.Tensor, regions: torch.Tensor, region_count: int) -> torch.Tensor:
    """Mean feature of each region of each crop.

    Args:
        features: (B, C, H, W).
        regions: (B, H, W), int64: 0..region_count - 1, or -1 for places that belong to none.
        region_count: R, regions per crop.

    Returns:
        (B * R, C), crop by crop.
    """
    members = F.one_hot(regions + 1, region_count + 1)[..., 1:].to(features.dtype)  # (B, H, W, R)
    with torch.autocast(features.device.type, enabled=False):
        sums = torch.einsum("bchw,bhwr->brc", features, members)
    counts = members.sum(dim=(1, 2)).clamp_min(1).unsqueeze(-1)
    return (sums / counts).flatten(0, 1)


def level_log_probabilities(
    logits: torch.Tensor, classes: Sequence[ImcClass] = IMC_CLASSES
) -> dict[int, torch.Tensor]:
    """Log-probabilities at each level of the class hierarchy: the marginals of the softmax over all classes.

    Args:
        logits: (N, len(classes)).
        classes: The 385, and those added to them.

    Returns:
        For each level of 7, 25, 49, 96, 185 and 385 groups, a tensor (N, level); wider where classes were added.
    """
    fine = F.log_softmax(logits, dim=1)
    levels = {}
    for level in IMC_LEVELS:
        groups = torch.as_tensor(level_groups(level, classes), device=logits.device)
        # A log-sum-exp within each group, shifted by the group's own maximum: shifted by the sample's, a group
        # far below it would round to zero, and a confident mistake could not be learned from.
        peaks = torch.full((len(fine), int(groups.max()) + 1), -torch.inf, device=logits.device)
        peaks = peaks.scatter_reduce(1, groups.expand_as(fine), fine.detach(), "amax")
        sums = torch.zeros_like(peaks).index_add(1, groups, (fine - peaks[:, groups]).exp())
        levels[level] = sums.log() + peaks
    return levels


def imc_loss(
    logits: torch.Tensor, truth: torch.Tensor, classes: Sequence[ImcClass] = IMC_CLASSES
) -> torch.Tensor:
    """Cross-entropy summed over the six levels, a scalar: coarse families are learned from the first step.

    Args:
        logits: (N, len(classes)).
        truth: (N,), int64, class indices.
        classes: The 385, and those added to them.
    """
    losses = []
    for level, log_probabilities in level_log_probabilities(logits, classes).items():
        targets = torch.as_tensor(level_groups(level, classes), device=logits.device)[truth]
        losses.append(F.nll_loss(log_probabilities, targets))
    return torch.stack(losses).sum()
