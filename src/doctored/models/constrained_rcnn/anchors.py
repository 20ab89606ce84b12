"""The boxes that the region proposal network starts from."""

from collections.abc import Sequence

import torch

from doctored.models.constrained_rcnn.settings import FEATURE_STRIDE

RATIOS = (0.5, 1.0, 2.0)
"""Height over width."""


def cell_anchors(scales: Sequence[int], pixel_end: float) -> torch.Tensor:
    """(A, 4) anchors of the first cell, float32: for every ratio all scales.

    They lie around the cell's middle. Their sides are those of a 16 x 16 px box of the ratio, rounded to whole
    pixels, times the scale.
    """
    rows = []
    for ratio in RATIOS:
        width = round((FEATURE_STRIDE**2 / ratio) ** 0.5)
        height = round(width * ratio)
        for scale in scales:
            half = torch.tensor([width, height]) * scale / 2
            centre = FEATURE_STRIDE / 2
            rows.append(torch.cat([centre - half, centre + half - pixel_end]))
    return torch.stack(rows)


def grid_anchors(cell: torch.Tensor, grid_hw: tuple[int, int]) -> torch.Tensor:
    """(grid_h * grid_w * A, 4): the cell's anchors (A, 4) at every cell, row by row, float32, in pixels."""
    rows, columns = (torch.arange(count, device=cell.device) * FEATURE_STRIDE for count in grid_hw)
    top, left = torch.meshgrid(rows, columns, indexing="ij")
    shifts = torch.stack([left, top, left, top], dim=-1).reshape(-1, 1, 4)
    return (shifts + cell).reshape(-1, 4)


def inside_picture(anchors: torch.Tensor, size_hw: tuple[int, int], pixel_end: float) -> torch.Tensor:
    """(N,) bool: which anchors (N, 4) lie in the picture with all their pixels."""
    height, width = size_hw
    left, top, right, bottom = anchors.unbind(dim=-1)
    return (left >= 0) & (top >= 0) & (right <= width - pixel_end) & (bottom <= height - pixel_end)
