"""The box head: which technique a RoI shows, and where exactly."""

import torch
from torch import nn

from doctored.models.constrained_rcnn.resnet import residual_block
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings


class BoxHead(nn.Module):
    """Block 4 on each RoI, its mean, and two linear layers.

    Shapes (C classes):
        crops: (R, widths[2], 7, 7).
        logits: (R, C), float32; class 0 is authentic.
        deltas: (R, C, 4), float32, from the RoI for each class, in units of `targets.DELTA_STDS`.
    """

    def __init__(self, settings: ConstrainedRCNNSettings) -> None:
        super().__init__()
        self.classes = len(settings.classes)
        self.block4 = residual_block(settings, 4)
        self.cls_score = nn.Linear(settings.widths[3], self.classes)
        self.bbox_pred = nn.Linear(settings.widths[3], 4 * self.classes)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vector = self.block4(crops).mean(dim=(2, 3))
        return self.cls_score(vector).float(), self.bbox_pred(vector).float().unflatten(1, (self.classes, 4))
