"""Symmetric padding: the picture mirrored with its edge pixel repeated (... b a | a b c ...)."""

import numpy as np
import torch


def symmetric_pad(image: torch.Tensor, pad_px: int) -> torch.Tensor:
    """Mirror an image outwards on all four sides, repeating the edge pixel.

    PyTorch's own "reflect" mode does not repeat the edge, and its "replicate" mode repeats nothing else; this
    is NumPy's and TensorFlow's "symmetric", which also works where the image is smaller than the padding.

    Shapes:
        image: (B, C, H, W); the result is (B, C, H + 2 * pad_px, W + 2 * pad_px).
    """
    for axis in (2, 3):
        mirrored = np.pad(np.arange(image.shape[axis]), pad_px, mode="symmetric")
        image = image.index_select(axis, torch.as_tensor(mirrored, device=image.device))
    return image
