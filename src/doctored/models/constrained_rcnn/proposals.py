"""From scored anchors to proposals."""

import math

import torch

from doctored.models.constrained_rcnn.boxes import LARGEST_LOG_SCALE, clip, decode, suppress
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

NMS_IOU = 0.7


@torch.no_grad()
def propose(
    logits: torch.Tensor,
    deltas: torch.Tensor,
    anchors: torch.Tensor,
    size_hw: tuple[int, int],
    settings: ConstrainedRCNNSettings,
    training: bool,
) -> torch.Tensor:
    """The best proposals of one picture, by falling score; no gradient passes through them.

    Shapes:
        logits: (N, 2). deltas: (N, 4). anchors: (N, 4).
        result: (P, 4), inside the picture, P at most `proposals_training` or `proposals_test`.
    """
    candidates = settings.candidates_training if training else settings.candidates_test
    # Falls with the probability of the other class; a difference of logits does not saturate.
    scores = logits[:, 1] - logits[:, 0]
    # Not topk, whose count a traced network would fix at that of the example; not stable, which OpenVINO does slowly.
    scores, order = scores.sort(descending=True)
    scores, order = scores[:candidates], order[:candidates]
    limit = math.inf if settings.compat else LARGEST_LOG_SCALE
    boxes = decode(deltas[order], anchors[order], settings.pixel_end, limit)
    boxes = clip(boxes, size_hw, settings.pixel_end)
    kept = suppress(boxes, scores, NMS_IOU, settings.pixel_end)
    return boxes[kept[: settings.proposals_training if training else settings.proposals_test]]
