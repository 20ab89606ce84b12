"""ManTra-Net's second half: the local anomaly detection network (LADN)."""

import torch
from torch import nn

from doctored.layers.box_mean import box_mean
from doctored.layers.constrained_conv import UnitNormConv2d
from doctored.layers.convlstm import ConvLSTM2d
from doctored.layers.joint_batch_norm import JointBatchNorm2d
from doctored.models.mantranet.settings import ManTraNetSettings

_SIGMA_FLOOR = 1e-6


class LADN(nn.Module):
    """How much each pixel's features deviate from their surroundings, near and far, and what that means.

    Three steps, which tiled inference runs apart: `adapt` (per pixel), `global_statistics` (over the whole
    picture), `anomaly_logits` (within `anomaly_halo_px`).

    Shapes (C = adapted_channels):
        features: (B, feature_channels, H, W), unit norm over channels.
        adapted: (B, C, H, W), float32.
        global_mean, sigma: (B, C, 1, 1), float32.
        result: localization_logits (B, 1, H, W), float32; positive means manipulated.
    """

    def __init__(self, settings: ManTraNetSettings) -> None:
        super().__init__()
        channels = settings.adapted_channels
        self.window_sizes = settings.window_sizes
        self.adaptation = UnitNormConv2d(settings.feature_channels, channels)
        # Keras counts momentum the other way round: its 0.99 is torch's 0.01.
        self.bnorm = JointBatchNorm2d(channels, eps=1e-3, momentum=0.01)
        self.raw_min_std = nn.Parameter(torch.full((1, channels, 1, 1), 1e-5))
        self.clstm = ConvLSTM2d(channels, settings.hidden_channels, kernel_size=7)
        self.pred = nn.Conv2d(settings.hidden_channels, 1, 7, padding=3)
        nn.init.xavier_uniform_(self.pred.weight)
        self.pred.bias = nn.Parameter(torch.zeros(1))

    @property
    def min_std(self) -> torch.Tensor:
        """(1, C, 1, 1): the learned floor of sigma, never negative.

        The magnitude rather than a clamp: a clamped weight that once went negative would never learn again.
        """
        return self.raw_min_std.abs()

    def adapt(self, features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return self.bnorm(self.adaptation(features.float()))

    def sigma(self, std: torch.Tensor) -> torch.Tensor:
        """The population standard deviation over the picture, floored."""
        return torch.maximum(std, _SIGMA_FLOOR + self.min_std)

    def global_statistics(self, adapted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and floored standard deviation of each channel over the whole of each picture."""
        variance, mean = torch.var_mean(adapted, dim=(2, 3), correction=0, keepdim=True)
        # The root's slope is infinite at 0, where a flat picture sits; the floor takes over long before.
        return mean, self.sigma(variance.clamp_min(_SIGMA_FLOOR**2).sqrt())

    def z_scores(self, adapted: torch.Tensor, global_mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """(B, T, C, H, W): deviations from the window means, small to large, then from the global mean.

        One sigma, the picture's, serves all of them.
        """
        # Deviations of a scaled map are scaled deviations: one multiplication instead of a division for every window.
        scale = 1 / sigma
        return torch.stack(self.z_maps(adapted * scale, global_mean * scale), dim=1)

    def z_maps(self, scaled: torch.Tensor, scaled_mean: torch.Tensor) -> list[torch.Tensor]:
        """The same as T separate maps (B, C, H, W), of a map and a mean that were divided by sigma."""
        means = [box_mean(scaled, size) for size in self.window_sizes] + [scaled_mean]
        return [(mean - scaled).abs() for mean in means]

    def anomaly_logits(
        self, adapted: torch.Tensor, global_mean: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        with torch.autocast(adapted.device.type, enabled=False):
            z_scores = self.z_scores(adapted, global_mean, sigma)
        return self.pred(self.clstm(z_scores)).float()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        adapted = self.adapt(features)
        return self.anomaly_logits(adapted, *self.global_statistics(adapted))
