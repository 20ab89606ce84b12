"""Arithmetic of boxes under both conventions.

A box is left, top, right, bottom in pixels. `pixel_end` says what right and bottom mean: 0.0 where they lie just
outside, so that width = right - left, and 1.0 where they name the last pixel inside, so that width = right - left + 1.
"""

import math

import torch
from torchvision.ops import batched_nms, box_iou, nms

LARGEST_LOG_SCALE = math.log(1000 / 16)
"""A box does not grow more than 62 times, however wrong its delta."""


def iou(boxes_a: torch.Tensor, boxes_b: torch.Tensor, pixel_end: float) -> torch.Tensor:
    """(N, M) overlaps in [0, 1] of boxes (N, 4) and (M, 4); 0 for a box without area."""
    return torch.nan_to_num(box_iou(_closed(boxes_a, pixel_end), _closed(boxes_b, pixel_end)), nan=0.0)


def suppress(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    iou_above: float,
    pixel_end: float,
    groups: torch.Tensor | None = None,
) -> torch.Tensor:
    """Which boxes (N, 4) stay, by falling score, when those that overlap a better one by more than `iou_above` go.

    Args:
        groups: (N,), boxes of different groups leave each other alone; None for one group.

    Returns:
        (K,) int64, indices.
    """
    closed = _closed(boxes, pixel_end)
    if groups is None:
        return nms(closed, scores, iou_above)
    return batched_nms(closed, scores, groups, iou_above)


def encode(boxes: torch.Tensor, references: torch.Tensor, pixel_end: float) -> torch.Tensor:
    """(N, 4) deltas dx, dy, dw, dh that move references (N, 4) onto boxes (N, 4)."""
    box_centres, box_sizes = _centres_and_sizes(boxes, pixel_end)
    centres, sizes = _centres_and_sizes(references, pixel_end)
    return torch.cat([(box_centres - centres) / sizes, torch.log(box_sizes / sizes)], dim=-1)


def decode(
    deltas: torch.Tensor, references: torch.Tensor, pixel_end: float, largest_log_scale: float = math.inf
) -> torch.Tensor:
    """(N, 4) boxes that the deltas (N, 4) make of the references (N, 4); the inverse of `encode`.

    With a `pixel_end` of 1 the result's right and bottom come out one pixel too far, as in the released code.
    """
    centres, sizes = _centres_and_sizes(references, pixel_end)
    new_centres = centres + deltas[..., :2] * sizes
    half = torch.exp(deltas[..., 2:].clamp(max=largest_log_scale)) * sizes / 2
    return torch.cat([new_centres - half, new_centres + half], dim=-1)


def clip(boxes: torch.Tensor, size_hw: tuple[int, int], pixel_end: float) -> torch.Tensor:
    """Boxes (N, 4) moved into the picture."""
    height, width = size_hw
    # Limits of their own, because in a traced network sizes are tensors, which torchvision would fix.
    x, y = boxes[..., 0::2].clamp(min=0), boxes[..., 1::2].clamp(min=0)
    x, y = x.clamp(max=width - int(pixel_end)), y.clamp(max=height - int(pixel_end))
    return torch.stack([x, y], dim=-1).flatten(-2)


def _closed(boxes: torch.Tensor, pixel_end: float) -> torch.Tensor:
    return boxes + boxes.new_tensor([0, 0, pixel_end, pixel_end])


def _centres_and_sizes(boxes: torch.Tensor, pixel_end: float) -> tuple[torch.Tensor, torch.Tensor]:
    sizes = boxes[..., 2:] - boxes[..., :2] + pixel_end
    return boxes[..., :2] + sizes / 2, sizes
