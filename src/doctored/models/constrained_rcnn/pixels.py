"""From a picture to what the first layer reads, and the way back from scales."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

BGR_MEAN = (102.9801, 115.9465, 122.7717)
"""What the released code takes off, in 0..255."""


@dataclass(frozen=True)
class Scaling:
    """How the network's copy of a picture relates to it.

    Attributes:
        factor: Pixels of the copy for one of the picture.
        picture_hw: Size of the picture.
        network_hw: Size of the copy.
    """

    factor: float
    picture_hw: tuple[int, int]
    network_hw: tuple[int, int]


def scaling_for(size_hw: tuple[int, int], settings: ConstrainedRCNNSettings) -> Scaling:
    """By how much a picture is resized: to the short side, unless the long side would become too long."""
    if settings.short_side_px is None or settings.long_side_px is None:
        return Scaling(1.0, size_hw, size_hw)
    factor = settings.short_side_px / min(size_hw)
    if round(factor * max(size_hw)) > settings.long_side_px:
        factor = settings.long_side_px / max(size_hw)
    height, width = (max(1, round(factor * side)) for side in size_hw)
    return Scaling(factor, size_hw, (height, width))


def network_pixels(image: torch.Tensor, scaling: Scaling, compat: bool) -> torch.Tensor:
    """Pixels as the constrained convolution reads them.

    Shapes:
        image: (B, 3, H, W), RGB, float32, in [0, 1].
        result: (B, 3, h, w), of `network_hw`: RGB in [-1, 1], or with `compat` BGR in 0..255 less `BGR_MEAN`.
    """
    image = image.float()
    if scaling.network_hw != scaling.picture_hw:
        image = F.interpolate(image, scaling.network_hw, mode="bilinear", align_corners=False)
    if not compat:
        return image * 2 - 1
    return image.flip(1) * 255 - image.new_tensor(BGR_MEAN).view(3, 1, 1)


def network_mask(gt_mask: torch.Tensor, scaling: Scaling) -> torch.Tensor:
    """A mask (H, W), bool, at the size of the network's copy: float32 in [0, 1], between where it was resized."""
    mask = gt_mask.float()
    if scaling.network_hw == scaling.picture_hw:
        return mask
    return F.interpolate(mask[None, None], scaling.network_hw, mode="bilinear", align_corners=False)[0, 0]
