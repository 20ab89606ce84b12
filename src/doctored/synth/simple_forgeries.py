"""Forgeries made on the fly, each kind in its simplest honest form.

A sample is made in four stages, in the order in which real forgeries come about: a canvas from the host
photograph, the forgery on it, the saves and resizes that follow, and a crop at any phase of the JPEG grid.
Authentic samples go through the same but for the second stage.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES, Forgery
from doctored.core.imc_classes import IMC_CLASSES, IMC_TYPES
from doctored.synth.histories import Domain, History, draw_history, follow, render
from doctored.synth.imc385 import apply_manipulation
from doctored.synth.masks import (
    Stencil,
    Window,
    bounding_box,
    free_stencil,
    place,
    place_wrapped,
    segment_stencil,
)

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Share of the picture that is manipulated, drawn log-uniformly.
_AREA_RANGE: dict[Domain, tuple[float, float]] = {
    "web": (0.02, 0.15),
    "lossless": (0.15, 0.4),
    "chain": (0.02, 0.25),
}
# Shapes in one piece hang over the border by about as much as is seen of them.
_OVERHANG = 1.7
_COPY_MOVE_MAX_AREA = 0.2  # a larger copy leaves no place for its source
_INPAINT_AREA_RANGE = (0.008, 0.03)  # OpenCV's inpainting takes time by the pixel
_INPAINT_RADIUS_PX = (3, 9)
_PLAIN_COPY_MOVE_SHARE = 0.1
# A patch manipulated in a way that leaves it as it was is authentic: redraw below this mean change in grey levels.
_LEAST_CHANGE = 0.5
_OBJECT_SHAPE_SHARE = 0.45
_OBJECT_LIKE = ("polygon", "holes", "blob", "blob")


@dataclass(frozen=True, eq=False)
class Composite:
    """A canvas with a forgery on it, before anything else happens to it.

    Attributes:
        image: (H, W, 3) uint8.
        gt_mask: (H, W) bool, True where manipulated.
        feather_px: Outside gt_mask and so many pixels around it the canvas is as it was.
        source_mask: (H, W) bool, where a copy-move took its content; None for others.
        recipe: What was done.
    """

    image: Pixels
    gt_mask: Mask
    feather_px: int = 0
    source_mask: Mask | None = None
    recipe: dict[str, Any] = field(default_factory=dict)


def make_forgery(
    host: Pixels,
    donor: Pixels,
    kind: str,
    rng: np.random.Generator,
    size_px: int,
    domain: Domain | None = None,
) -> Forgery:
    """Make one sample of a kind from two photographs.

    Args:
        host: (H, W, 3) uint8, RGB, as decoded from its file, from the file's own origin.
        donor: (H, W, 3) uint8, another photograph; foreign content comes from it.
        kind: One of `TECHNIQUES`.
        rng: Source of every choice; the same state makes the same bytes.
        size_px: Side of the square sample.
        domain: "web", "lossless" or "chain"; None draws one by its share.

    Raises:
        ConfigError: There is no such kind.
        ShapeError: A photograph is too small for a crop of this size.
    """
    if kind not in TECHNIQUES:
        raise ConfigError(f"a forgery is one of {', '.join(TECHNIQUES)}; got {kind!r}")
    history = draw_history(rng, host.shape[:2], donor.shape[:2], size_px, domain)
    composite = compose(render(host, history.host), render(donor, history.donor), kind, history, rng)
    masks = (
        [composite.gt_mask] if composite.source_mask is None else [composite.gt_mask, composite.source_mask]
    )
    image, masks = follow(composite.image, masks, history.after)
    top, left = history.crop_yx
    crop = slice(top, top + size_px), slice(left, left + size_px)
    masks = [mask[crop].copy() for mask in masks]
    return Forgery(
        image=image[crop].copy(),
        gt_mask=masks[0],
        source_mask=masks[1] & ~masks[0] if len(masks) == 2 else None,
        technique=kind,
        recipe={"technique": kind, "history": history.to_recipe(), "forgery": composite.recipe},
    )


def compose(
    canvas: Pixels, donor: Pixels, kind: str, history: History, rng: np.random.Generator
) -> Composite:
    """Forge a canvas; an authentic one comes back as it is.

    Args:
        canvas: (H, W, 3) uint8, the rendered host.
        donor: (H, W, 3) uint8, the rendered donor.
        kind: One of `TECHNIQUES`.
        history: Says which part will be seen, and how large the forgery is to be.
        rng: Source of every choice.
    """
    return _COMPOSERS[kind](canvas, donor, history, rng)


def _leave(canvas: Pixels, donor: Pixels, history: History, rng: np.random.Generator) -> Composite:
    return Composite(canvas, np.zeros(canvas.shape[:2], bool))


def _splice(canvas: Pixels, donor: Pixels, history: History, rng: np.random.Generator) -> Composite:
    """Paste a part of the donor, moved but not resampled any more."""
    flipped = bool(rng.random() < 0.5)
    donor = np.ascontiguousarray(donor[:, ::-1]) if flipped else donor
    stencil = _object_stencil(donor, history, rng)
    if stencil.home_yx is None:
        mask, content = place_wrapped(stencil, canvas.shape[:2], history.window, rng), donor
    else:
        mask, (top, left) = place(stencil, canvas.shape[:2], history.window, rng)
        content = _shifted(donor, top - stencil.home_yx[0], left - stencil.home_yx[1])
    adaptation = 0.0
    if history.domain != "lossless" and rng.random() < 0.5:
        adaptation = float(rng.uniform(0.2, 0.8))
        content = _adapted(content, canvas, mask, adaptation)
    feather_px = _feather(history, rng)
    recipe = {
        "shape": stencil.kind,
        "flipped": flipped,
        "colour_adaptation": adaptation,
        "feather_px": feather_px,
    }
    return Composite(_blend(canvas, content, mask, feather_px), mask, int(np.ceil(feather_px)), recipe=recipe)


def _copy_move(canvas: Pixels, donor: Pixels, history: History, rng: np.random.Generator) -> Composite:
    """Paste a part of the canvas elsewhere on it, mostly turned, scaled, mirrored or retouched."""
    stencil = _object_stencil(canvas, history, rng, _COPY_MOVE_MAX_AREA, _OVERHANG)
    mask, (top, left) = place(stencil, canvas.shape[:2], history.window, rng)
    plain = bool(rng.random() < _PLAIN_COPY_MOVE_SHARE)
    warped = not plain and history.domain != "lossless" and bool(rng.random() < 0.6)
    half_hw = np.array(stencil.shape.shape) / 2
    home = None if stencil.home_yx is None else stencil.home_yx + half_hw
    source = _find_source(mask, np.add((top, left), half_hw), home, warped, may_mirror=not plain, rng=rng)

    interpolation = cv2.INTER_CUBIC if warped else cv2.INTER_NEAREST
    content = _moved(canvas, cv2.invertAffineTransform(source.to_source), interpolation)
    content, retouches = (content, {}) if plain else _retouched(content, mask, rng)
    feather_px = 0.0 if plain else _feather(history, rng)
    recipe = {
        "shape": stencil.kind,
        "angle_degrees": source.angle_degrees,
        "source_scale": source.scale,
        "mirrored": source.mirrored,
        "retouches": retouches,
        "feather_px": feather_px,
    }
    image = _blend(canvas, content, mask, feather_px)
    return Composite(image, mask, int(np.ceil(feather_px)), source.mask & ~mask, recipe)


def _remove(canvas: Pixels, donor: Pixels, history: History, rng: np.random.Generator) -> Composite:
    """Make something vanish: inpainting where small, else cloning with matched colours, or smoothing over."""
    fill = ("telea", "navier_stokes", "clone", "clone", "smooth")[rng.integers(5)]
    area_range = _INPAINT_AREA_RANGE if fill in ("telea", "navier_stokes") else _AREA_RANGE[history.domain]
    stencil = _free(history, rng, area_range)
    mask = place_wrapped(stencil, canvas.shape[:2], history.window, rng)
    recipe: dict[str, Any] = {"shape": stencil.kind, "fill": fill}
    if fill in ("telea", "navier_stokes"):
        radius_px = int(rng.integers(_INPAINT_RADIUS_PX[0], _INPAINT_RADIUS_PX[1] + 1))
        recipe["radius_px"] = radius_px
        method = cv2.INPAINT_TELEA if fill == "telea" else cv2.INPAINT_NS
        rows, columns = bounding_box(mask, 3 * radius_px)
        content = canvas.copy()
        content[rows, columns] = cv2.inpaint(
            np.ascontiguousarray(canvas[rows, columns]),
            mask[rows, columns].astype(np.uint8),
            radius_px,
            method,
        )
    elif fill == "clone":
        shift_y, shift_x = (
            int(rng.choice((-1, 1)) * rng.integers(side // 8, side // 2)) for side in mask.shape
        )
        recipe["shift_yx"] = [shift_y, shift_x]
        content = _levelled(_shifted(canvas, shift_y, shift_x), canvas, mask)
    else:
        content = _levelled(np.full_like(canvas, 128), canvas, mask)
        recipe["noise"] = noise = float(rng.uniform(0, 3))
        content = _rounded(content + rng.normal(0, noise, content.shape))
    feather_px = _feather(history, rng) if fill == "clone" else 0.0
    recipe["feather_px"] = feather_px
    return Composite(_blend(canvas, content, mask, feather_px), mask, int(np.ceil(feather_px)), recipe=recipe)


def _enhance(canvas: Pixels, donor: Pixels, history: History, rng: np.random.Generator) -> Composite:
    """Apply one of the 385 manipulations inside a region: all types alike, then all strengths of the type."""
    stencil = _free(history, rng, _AREA_RANGE[history.domain])
    mask = place_wrapped(stencil, canvas.shape[:2], history.window, rng)
    rows, columns = bounding_box(mask, 24)
    region, inside = canvas[rows, columns], mask[rows, columns]
    for _ in range(20):
        imc_type = IMC_TYPES[rng.integers(len(IMC_TYPES))]
        strengths = [imc_class for imc_class in IMC_CLASSES if imc_class.type == imc_type]
        imc_class = strengths[rng.integers(len(strengths))]
        enhanced = apply_manipulation(region, imc_class, rng)
        if np.abs(enhanced[inside].astype(np.int16) - region[inside]).mean() >= _LEAST_CHANGE:
            break
    content = canvas.copy()
    content[rows, columns] = enhanced
    recipe = {"shape": stencil.kind, "manipulation": imc_class.label}
    return Composite(_blend(canvas, content, mask, 0.0), mask, recipe=recipe)


_COMPOSERS: dict[str, Callable[[Pixels, Pixels, History, np.random.Generator], Composite]] = {
    "authentic": _leave,
    "splicing": _splice,
    "copy_move": _copy_move,
    "removal": _remove,
    "enhancement": _enhance,
}


def _free(history: History, rng: np.random.Generator, area_range: tuple[float, float]) -> Stencil:
    window = history.window
    return free_stencil(rng, _area(rng, area_range) * window.area_px, _side_px(window))


def _object_stencil(
    picture: Pixels, history: History, rng: np.random.Generator, max_area: float = 1.0, excess: float = 1.0
) -> Stencil:
    """A shape to cut out of a picture: something with outlines of its own where there is one, else a free shape.

    Stencils that will hang over the border are made larger by a factor, `excess`.
    """
    low, high = (min(bound, max_area) for bound in _AREA_RANGE[history.domain])
    window = history.window
    if rng.random() < _OBJECT_SHAPE_SHARE:
        segment = segment_stencil(picture, rng, low * window.area_px, _OVERHANG * high * window.area_px)
        if segment is not None and max(segment.shape.shape) <= _side_px(window):
            return segment
    return free_stencil(
        rng, excess * _area(rng, (low, high)) * window.area_px, _side_px(window), _OBJECT_LIKE
    )


def _side_px(window: Window) -> int:
    return min(window.bottom - window.top, window.right - window.left)


def _area(rng: np.random.Generator, area_range: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(area_range))))


def _feather(history: History, rng: np.random.Generator) -> float:
    """Width of the soft edge in pixels: none in the lossless domain and in a third of the others."""
    if history.domain == "lossless" or rng.random() < 1 / 3:
        return 0.0
    return float(rng.uniform(0.5, 3.0))


@dataclass(frozen=True, eq=False)
class _Source:
    """Where a copy-move takes its content from."""

    to_source: NDArray[np.float64]  # 2 x 3, takes x and y on the target to those on the source
    angle_degrees: float
    scale: float
    mirrored: bool
    mask: Mask
    fault: float  # share of the content that is the target itself or lies outside the canvas


def _find_source(
    mask: Mask,
    centre_yx: NDArray[np.float64],
    home_yx: NDArray[np.float64] | None,
    warped: bool,
    may_mirror: bool,
    rng: np.random.Generator,
) -> _Source:
    """The first place without fault, at home if possible, else the best of a dozen."""

    def try_at(source_yx: NDArray[np.float64]) -> _Source:
        angle_degrees = float(rng.uniform(-30, 30)) if warped else 0.0
        scale = float(rng.uniform(0.75, 1.35)) if warped else 1.0
        mirrored = may_mirror and bool(rng.random() < 0.3)
        angle = np.deg2rad(angle_degrees)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turn[:, 0] *= -1 if mirrored else 1
        shift = source_yx[::-1] - turn @ centre_yx[::-1]
        # Without turning and scaling nothing is resampled: pixels move by whole steps.
        to_source = np.column_stack((turn, shift if warped else np.rint(shift)))
        source = _moved(mask.astype(np.uint8), to_source, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) > 0
        target_px = np.count_nonzero(mask)
        outside = max(0.0, 1 - np.count_nonzero(source) / (target_px * scale**2))
        fault = outside + np.count_nonzero(source & mask) / target_px
        return _Source(to_source, angle_degrees, scale, mirrored, source, fault)

    def anywhere() -> NDArray[np.float64]:
        return rng.uniform(0, mask.shape)

    best = try_at(anywhere() if home_yx is None else home_yx)
    for _ in range(11):
        if best.fault < 0.1:
            break
        best = min(best, try_at(anywhere()), key=lambda source: source.fault)
    return best


def _moved(
    picture: Pixels, matrix: NDArray[np.float64], interpolation: int, border: int = cv2.BORDER_REFLECT_101
) -> Pixels:
    """A picture moved on its canvas by a 2 x 3 matrix in x and y."""
    size_wh = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size_wh, flags=interpolation, borderMode=border)


def _shifted(picture: Pixels, down_px: int, right_px: int) -> Pixels:
    """A picture moved by whole pixels, mirrored at its ends."""
    return _moved(picture, np.array([[1, 0, right_px], [0, 1, down_px]], np.float64), cv2.INTER_NEAREST)


def _adapted(content: Pixels, canvas: Pixels, mask: Mask, amount: float) -> Pixels:
    """Content with its mean colour moved part of the way to that of what it covers."""
    difference = canvas[mask].mean(axis=0) - content[mask].mean(axis=0)
    return _rounded(content + np.clip(amount * difference, -60, 60))


def _retouched(content: Pixels, mask: Mask, rng: np.random.Generator) -> tuple[Pixels, dict[str, float]]:
    """Content with its light, its sharpness or its grain changed slightly; at least one of them."""
    names = ("gain", "gamma", "blur_sigma_px", "noise")
    chosen = [name for name in names if rng.random() < 0.4] or [names[rng.integers(len(names))]]
    rows, columns = bounding_box(mask, 8)
    patch: NDArray[np.floating] = content[rows, columns].astype(np.float32)
    retouches: dict[str, float] = {}
    if "gain" in chosen:
        retouches["gain"] = gain = float(rng.uniform(0.8, 1.2))
        patch = patch * gain
    if "gamma" in chosen:
        retouches["gamma"] = gamma = float(np.exp(rng.uniform(-0.25, 0.25)))
        patch = 255 * (np.clip(patch, 0, 255) / 255) ** gamma
    if "blur_sigma_px" in chosen:
        retouches["blur_sigma_px"] = sigma = float(rng.uniform(0.4, 1.2))
        patch = cv2.GaussianBlur(patch, (0, 0), sigma)
    if "noise" in chosen:
        retouches["noise"] = noise = float(rng.uniform(0.8, 4))
        patch = patch + rng.normal(0, noise, patch.shape)
    result = content.copy()
    result[rows, columns] = _rounded(patch)
    return result, retouches


def _levelled(content: Pixels, canvas: Pixels, mask: Mask) -> Pixels:
    """Content whose colours are shifted smoothly so that they meet the canvas around the mask.

    The difference on a ring around the mask is spread inwards by normalised blurs, wider and wider.
    """
    rows, columns = bounding_box(mask, 16)
    inside = mask[rows, columns].astype(np.uint8)
    known = (cv2.dilate(inside, np.ones((9, 9), np.uint8)) - inside).astype(np.float32)
    difference = canvas[rows, columns].astype(np.float32) - content[rows, columns]
    spread, weight = np.zeros_like(difference), np.zeros(inside.shape, np.float32)
    for width_px, trust in ((9, 1.0), (33, 1e-2), (129, 1e-4), (2 * max(inside.shape) + 1, 1e-6)):
        kernel = (width_px, width_px)
        spread += trust * cv2.blur(difference * known[..., None], kernel, borderType=cv2.BORDER_CONSTANT)
        weight += trust * cv2.blur(known, kernel, borderType=cv2.BORDER_CONSTANT)
    result = content.copy()
    # A mask that fills the canvas has no ring; its content stays as it is.
    shift = spread / np.maximum(weight, 1e-12)[..., None]
    result[rows, columns] = _rounded(content[rows, columns] + shift)
    return result


def _blend(canvas: Pixels, content: Pixels, mask: Mask, feather_px: float) -> Pixels:
    """Content inside the mask, the canvas outside, mixed within feather_px of the edge."""
    reach = int(np.ceil(feather_px))
    rows, columns = bounding_box(mask, reach)
    alpha = mask[rows, columns].astype(np.float32)
    if reach:
        # The kernel ends after `reach` pixels, so nothing farther out is touched.
        alpha = cv2.GaussianBlur(
            alpha, (2 * reach + 1, 2 * reach + 1), feather_px / 2, borderType=cv2.BORDER_REPLICATE
        )
    alpha = alpha[..., None]
    result = canvas.copy()
    result[rows, columns] = _rounded(alpha * content[rows, columns] + (1 - alpha) * canvas[rows, columns])
    return result


def _rounded(levels: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
