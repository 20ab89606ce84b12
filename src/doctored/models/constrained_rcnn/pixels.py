"""From a picture to what the first layer reads."""

import torch
import torch.nn.functional as F

from doctored.models.constrained_rcnn.scaling import Scaling

BGR_MEAN = (102.9801, 115.9465, 122.7717)
"""What the released code takes off, in 0..255."""


def network_pixels(image: torch.Tensor, scaling: Scaling, compat: bool) -> torch.Tensor:
    """Pixels as the constrained convolution reads them.

    Shapes:
        image: (B, 3, H, W), RGB, float32 in [0, 1] or uint8.
        result: (B, 3, h, w), of `network_hw`: RGB in [-1, 1], or with `compat` BGR in 0..255 less `BGR_MEAN`.
    """
    if scaling.network_hw == scaling.picture_hw:
        image = _unit_range(image)
    else:
        # One channel at a time, because a large picture in float32 takes more memory than all else.
        channels = (
            F.interpolate(_unit_range(channel), scaling.network_hw, mode="bilinear", align_corners=False)
            for channel in image.split(1, dim=1)
        )
        image = torch.cat(list(channels), dim=1)
    if not compat:
        return image * 2 - 1
    return image.flip(1) * 255 - image.new_tensor(BGR_MEAN).view(3, 1, 1)


def _unit_range(image: torch.Tensor) -> torch.Tensor:
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()


def network_mask(gt_mask: torch.Tensor, scaling: Scaling) -> torch.Tensor:
    """A mask (H, W), bool, at the size of the network's copy: float32 in [0, 1], between where it was resized."""
    mask = gt_mask.float()
    if scaling.network_hw == scaling.picture_hw:
        return mask
    return F.interpolate(mask[None, None], scaling.network_hw, mode="bilinear", align_corners=False)[0, 0]
