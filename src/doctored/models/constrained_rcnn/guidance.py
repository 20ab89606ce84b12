"""How stage 1 guides stage 2: which boxes get a mask."""

import math

import torch

from doctored.models.constrained_rcnn.boxes import LARGEST_LOG_SCALE, clip, decode, suppress
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.constrained_rcnn.targets import DELTA_STDS

_COMPAT_TRAINING_NMS = 0.7
_TEST_NMS = 0.5


@torch.no_grad()
def surest_regions(
    rois: torch.Tensor,
    logits: torch.Tensor,
    deltas: torch.Tensor,
    size_hw: tuple[int, int],
    settings: ConstrainedRCNNSettings,
    training: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The regions of one picture that the box head is surest of; no gradient passes through them.

    Every RoI stands as a candidate for every technique.

    Args:
        rois: (R, 4), in pixels of the picture.
        logits: (R, C).
        deltas: (R, C, 4), in units of `DELTA_STDS`.
        size_hw: Of the picture.
        settings: Of the network.
        training: Whether these are to train the mask head.

    Returns:
        Boxes (M, 4) inside the picture, scores (M,) and labels (M,), surest first.

    Differs: the released code suppresses nothing at test, so that its masks are near-duplicates (and within each
        class above 0.7 in training). Here a region that overlaps a surer one by more than 0.5 goes, whatever its
        technique, so that every region has one technique.
    """
    scores = logits.softmax(dim=1)[:, 1:]
    techniques = scores.shape[1]
    limit = math.inf if settings.compat else LARGEST_LOG_SCALE
    moves = deltas[:, 1:] * deltas.new_tensor(DELTA_STDS)
    boxes = decode(moves, rois[:, None].expand_as(moves), settings.pixel_end, limit).flatten(0, 1)
    boxes = clip(boxes, size_hw, settings.pixel_end)
    flat_scores = scores.flatten()
    if not settings.compat:
        order = suppress(boxes, flat_scores, _TEST_NMS, settings.pixel_end)
    elif training:
        labels = torch.arange(techniques, device=rois.device).repeat(len(rois))
        order = suppress(boxes, flat_scores, _COMPAT_TRAINING_NMS, settings.pixel_end, labels)
    else:
        order = flat_scores.argsort(descending=True, stable=True)
    order = order[: settings.mask_rois_training if training else settings.mask_rois_test]
    return boxes[order], flat_scores[order], order % techniques + 1
