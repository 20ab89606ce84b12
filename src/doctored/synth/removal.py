"""Removal: something vanishes under content made from what surrounds it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from doctored.synth.composite import (
    AREA_RANGE,
    OVERHANG,
    Composite,
    Mask,
    Pixels,
    Scene,
    blend,
    levelled,
    rounded,
    shifted,
)
from doctored.synth.exemplar_fill import exemplar_fill
from doctored.synth.masks import bounding_box, place

INPAINT_RADIUS_PX = (3, 9)
"""Of OpenCV's inpainting while samples are waited for; its time grows with the square of the radius."""
WIDE_INPAINT_RADIUS_PX = (10, 33)
"""Of OpenCV's inpainting where removals are made ahead, as the recipe then asks for."""
# Filling from the border inwards takes time by the pixel.
_SLOW_AREA_RANGES = {
    "telea": (0.008, 0.03),
    "navier_stokes": (0.008, 0.03),
    "exemplar": (0.01, 0.06),
}
_FREE_KINDS = ("lines", "polygon", "holes", "blob")


def remove(scene: Scene, rng: np.random.Generator) -> Composite:
    """Fill a region: pixel by pixel where it is small, else by cloning with matched colours or smoothing over."""
    fill = tuple(_FILLS)[rng.choice(len(_FILLS), p=_SHARES)]
    if scene.wide_inpainting:
        fill = ("telea", "navier_stokes")[rng.integers(2)]
    area_range = _SLOW_AREA_RANGES.get(fill, AREA_RANGE[scene.domain])
    stencil = scene.stencil(rng, area_range, _FREE_KINDS)
    if stencil.shape.sum() > OVERHANG * area_range[1] * scene.window.area_px:
        # An object that was drawn for its look may be too large for this fill.
        stencil = replace(scene, outline=None).stencil(rng, area_range, _FREE_KINDS)
    mask, (top, left) = place(stencil, scene.canvas.shape[:2], scene.window, rng)
    if scene.wide_inpainting:
        radius_px = int(rng.integers(*WIDE_INPAINT_RADIUS_PX, endpoint=True))
        content, choices = _inpainted(scene.canvas, mask, radius_px, _METHODS[fill])
    else:
        content, choices = _FILLS[fill](scene.canvas, mask, rng)
    feather_px = scene.feather_px(rng) if fill in ("clone", "retouch") else 0.0
    choices = {
        "shape": stencil.kind,
        "top_left_yx": [top, left],
        "fill": fill,
        **choices,
        "feather_px": feather_px,
    }
    image = blend(scene.canvas, content, mask, feather_px)
    return Composite(image, mask, int(np.ceil(feather_px)), choices=choices)


_Filled = tuple[Pixels, dict[str, Any]]


_METHODS = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}


def _telea(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    return _inpainted(canvas, mask, int(rng.integers(*INPAINT_RADIUS_PX, endpoint=True)), _METHODS["telea"])


def _navier_stokes(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    radius_px = int(rng.integers(*INPAINT_RADIUS_PX, endpoint=True))
    return _inpainted(canvas, mask, radius_px, _METHODS["navier_stokes"])


def _inpainted(canvas: Pixels, mask: Mask, radius_px: int, method: int) -> _Filled:
    rows, columns = bounding_box(mask, 3 * radius_px)
    content = canvas.copy()
    content[rows, columns] = cv2.inpaint(
        np.ascontiguousarray(canvas[rows, columns]), mask[rows, columns].astype(np.uint8), radius_px, method
    )
    return content, {"radius_px": radius_px}


def _exemplar(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    patch_px = int(rng.choice((7, 9, 11)))
    rows, columns = bounding_box(mask, 48)
    content = canvas.copy()
    content[rows, columns] = exemplar_fill(canvas[rows, columns], mask[rows, columns], patch_px, rng)
    return content, {"patch_px": patch_px}


def _clone(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    """One other place of the canvas, its colours matched all around."""
    shift_y, shift_x = _clone_shift(mask, rng)
    content = shifted(canvas, shift_y, shift_x, mask.shape)
    return levelled(content, canvas, mask), {"shift_yx": [shift_y, shift_x]}


def _retouch(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    """Dabs of a soft brush, each cloned from somewhere else and blurred a little, as with a healing tool."""
    rows, columns = bounding_box(mask, 16)
    box = mask[rows, columns]
    brush_px = int(np.clip(0.35 * np.sqrt(box.sum()), 6, 40))
    blur_px = float(rng.uniform(0.4, 1.5))
    spots_yx = np.argwhere(box)
    dabs = int(np.clip(2.5 * len(spots_yx) / brush_px**2, 3, 24))
    shifts_yx = [_clone_shift(mask, rng) for _ in range(3)]
    clones = [
        shifted(canvas, *shift_yx, mask.shape)[rows, columns].astype(np.float32) for shift_yx in shifts_yx
    ]
    content = clones[0].copy()  # dabs may leave gaps
    for dab, (y, x) in enumerate(spots_yx[rng.integers(len(spots_yx), size=dabs)]):
        alpha = np.zeros(box.shape, np.float32)
        cv2.circle(alpha, (int(x), int(y)), brush_px, 1.0, cv2.FILLED)
        alpha = cv2.GaussianBlur(alpha, (0, 0), brush_px / 4)[..., None]
        content += alpha * (clones[(dab + 1) % 3] - content)
    result = canvas.copy()
    result[rows, columns] = rounded(cv2.GaussianBlur(content, (0, 0), blur_px))
    choices = {
        "brush_px": brush_px,
        "blur_px": blur_px,
        "shifts_yx": [list(shift_yx) for shift_yx in shifts_yx],
    }
    return levelled(result, canvas, mask), choices


def _smooth(canvas: Pixels, mask: Mask, rng: np.random.Generator) -> _Filled:
    """The surrounding colours run into each other, with some grain."""
    content = levelled(np.full_like(canvas, 128), canvas, mask)
    noise = float(rng.uniform(0, 3))
    return rounded(content + rng.normal(0, noise, content.shape)), {"noise": noise}


def _clone_shift(mask: Mask, rng: np.random.Generator) -> tuple[int, int]:
    """A shift whose source overlaps the mask little, if one of a few does."""
    best, least = (0, 0), mask.size + 1
    target = mask.astype(np.uint8)
    for _ in range(6):
        shift_y, shift_x = (
            int(rng.choice((-1, 1)) * rng.integers(side // 10, side // 2)) for side in mask.shape
        )
        overlap = np.count_nonzero(shifted(target, shift_y, shift_x, mask.shape) & target)
        if overlap < least:
            best, least = (shift_y, shift_x), int(overlap)
        if overlap == 0:
            break
    return best


_FILLS: dict[str, Callable[[Pixels, Mask, np.random.Generator], _Filled]] = {
    "telea": _telea,
    "navier_stokes": _navier_stokes,
    "exemplar": _exemplar,
    "clone": _clone,
    "retouch": _retouch,
    "smooth": _smooth,
}
_SHARES = (0.16, 0.16, 0.2, 0.2, 0.2, 0.08)
