"""Copy-move: a part of the picture is pasted elsewhere in the same picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.synth.composite import AREA_RANGE, Composite, Mask, Pixels, Scene, blend, moved, rounded
from doctored.synth.masks import bounding_box, place

COPY_MOVE_MAX_AREA = 0.2
"""Share of the picture; a larger copy leaves no place for its source."""
_PLAIN_SHARE = 0.1
_FREE_KINDS = ("polygon", "holes", "blob", "blob")


def copy_move(scene: Scene, rng: np.random.Generator) -> Composite:
    """Paste a part of the canvas elsewhere on it, mostly turned, scaled, mirrored or retouched."""
    canvas_hw = scene.canvas.shape[0], scene.canvas.shape[1]
    low, high = (min(bound, COPY_MOVE_MAX_AREA) for bound in AREA_RANGE[scene.domain])
    stencil = scene.stencil(rng, (low, high), _FREE_KINDS)
    mask, (top, left) = place(stencil, canvas_hw, scene.window, rng)
    plain = bool(rng.random() < _PLAIN_SHARE)
    warped = not plain and scene.domain != "lossless" and bool(rng.random() < 0.6)
    half_hw = np.array(stencil.shape.shape) / 2
    home = None if stencil.home_yx is None else stencil.home_yx + half_hw
    source = _find_source(mask, np.add((top, left), half_hw), home, warped, may_mirror=not plain, rng=rng)

    interpolation = cv2.INTER_CUBIC if warped else cv2.INTER_NEAREST
    content = moved(scene.canvas, cv2.invertAffineTransform(source.to_source), canvas_hw, interpolation)
    content, retouches = (content, {}) if plain else _retouched(content, mask, rng)
    feather_px = 0.0 if plain else scene.feather_px(rng)
    choices = {
        "shape": stencil.kind,
        "top_left_yx": [top, left],
        "to_source": source.to_source.tolist(),
        "angle_degrees": source.angle_degrees,
        "source_scale": source.scale,
        "mirrored": source.mirrored,
        "retouches": retouches,
        "feather_px": feather_px,
    }
    image = blend(scene.canvas, content, mask, feather_px)
    return Composite(image, mask, int(np.ceil(feather_px)), source.mask & ~mask, choices)


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
        target = mask.astype(np.uint8)
        source = moved(target, to_source, mask.shape, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) > 0
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
    result[rows, columns] = rounded(patch)
    return result, retouches
