"""ManTra-Net as two networks with pixels first and channels last: what is exported for tiled inference."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.models.mantranet.mantranet import ManTraNet

_SMALLEST_NORM = 1e-6


class FeaturePass(nn.Module):
    """A tile with its mirrored frame, uint8 (1, H + 4, W + 4, 3), to its adapted map (1, H, W, C)."""

    first_kernel: torch.Tensor
    adaptation_kernel: torch.Tensor
    offset: torch.Tensor

    def __init__(self, network: ManTraNet) -> None:
        super().__init__()
        self.imtfe = network.imtfe
        self.register_buffer("first_kernel", network.imtfe.b1c1.kernel.detach())
        # The batch norm scales and shifts the adaptation, which is linear.
        moving = dict(network.ladn.bnorm.named_buffers())
        scale = (moving["running_var"] + network.ladn.bnorm.eps).rsqrt()
        self.register_buffer(
            "adaptation_kernel", network.ladn.adaptation.kernel.detach() * scale.view(-1, 1, 1, 1)
        )
        self.register_buffer("offset", (-moving["running_mean"] * scale).view(1, -1, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        signed = image.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        raw = self.imtfe.raw_features(F.relu(F.conv2d(signed, self.first_kernel)))
        # Normalising after a linear step is the same as before it, and touches a quarter of the data.
        norm = torch.linalg.vector_norm(raw, dim=1, keepdim=True).clamp_min(_SMALLEST_NORM)
        adapted = F.conv2d(raw, self.adaptation_kernel) / norm + self.offset
        return adapted.permute(0, 2, 3, 1)


class AnomalyPass(nn.Module):
    """Adapted tile (1, H, W, C), mean (C,) and unfloored deviation (C,) of the picture, to logits (1, H, W)."""

    ones: torch.Tensor

    def __init__(self, network: ManTraNet) -> None:
        super().__init__()
        self.ladn = network.ladn
        self.register_buffer("ones", torch.ones(network.settings.adapted_channels, 1, 1, 1))

    def forward(self, adapted: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        scale = 1 / self.ladn.sigma(std.view(1, -1, 1, 1))
        scaled = adapted.permute(0, 3, 1, 2) * scale
        # This changes no value. OpenVINO keeps channels last around a convolution, and would otherwise turn the
        # map over before and after every window; for the same reason the z-scores are not stacked.
        scaled = F.conv2d(scaled, self.ones, groups=len(self.ones))
        z_maps = self.ladn.z_maps(scaled, mean.view(1, -1, 1, 1) * scale)
        logits: torch.Tensor = self.ladn.pred(self.ladn.clstm.last_state(z_maps))
        return logits[:, 0]
