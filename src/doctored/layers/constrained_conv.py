"""Convolutions whose weights obey a constraint, kept by the layer itself at every forward pass."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.core.errors import ConfigError

_SMALLEST_SAFE_SUM = 1e-2


def project_prediction_error(kernels: torch.Tensor) -> torch.Tensor:
    """Make every 2-D kernel predict its centre from its neighbours and keep the error.

    The neighbours are divided by their sum, so that they sum to +1, and the centre becomes -1. Where their sum
    is too close to zero to divide by, the missing part is shared out among them instead: the constraint holds
    either way, and no weight blows up.

    Shapes:
        kernels: (out, in, K, K), K odd; the result has the same shape, and every K x K slice sums to 0.
    """
    size = kernels.shape[-1]
    off_centre = torch.ones(size, size, dtype=kernels.dtype, device=kernels.device)
    off_centre[size // 2, size // 2] = 0
    neighbours = kernels * off_centre
    total = neighbours.sum(dim=(-2, -1), keepdim=True)
    divisible = total.abs() > _SMALLEST_SAFE_SUM
    divided = neighbours / torch.where(divisible, total, torch.ones_like(total))
    shifted = (neighbours + (1 - total) / (size * size - 1)) * off_centre
    return torch.where(divisible, divided, shifted) - (1 - off_centre)


class ConstrainedConv2d(nn.Module):
    """Filters that predict each pixel from its neighbours and keep the error.

    In every 2-D kernel the centre weight is -1 and the others sum to +1, so a flat patch gives 0 and smooth
    image content is suppressed.

    Args:
        in_channels: Channels of the input image.
        out_channels: Number of residual filters.
        kernel_size: Odd side of the square kernel, in pixels.

    Attributes:
        kernel: (out, in, K, K), the constrained filters that the forward pass uses.

    Raises:
        ConfigError: kernel_size is even, so there is no centre weight.

    Paper: Bayar and Stamm, TIFS 2018 (the constrained convolution).
    Differs: projected at every forward pass, with gradients through the projection; ManTra-Net's release
        projects once after each optimiser step. The start is positive (neighbours near 1 / (K * K - 1)): a
        Glorot start has neighbour sums near zero, which blow up when they are divided by.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or kernel_size < 3:
            raise ConfigError(
                f"kernel_size is {kernel_size}; a constrained kernel needs an odd side of 3 or more"
            )
        self.kernel_size = kernel_size
        neighbours = kernel_size * kernel_size - 1
        self.raw_kernel = nn.Parameter(
            torch.empty(out_channels, in_channels, kernel_size, kernel_size).uniform_(0.5, 1.5) / neighbours
        )

    @property
    def kernel(self) -> torch.Tensor:
        return project_prediction_error(self.raw_kernel)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Signed residuals (B, out_channels, H - K + 1, W - K + 1) of an image (B, in_channels, H, W)."""
        return F.conv2d(image, self.kernel)


class UnitNormConv2d(nn.Module):
    """A 1 x 1 convolution without bias whose filters all have L2 norm 1 over the input channels.

    Attributes:
        kernel: (out, in, 1, 1), the normalised filters that the forward pass uses.

    Differs: normalised at every forward pass; ManTra-Net's release normalises after each optimiser step.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.raw_kernel = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1))
        nn.init.xavier_uniform_(self.raw_kernel)

    @property
    def kernel(self) -> torch.Tensor:
        return F.normalize(self.raw_kernel, dim=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        return F.conv2d(features, self.kernel)
