"""Enhancement: a region of the picture goes through one of the 385 manipulations, or an added one."""

import numpy as np

from doctored.synth.composite import Composite, Scene, blend
from doctored.synth.imc385 import MANIPULATIONS, apply_manipulation
from doctored.synth.masks import bounding_box, place

# The operators reach this far, so that the region's border shows the same traces as its middle.
_REACH_PX = 24


def enhance(scene: Scene, rng: np.random.Generator) -> Composite:
    """Apply a manipulation inside a region: all types alike, then all strengths of the type."""
    stencil = scene.stencil(rng)
    mask, (top, left) = place(stencil, scene.canvas.shape[:2], scene.window, rng)
    rows, columns = bounding_box(mask, _REACH_PX)
    imc_class = MANIPULATIONS.draw(rng)
    content = scene.canvas.copy()
    content[rows, columns] = apply_manipulation(scene.canvas[rows, columns], imc_class, rng)
    choices = {"shape": stencil.kind, "top_left_yx": [top, left], "manipulation": imc_class.label}
    return Composite(blend(scene.canvas, content, mask, 0.0), mask, choices=choices)
