"""Small scenes that the techniques are tested on."""

import cv2
import numpy as np

from doctored.core.forgery import Source
from doctored.synth.composite import Scene
from doctored.synth.masks import Window

DOMAINS = ("web", "lossless", "chain")
SIDE_PX = 112
WINDOW = Window(5, 9, 101, 105)


def photo(seed, size_hw=(176, 240)):
    """Structure at three scales, and grain: enough for every operator to bite on."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(
            rng.normal(0, 70 / cells**0.5, (cells, cells, 3)), size_hw[::-1], interpolation=cv2.INTER_CUBIC
        )
        for cells in (4, 16, 64)
    ]
    return np.clip(128 + sum(layers) + rng.normal(0, 3, (*size_hw, 3)), 0, 255).astype(np.uint8)


def source(seed, size_hw=(176, 240), objects=()):
    return Source(f"photo{seed}.png", f"{seed:064d}", photo(seed, size_hw), tuple(objects), group=str(seed))


def box(left, top, right, bottom):
    """The outline of a rectangle, its last row and column included."""
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return (np.array(corners, np.int32),)


def scene(domain="web", seed=0, outline=None, canvas=None, donor=None):
    side_hw = (SIDE_PX, SIDE_PX)
    canvas = photo(2 * seed, side_hw) if canvas is None else canvas
    donor = photo(2 * seed + 1, side_hw) if donor is None else donor
    return Scene(canvas, donor, WINDOW, domain, outline)


def reach(composite):
    """The mask grown by its soft edge."""
    side = 2 * composite.feather_px + 1
    return cv2.dilate(composite.gt_mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
