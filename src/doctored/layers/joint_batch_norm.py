"""Batch normalisation over the joint batch of all processes that train together."""

from typing import Any

import torch
from torch import distributed, nn


class _SumOverAll(torch.autograd.Function):
    """The sum of a tensor over all processes. Each of their losses depends on it, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class JointBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` without scale and shift, whose training statistics are those of all processes' samples.

    So several processes learn what one does from the joint batch. Processes have equally many samples of one size.

    Shapes:
        features: (B, num_features, H, W), float32; the result has the same shape.

    Differs: torch's SyncBatchNorm does this on GPUs only.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor
    momentum: float

    def __init__(self, num_features: int, eps: float, momentum: float) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum, affine=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            return super().forward(features)
        # Two rounds, since the mean of the squares less the square of the mean loses what float32 cannot hold.
        mean = self._over_all(features.mean(dim=(0, 2, 3)))
        deviation = features - mean.view(1, -1, 1, 1)
        variance = self._over_all(deviation.square().mean(dim=(0, 2, 3)))
        self._follow(mean.detach(), variance.detach(), features.numel() // self.num_features)
        return deviation * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)

    def _over_all(self, means: torch.Tensor) -> torch.Tensor:
        """The mean over all processes; gradients flow back to each of them."""
        total: torch.Tensor = _SumOverAll.apply(means)
        return total / distributed.get_world_size()

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, own_count: int) -> None:
        """Move the running statistics, as `nn.BatchNorm2d` does: with the unbiased variance."""
        count = own_count * distributed.get_world_size()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / max(1, count - 1), self.momentum)
        self.num_batches_tracked.add_(1)
