"""The attention region proposal network (RPN-A)."""

import torch
import torch.nn.functional as F
from torch import nn

from doctored.layers.cbam import CBAM
from doctored.models.constrained_rcnn.anchors import RATIOS
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings


class AttentionRPN(nn.Module):
    """Says for every anchor whether a manipulated region is near, and where it lies.

    Shapes (A anchors per cell, N = H * W * A, ordered as `grid_anchors` orders them):
        conv_4x: (B, widths[2], H, W).
        attended: (B, widths[1], H, W), what the skip structure of stage 2 takes up too.
        logits: (B, N, 2), float32, authentic and manipulated.
        deltas: (B, N, 4), float32, from the anchors.
    """

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        channels = settings.widths[1]
        self.anchors_per_cell = len(RATIOS) * len(settings.anchor_scales)
        self.conv = nn.Conv2d(settings.widths[2], channels, 3, padding=1)
        # The paper of CBAM divides by 16; the released code halves.
        hidden = max(1, channels // (2 if settings.cbam == "released" else 16))
        self.cbam = CBAM(channels, hidden, settings.cbam)
        self.cls_score = nn.Conv2d(channels, 2 * self.anchors_per_cell, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * self.anchors_per_cell, 1)
        for layer in (self.conv, self.cls_score, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))

    def forward(self, conv_4x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        attended = self.cbam(F.relu(self.conv(conv_4x)))
        # The authentic scores of all anchors come before the manipulated ones; deltas keep to their anchor.
        scores = self.cls_score(attended).unflatten(1, (2, self.anchors_per_cell))
        deltas = self.bbox_pred(attended).unflatten(1, (self.anchors_per_cell, 4))
        logits = scores.permute(0, 3, 4, 2, 1).flatten(1, 3)
        return attended, logits.float(), deltas.permute(0, 3, 4, 1, 2).flatten(1, 3).float()
