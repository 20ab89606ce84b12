"""Local means over square windows, counting only the pixels inside the image."""

import torch
import torch.nn.functional as F


def box_mean(features: torch.Tensor, window_size: int) -> torch.Tensor:
    """Mean over the window centred on each pixel, restricted to pixels of the image.

    The pixels of a window inside the image form a rectangle, so the mean of its rows' means is exact and a
    w x w window costs 2 * w additions instead of w * w.

    Args:
        features: (B, C, H, W), float; may be smaller than the window.
        window_size: Odd side of the window, in pixels.

    Differs: ManTra-Net's release takes differences of a float32 integral image, which loses up to 0.13 of a
        unit-scale signal at 3072 px; sums over the window itself do not.
    """
    half = window_size // 2
    rows = F.avg_pool2d(features, (1, window_size), stride=1, padding=(0, half), count_include_pad=False)
    return F.avg_pool2d(rows, (window_size, 1), stride=1, padding=(half, 0), count_include_pad=False)
