"""What the techniques share: the scene they work on, what they leave behind, and how content joins a canvas."""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.forgery import Outline
from doctored.synth.histories import Domain
from doctored.synth.masks import Stencil, Window, bounding_box, free_stencil, outline_stencil

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

AREA_RANGE: dict[Domain, tuple[float, float]] = {
    "web": (0.02, 0.15),
    "lossless": (0.18, 0.42),
    "chain": (0.02, 0.25),
}
"""Share of the picture that is manipulated, drawn log-uniformly."""
OVERHANG = 1.35
"""Shapes are drawn larger by this factor, because a part of them hangs over the border."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What a technique gets to work on.

    Attributes:
        canvas: (H, W, 3) uint8, the host after its own history; never changed in place.
        donor: (h, w, 3) uint8, the donor after its own history.
        window: The part of the canvas that will be seen.
        domain: Decides sizes and edges.
        outline: The object to cut out, in pixels of the picture that it is cut from (the donor for splicing, else
            the canvas); None for a free shape.
        wide_inpainting: Remove by inpainting with a radius that takes seconds.
    """

    canvas: Pixels
    donor: Pixels
    window: Window
    domain: Domain
    outline: Outline | None = None
    wide_inpainting: bool = False

    def stencil(
        self,
        rng: np.random.Generator,
        area_range: tuple[float, float] | None = None,
        kinds: tuple[str, ...] = (),
    ) -> Stencil:
        """The object's shape, or a free one with an area from a range of shares of the window."""
        if self.outline is not None:
            return outline_stencil(self.outline)
        area = OVERHANG * draw_area(rng, area_range or AREA_RANGE[self.domain]) * self.window.area_px
        return free_stencil(rng, area, self.window.side_px, *((kinds,) if kinds else ()))

    def feather_px(self, rng: np.random.Generator) -> float:
        """Width of a soft edge: none in the lossless domain and in a third of the others."""
        if self.domain == "lossless" or rng.random() < 1 / 3:
            return 0.0
        return float(rng.uniform(0.5, 3.0))


@dataclass(frozen=True, eq=False)
class Composite:
    """A canvas with a forgery on it, before anything else happens to it.

    Attributes:
        image: (H, W, 3) uint8.
        gt_mask: (H, W) bool, True where manipulated.
        feather_px: Outside gt_mask and so many pixels around it the canvas is as it was.
        source_mask: (H, W) bool, where a copy-move took its content; None for others.
        choices: What was drawn, in JSON's types.
    """

    image: Pixels
    gt_mask: Mask
    feather_px: int = 0
    source_mask: Mask | None = None
    choices: dict[str, Any] = field(default_factory=dict)


def draw_area(rng: np.random.Generator, area_range: tuple[float, float]) -> float:
    """A share of the picture, log-uniformly."""
    return float(np.exp(rng.uniform(*np.log(area_range))))


def blend(canvas: Pixels, content: Pixels, mask: Mask, feather_px: float) -> Pixels:
    """Content inside the mask, the canvas outside, mixed within feather_px of the edge, rounded up."""
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
    result[rows, columns] = rounded(alpha * content[rows, columns] + (1 - alpha) * canvas[rows, columns])
    return result


def moved(
    picture: Pixels,
    matrix: NDArray[np.float64],
    size_hw: tuple[int, int],
    interpolation: int,
    border: int = cv2.BORDER_REFLECT_101,
) -> Pixels:
    """A picture laid on a canvas of a size by a 2 x 3 matrix in x and y, mirrored at its ends."""
    return cv2.warpAffine(picture, matrix, size_hw[::-1], flags=interpolation, borderMode=border)


def shifted(picture: Pixels, down_px: int, right_px: int, size_hw: tuple[int, int]) -> Pixels:
    """A picture moved by whole pixels onto a canvas of a size, mirrored at its ends."""
    matrix = np.array([[1, 0, right_px], [0, 1, down_px]], np.float64)
    return moved(picture, matrix, size_hw, cv2.INTER_NEAREST)


def levelled(content: Pixels, canvas: Pixels, mask: Mask) -> Pixels:
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
    result[rows, columns] = rounded(content[rows, columns] + shift)
    return result


def rounded(levels: NDArray[np.floating]) -> Pixels:
    """Grey levels as a stored picture has them."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
