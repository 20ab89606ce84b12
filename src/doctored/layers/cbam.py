"""The convolutional block attention module (CBAM)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from doctored.core.errors import ConfigError


class CBAM(nn.Module):
    """Scales channels and then places of a feature map by how much they matter.

    Args:
        channels: Of the feature map.
        hidden: Width of the perceptron between the pooled channels and their scales.
        variant: "paper", or "released" for what the released Constrained R-CNN does.

    Shapes:
        features: (B, channels, H, W), float; the result has the same shape.

    Raises:
        ConfigError: `variant` is neither.

    Paper: Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018.
    Differs: "released" ends the perceptron in a second ReLU, which keeps the channel scales above 1/2, and
        takes the spatial scales from the features themselves instead of from the channel-refined ones. Both
        variants stack the maximum before the mean.
    """

    def __init__(self, channels: int, hidden: int, variant: Literal["paper", "released"] = "paper") -> None:
        super().__init__()
        if variant not in ("paper", "released"):
            raise ConfigError(f"variant is {variant!r}; give 'paper' or 'released'")
        self.variant = variant
        self.mlp_1 = nn.Linear(channels, hidden)
        self.mlp_2 = nn.Linear(hidden, channels)
        self.spatial_conv = nn.Conv2d(2, 1, 7, padding=3)
        for layer in (self.mlp_1, self.mlp_2, self.spatial_conv):
            nn.init.xavier_uniform_(layer.weight)
            layer.bias = nn.Parameter(torch.zeros(layer.weight.shape[0]))

    def channel_map(self, features: torch.Tensor) -> torch.Tensor:
        """(B, channels, 1, 1), in (0, 1)."""
        attention = self._perceptron(features.amax(dim=(2, 3))) + self._perceptron(features.mean(dim=(2, 3)))
        return torch.sigmoid(attention)[:, :, None, None]

    def spatial_map(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W), in (0, 1)."""
        pooled = torch.cat([features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.spatial_conv(pooled))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        refined = features * self.channel_map(features)
        return refined * self.spatial_map(features if self.variant == "released" else refined)

    def _perceptron(self, pooled: torch.Tensor) -> torch.Tensor:
        scores = self.mlp_2(F.relu(self.mlp_1(pooled)))
        return F.relu(scores) if self.variant == "released" else scores
