"""What anchors and proposals should have answered, and which of them are asked."""

from dataclasses import dataclass

import torch

from doctored.models.constrained_rcnn.boxes import encode, iou

RPN_POSITIVE_IOU = 0.7
RPN_NEGATIVE_IOU = 0.3
RPN_POSITIVE_SHARE = 0.5
ROI_FOREGROUND_IOU = 0.5
ROI_FOREGROUND_SHARE = 0.25
DELTA_STDS = (0.1, 0.1, 0.2, 0.2)
"""The box head predicts its deltas in these units."""
_IGNORED_SHARE = 0.5

IGNORED = -1


@dataclass(frozen=True, eq=False)
class AnchorTargets:
    """Attributes:
    labels: (N,) int64: 1 manipulated, 0 authentic, -1 not asked.
    deltas: (N, 4), from each anchor to the true box that it overlaps most; zeros without true boxes.
    """

    labels: torch.Tensor
    deltas: torch.Tensor


def on_ignored(boxes: torch.Tensor, ignored_boxes: torch.Tensor, pixel_end: float) -> torch.Tensor:
    """(N,) bool: which boxes (N, 4) show so much of an ignored region (I, 4) that they are no background.

    That is where they overlap it as no negative anchor may overlap a true box, by 0.3, or have half of themselves in
    it, so that a part of the region is none either.
    """
    sides = torch.minimum(boxes[:, None, 2:], ignored_boxes[:, 2:]) - torch.maximum(
        boxes[:, None, :2], ignored_boxes[:, :2]
    )
    shared = (sides + pixel_end).clamp(min=0).prod(dim=-1)
    own = (boxes[:, 2:] - boxes[:, :2] + pixel_end).prod(dim=-1, keepdim=True)
    inside = shared >= _IGNORED_SHARE * own.clamp(min=1e-6)
    return (inside | (iou(boxes, ignored_boxes, pixel_end) >= RPN_NEGATIVE_IOU)).any(dim=1)


def label_anchors(
    anchors: torch.Tensor,
    true_boxes: torch.Tensor,
    usable: torch.Tensor,
    pixel_end: float,
    ignored: torch.Tensor | None = None,
) -> AnchorTargets:
    """Which anchors are on a manipulated region, before sampling.

    Positive are anchors that overlap a true box by 0.7 or more, and the best usable ones of every true box, ties
    included, however little that is above 0. Of the others, those below 0.3 of every box are negative.

    Args:
        anchors: (N, 4).
        true_boxes: (T, 4); T = 0 for an authentic picture, all of whose usable anchors are negative.
        usable: (N,) bool, the anchors to ask.
        ignored: (N,) bool, as `on_ignored` gives it: anchors that are not negative; None for none.
    """
    labels = torch.full((len(anchors),), IGNORED, device=anchors.device)
    background = usable if ignored is None else usable & ~ignored
    if not len(true_boxes):
        labels[background] = 0
        return AnchorTargets(labels, torch.zeros_like(anchors))
    overlaps = iou(anchors, true_boxes, pixel_end) * usable[:, None]
    best_overlap, best_box = overlaps.max(dim=1)
    best_of_box = overlaps.max(dim=0).values
    labels[background & (best_overlap < RPN_NEGATIVE_IOU)] = 0
    labels[((overlaps == best_of_box) & (overlaps > 0)).any(dim=1)] = 1
    labels[best_overlap >= RPN_POSITIVE_IOU] = 1
    labels[~usable] = IGNORED
    return AnchorTargets(labels, encode(true_boxes[best_box], anchors, pixel_end))


def sample_anchors(labels: torch.Tensor, count: int) -> torch.Tensor:
    """The labels (N,) with all but `count` ignored, drawn at random: half positive at most, the rest negative."""
    positive, negative = (labels == 1).nonzero()[:, 0], (labels == 0).nonzero()[:, 0]
    positive = _draw(positive, min(len(positive), int(count * RPN_POSITIVE_SHARE)))
    negative = _draw(negative, min(len(negative), count - len(positive)))
    sampled = torch.full_like(labels, IGNORED)
    sampled[positive], sampled[negative] = 1, 0
    return sampled


@dataclass(frozen=True, eq=False)
class RoITargets:
    """The RoIs of one picture that the box head is trained on, foreground first.

    Attributes:
        rois: (R, 4).
        labels: (R,) int64, class; 0 is authentic.
        deltas: (R, 4) to the true box, in units of `DELTA_STDS`; zeros for authentic RoIs.
    """

    rois: torch.Tensor
    labels: torch.Tensor
    deltas: torch.Tensor


def sample_rois(
    proposals: torch.Tensor,
    true_boxes: torch.Tensor,
    true_labels: torch.Tensor,
    count: int,
    pixel_end: float,
    ignored: torch.Tensor | None = None,
) -> RoITargets:
    """Exactly `count` RoIs drawn at random: a quarter foreground (overlap 0.5 or more) at most, the rest background.

    Where one kind is missing the other fills its place. Where there are too few, some come several times, so that
    the count is always the same.

    Args:
        proposals: (P, 4), P at least 1.
        true_boxes: (T, 4); T = 0 for an authentic picture.
        true_labels: (T,) int64, from 1.
        ignored: (P,) bool, as `on_ignored` gives it: proposals that are not background, unless there is nothing else
            at all; None for none.
    """
    if len(true_boxes):
        overlap, match = iou(proposals, true_boxes, pixel_end).max(dim=1)
    else:
        overlap, match = proposals.new_zeros(len(proposals)), None
    foreground = (overlap >= ROI_FOREGROUND_IOU).nonzero()[:, 0]
    elsewhere = overlap < ROI_FOREGROUND_IOU
    if ignored is not None and not (elsewhere & ignored).all():
        elsewhere = elsewhere & ~ignored
    background = elsewhere.nonzero()[:, 0]
    share = min(len(foreground), int(count * ROI_FOREGROUND_SHARE))
    wanted = share if len(background) else count
    drawn = torch.cat([_draw(foreground, wanted), _draw(background, count - wanted)])
    rois = proposals[drawn]
    labels = torch.zeros(count, dtype=torch.int64, device=proposals.device)
    deltas = torch.zeros_like(rois)
    if match is not None and wanted:
        matched = match[drawn[:wanted]]
        labels[:wanted] = true_labels[matched]
        exact = encode(true_boxes[matched], rois[:wanted], pixel_end)
        deltas[:wanted] = exact / exact.new_tensor(DELTA_STDS)
    return RoITargets(rois, labels, deltas)


def _draw(indices: torch.Tensor, count: int) -> torch.Tensor:
    """`count` of the indices at random; each once if there are enough."""
    if count > len(indices):
        chosen = torch.randint(len(indices), (count,), device=indices.device)
    else:
        chosen = torch.randperm(len(indices), device=indices.device)[:count]
    return indices[chosen]
