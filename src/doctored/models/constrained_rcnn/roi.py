"""Cutting RoIs out of feature maps and masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from doctored.models.constrained_rcnn.settings import FEATURE_STRIDE

ROI_SIZE = 7
MASK_SIZE = 14
_MASK_THRESHOLD = 0.5


def crop_rois(features: torch.Tensor, rois: Sequence[torch.Tensor], compat: bool) -> torch.Tensor:
    """The features under RoIs, one 7 x 7 map each.

    Args:
        features: (B, C, H, W), one cell for 16 px.
        rois: For each of the B pictures its RoIs (R_i, 4), in pixels.
        compat: As the released code.

    Returns:
        (sum of R_i, C, 7, 7), float32, picture by picture.

    Differs: the released code takes one bilinear sample in the middle of each bin, reads pixel 16 k as the middle
        of cell k where it is pixel 16 k + 8, and takes 0 outside the outermost cells' middles. Here RoIAlign, which
        the paper names: half-pixel coordinates and the mean of 2 x 2 samples per bin.
    """
    features = features.float()
    if not compat:
        return roi_align(features, list(rois), ROI_SIZE, 1 / FEATURE_STRIDE, sampling_ratio=2, aligned=True)
    middles = (torch.arange(ROI_SIZE, device=features.device) + 0.5) / ROI_SIZE
    return torch.cat(
        [
            sample_grid(one_picture, boxes / FEATURE_STRIDE, middles)
            for one_picture, boxes in zip(features, rois, strict=True)
        ]
    )


def sample_grid(features: torch.Tensor, boxes: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """Bilinear samples of a map at given fractions of boxes, 0 outside the outermost cells' middles.

    Args:
        features: (C, H, W).
        boxes: (R, 4), in cells; 0 is the middle of the first cell, W - 1 that of the last one.
        fractions: (K,), of a box's width and height.

    Returns:
        (R, C, K, K).
    """
    channels, height, width = features.shape
    start, extent = boxes[:, :2, None], (boxes[:, 2:] - boxes[:, :2])[..., None]
    x, y = (start + extent * fractions).unbind(dim=1)
    inside_x, inside_y = (x >= 0) & (x <= width - 1), (y >= 0) & (y <= height - 1)
    unit_x, unit_y = x * 2 / max(width - 1, 1) - 1, y * 2 / max(height - 1, 1) - 1
    count = len(fractions)
    points = torch.stack(
        [unit_x[:, None].expand(-1, count, -1), unit_y[:, :, None].expand(-1, -1, count)], dim=-1
    )
    # All boxes as one tall grid: repeating the map for each box would repeat its gradient too.
    tall = points.reshape(1, -1, count, 2)
    samples = F.grid_sample(features[None], tall, mode="bilinear", padding_mode="border", align_corners=True)
    samples = samples.view(channels, -1, count, count).transpose(0, 1)
    inside = inside_y[:, :, None] & inside_x[:, None]
    return samples * inside[:, None]


def mask_targets(gt_mask: torch.Tensor, rois: torch.Tensor, compat: bool) -> torch.Tensor:
    """What of each RoI is manipulated, whichever region it belongs to.

    Args:
        gt_mask: (H, W), bool or float in [0, 1], at the scale of the RoIs.
        rois: (R, 4), in pixels.
        compat: As the released code.

    Returns:
        (R, 14, 14), float32, 0 or 1.

    Differs: the released code samples from the middle of the RoI's first pixel to that of its last one, but pastes
        by half-pixel coordinates. Here both are half-pixel, and a cell is the mean of what it covers.
    """
    mask = gt_mask.float()
    if compat:
        corner_to_corner = torch.linspace(0, 1, MASK_SIZE, device=mask.device)
        shares = sample_grid(mask[None], rois, corner_to_corner)[:, 0]
    else:
        shares = roi_align(mask[None, None], [rois], MASK_SIZE, 1.0, sampling_ratio=-1, aligned=True)[:, 0]
    return (shares > _MASK_THRESHOLD).float()
