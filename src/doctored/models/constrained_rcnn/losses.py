"""The five losses; their plain sum is trained."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from doctored.models.constrained_rcnn.targets import IGNORED

_RPN_BETA = 1 / 9
_ROI_BETA = 1.0


@dataclass(frozen=True, eq=False)
class Losses:
    """Scalars; `mask` is 0 where there is no mask stage or no RoI to train it on."""

    rpn_class: torch.Tensor
    rpn_box: torch.Tensor
    roi_class: torch.Tensor
    roi_box: torch.Tensor
    mask: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        return self.rpn_class + self.rpn_box + self.roi_class + self.roi_box + self.mask


def rpn_losses(
    logits: torch.Tensor, deltas: torch.Tensor, labels: torch.Tensor, target_deltas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one picture: the mean cross-entropy of the sampled anchors, and what their positive ones' boxes are off.

    The second is smooth L1, straight from 1/9 on, summed over positive anchors and divided by all sampled ones.
    Without any sampled anchor both are 0.

    Shapes:
        logits: (N, 2). deltas, target_deltas: (N, 4). labels: (N,), 1, 0, or -1 where not sampled.
    """
    sampled, positive = labels != IGNORED, labels == 1
    count = sampled.sum().clamp(min=1)
    class_loss = F.cross_entropy(logits[sampled], labels[sampled], reduction="sum") / count
    off = F.smooth_l1_loss(deltas[positive], target_deltas[positive], reduction="sum", beta=_RPN_BETA)
    return class_loss, off / count


def roi_losses(
    logits: torch.Tensor, deltas: torch.Tensor, labels: torch.Tensor, target_deltas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean cross-entropy of the RoIs, and what the boxes of their true classes are off.

    The second is smooth L1, straight from 1 on, summed over a foreground RoI's four deltas, divided by all RoIs.

    Shapes:
        logits: (R, C). deltas: (R, C, 4). labels: (R,). target_deltas: (R, 4).
    """
    foreground = labels > 0
    own = deltas[foreground, labels[foreground]]
    off = F.smooth_l1_loss(own, target_deltas[foreground], reduction="sum", beta=_ROI_BETA)
    return F.cross_entropy(logits, labels), off / len(labels)


def mask_loss(
    logits: torch.Tensor, targets: torch.Tensor, ignored: torch.Tensor, compat: bool
) -> torch.Tensor:
    """Mean over all counted pixels of all mask RoIs; 0 if none counts.

    Shapes:
        logits: (M, 2, 14, 14), M at least 1. targets, ignored: (M, 14, 14), 0 or 1; where ignored is 1, pixels do not
            count.

    Differs: the released code trains the sigmoid of the manipulated logit alone, but tests the softmax over both;
        here it is the softmax in both.
    """
    if compat:
        losses = F.binary_cross_entropy_with_logits(logits[:, 1], targets, reduction="none")
    else:
        losses = F.cross_entropy(logits, targets.long(), reduction="none")
    counted = 1 - ignored
    return (losses * counted).sum() / counted.sum().clamp(min=1)
