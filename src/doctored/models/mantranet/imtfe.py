"""ManTra-Net's first half: the image manipulation trace feature extractor (IMTFE)."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.layers.constrained_conv import ConstrainedConv2d
from doctored.layers.padding import symmetric_pad
from doctored.layers.srm import srm_kernels
from doctored.models.mantranet.settings import FIXED_FILTERS, ManTraNetSettings

# The epsilon floors the squared norm (1e-12), as TensorFlow's l2_normalize does.
_SMALLEST_NORM = 1e-6


class CombinedConv2d(nn.Module):
    """The first layer: plain, SRM and constrained 5 x 5 filters side by side, in this order, without bias.

    Shapes:
        image: (B, 3, H, W), float32, in [-1, 1].
        result: (B, filters, H, W), float32, before the ReLU.

    Runs in float32 under autocast too: in bfloat16 the rounding error of an SRM filter is a sixth of its
    response to one grey level, which is the size of the traces that it looks for.
    """

    srm_kernel: torch.Tensor

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.plain_kernel = nn.Parameter(torch.empty(filters - FIXED_FILTERS, 3, 5, 5))
        nn.init.kaiming_normal_(self.plain_kernel, nonlinearity="relu")
        self.register_buffer("srm_kernel", srm_kernels(), persistent=False)
        self.constrained = ConstrainedConv2d(3, 3, kernel_size=5)

    @property
    def kernel(self) -> torch.Tensor:
        """(filters, 3, 5, 5), the filters that the forward pass uses."""
        return torch.cat([self.plain_kernel, self.srm_kernel, self.constrained.kernel])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return F.conv2d(symmetric_pad(image, 2), self.kernel)


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    # At a padding of one pixel, symmetric padding is the same as repeating the edge.
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="replicate")
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    conv.bias = nn.Parameter(torch.zeros(out_channels))
    return conv


class IMTFE(nn.Module):
    """One unit vector per pixel that tells which manipulations the pixel's neighbourhood has been through.

    Thirteen convolutions without pooling or stride; the receptive field is 29 x 29 px.

    Shapes:
        image: (B, 3, H, W), float32, in [0, 1].
        result: (B, feature_channels, H, W), float32, of norm 1 over the channels.

    Differs: He instead of Glorot start, since a stack of thirteen ReLU layers without normalisation does not
        begin to learn from a Glorot one.
    """

    def __init__(self, settings: ManTraNetSettings) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = settings.widths
        self.b1c1 = CombinedConv2d(settings.first_layer_filters)
        self.b1c2 = _conv3x3(settings.first_layer_filters, w1)
        self.b2c1 = _conv3x3(w1, w2)
        self.b2c2 = _conv3x3(w2, w2)
        self.b3c1 = _conv3x3(w2, w3)
        self.b3c2 = _conv3x3(w3, w3)
        self.b3c3 = _conv3x3(w3, w3)
        self.b4c1 = _conv3x3(w3, w4)
        self.b4c2 = _conv3x3(w4, w4)
        self.b4c3 = _conv3x3(w4, w4)
        self.b5c1 = _conv3x3(w4, w5)
        self.b5c2 = _conv3x3(w5, w5)
        self.transform = _conv3x3(w5, settings.feature_channels)
        self.transform_tanh = settings.transform_tanh

    def residuals(self, image: torch.Tensor) -> torch.Tensor:
        """The first layer's output (B, first_layer_filters, H, W), after the ReLU, in float32."""
        return F.relu(self.b1c1(image * 2 - 1))

    def raw_features(self, residuals: torch.Tensor) -> torch.Tensor:
        """The twelve 3 x 3 layers: residuals to features (B, feature_channels, H, W) of any norm."""
        x = residuals
        for conv in (self.b1c2, self.b2c1, self.b2c2, self.b3c1, self.b3c2, self.b3c3):
            x = F.relu(conv(x), inplace=True)
        for conv in (self.b4c1, self.b4c2, self.b4c3, self.b5c1, self.b5c2):
            x = F.relu(conv(x), inplace=True)
        x = self.transform(x)
        return torch.tanh(x) if self.transform_tanh else x

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.raw_features(self.residuals(image)).float()
        # Multiplied by 1 / norm: forward and backward, a division of so many numbers takes twice as long on a CPU.
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features * (1 / norm.clamp_min(_SMALLEST_NORM))
