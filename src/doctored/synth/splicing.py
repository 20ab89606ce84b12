"""Splicing: a part of another photograph is pasted into this one."""

import cv2
import numpy as np

from doctored.synth.composite import Composite, Mask, Pixels, Scene, blend, rounded, shifted
from doctored.synth.masks import place

_FREE_KINDS = ("polygon", "blob", "blob")


def splice(scene: Scene, rng: np.random.Generator) -> Composite:
    """Paste an object, or a free shape, of the donor; moved and mirrored here, scaled when the donor was rendered."""
    canvas_hw = scene.canvas.shape[0], scene.canvas.shape[1]
    stencil = scene.stencil(rng, kinds=_FREE_KINDS)
    home_y, home_x = (
        # Within the donor as long as it fits: content mirrored at the donor's end would give the splice away.
        tuple(
            int(rng.integers(max(1, side - extent + 1)))
            for side, extent in zip(scene.donor.shape[:2], stencil.shape.shape, strict=True)
        )
        if stencil.home_yx is None
        else stencil.home_yx
    )
    donor = scene.donor
    flipped = bool(rng.random() < 0.5)
    if flipped:
        donor, stencil = donor[:, ::-1], stencil.mirrored()
        home_x = donor.shape[1] - home_x - stencil.shape.shape[1]
    mask, (top, left) = place(stencil, canvas_hw, scene.window, rng)
    content = shifted(np.ascontiguousarray(donor), top - home_y, left - home_x, canvas_hw)
    adaptation = 0.0
    if scene.domain != "lossless" and rng.random() < 0.6:
        adaptation = float(rng.uniform(0.2, 0.8))
        content = _adapted(content, scene.canvas, mask, adaptation)
    feather_px = scene.feather_px(rng)
    choices = {
        "shape": stencil.kind,
        "top_left_yx": [top, left],
        "flipped": flipped,
        "colour_adaptation": adaptation,
        "feather_px": feather_px,
    }
    image = blend(scene.canvas, content, mask, feather_px)
    return Composite(image, mask, int(np.ceil(feather_px)), choices=choices)


def _adapted(content: Pixels, canvas: Pixels, mask: Mask, amount: float) -> Pixels:
    """Content with its light moved part of the way to that of its new surroundings.

    Mean and spread of lightness go half as far as asked, the two colour axes all of it: people match a tint before
    they match contrast.
    """
    of_content, of_canvas = (
        cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32) for picture in (content, canvas)
    )
    mean, wanted_mean = of_content[mask].mean(axis=0), of_canvas.mean(axis=(0, 1))
    spread, wanted_spread = of_content[mask].std(axis=0), of_canvas.std(axis=(0, 1))
    gain = np.clip((wanted_spread + 4) / (spread + 4), 0.7, 1.4) ** (0.5 * amount)
    shift = np.clip(np.array([0.5, 1, 1], np.float32) * amount * (wanted_mean - mean), -40, 40)
    adapted = (of_content - mean) * gain + mean + shift
    return cv2.cvtColor(rounded(adapted), cv2.COLOR_LAB2RGB)
