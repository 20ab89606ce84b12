"""Stage 2: the skip structure and the mask head."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.models.constrained_rcnn.resnet import residual_block
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

_UPSAMPLED = 256
_NARROW = 64


class SkipFusion(nn.Module):
    """conv_3x and the attended map of the RPN, made one.

    Shapes:
        conv_3x, attended: (B, widths[1], H, W).
        result: (B, widths[2], H, W).

    Differs: the paper's figure adds the two; the released code and this take their mean and a 1 x 1 convolution.
    """

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.conv = nn.Conv2d(settings.widths[1], settings.widths[2], 1)
        nn.init.normal_(self.conv.weight, std=0.01)
        self.conv.bias = nn.Parameter(torch.zeros(settings.widths[2]))

    def forward(self, conv_3x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(0.5 * conv_3x + 0.5 * attended))


class RoIBatchNorm(nn.Module):
    """Normalises by the statistics of the RoIs at hand, twice, in training and at test; learns an offset each time.

    So a mask depends on the other masks of its picture. The released weights need it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first_offset = nn.Parameter(torch.zeros(channels))
        self.second_offset = nn.Parameter(torch.zeros(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        for offset in (self.first_offset, self.second_offset):
            variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0, keepdim=True)
            features = (features - mean) * (variance + 1e-3).rsqrt() + offset.view(-1, 1, 1)
        return features


class MaskHead(nn.Module):
    """A block 4 of its own on each RoI, enlarged to 14 x 14; one mask for all techniques.

    Shapes:
        crops: (M, widths[2], 7, 7).
        result: (M, 2, 14, 14), float32, logits of authentic and manipulated.

    Differs: GroupNorm instead of two BatchNorms that take the statistics of a picture's RoIs (`RoIBatchNorm`, with
        `compat`), so that the mask of a region does not depend on the other regions.
    """

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.block4 = residual_block(settings, 4)
        self.upsample = nn.ConvTranspose2d(settings.widths[3], _UPSAMPLED, 2, stride=2)
        self.narrow = nn.Conv2d(_UPSAMPLED, _NARROW, 1, bias=False)
        self.norm = RoIBatchNorm(_NARROW) if settings.compat else nn.GroupNorm(8, _NARROW)
        self.predict = nn.Conv2d(_NARROW, 2, 1)
        for layer in (self.upsample, self.narrow, self.predict):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.upsample, self.predict):
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        enlarged = self.upsample(self.block4(crops))
        return self.predict(F.relu(self.norm(self.narrow(enlarged)))).float()


class MaskStage(nn.Module):
    """The two parts of stage 2; RoIs are cut out between them."""

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.fusion = SkipFusion(settings)
        self.head = MaskHead(settings)
