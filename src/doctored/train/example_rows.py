"""Held-out forgeries, to be looked at: the picture, the truth, and what the network says."""

import numpy as np
from numpy.typing import NDArray

SHOWN = 6
"""Rows of a picture of examples."""

_GAP_PX = 4


def example_row(
    picture: NDArray[np.uint8], gt_mask: NDArray[np.bool_], localization_map: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Picture (H, W, 3), truth and map, black to white, side by side with grey gaps."""
    grey = [np.where(gt_mask, 255, 0), np.rint(localization_map * 255)]
    tiles = [picture, *(np.repeat(tile[..., None], 3, axis=2) for tile in grey)]
    framed = [np.pad(tile, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=128) for tile in tiles]
    return np.concatenate(framed, axis=1).astype(np.uint8)
