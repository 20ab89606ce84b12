"""Shapes of manipulated regions, and where they lie: anywhere alike, also across the border.

A network would learn a preferred place at once, so nothing here favours the middle of the picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.forgery import Outline

# Side of the square in which a shape is drawn before it is scaled to its area.
_BOX_PX = 256
# At least so much of the window is covered, so that no sample is called forged for a handful of pixels,
MIN_VISIBLE_FRACTION = 0.01
# and so much of the stencil is seen, or nobody could tell what it is.
_MIN_SEEN_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Stencil:
    """A shape to cut content out with.

    Attributes:
        shape: (h, w) bool, trimmed to its bounding box.
        kind: How it was made.
        home_yx: Where its upper left corner lies in the picture whose outlines it follows; None for a free shape.
    """

    shape: NDArray[np.bool_]
    kind: str
    home_yx: tuple[int, int] | None = None

    def mirrored(self) -> "Stencil":
        """The same shape, left and right exchanged; its home is in the picture as it was."""
        return Stencil(self.shape[:, ::-1], self.kind, self.home_yx)


@dataclass(frozen=True)
class Window:
    """The part of a canvas that will be seen: rows top..bottom - 1, columns left..right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area_px(self) -> int:
        """Number of pixels inside."""
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def side_px(self) -> int:
        """Length of the shorter side."""
        return min(self.bottom - self.top, self.right - self.left)


def draw_lines(rng: np.random.Generator) -> NDArray[np.uint8]:
    """2 to 6 straight strokes of one width, 3..14 px.

    Paper: none; one of the three kinds of mask that ManTra-Net's authors trained on, with their measures.
    """
    side = 2 * int(rng.integers(64, 128))
    min_length = rng.integers(16, 32)
    width = int(rng.integers(3, 15))
    canvas = np.zeros((_BOX_PX + 16, _BOX_PX + 16), np.uint8)
    strokes = rng.integers(2, 7)
    while strokes:
        start, end = rng.integers(8, side, size=(2, 2))
        if np.hypot(*(end - start)) >= min_length:
            cv2.line(canvas, start.tolist(), end.tolist(), 255, width)
            strokes -= 1
    return canvas


def draw_polygon(rng: np.random.Generator) -> NDArray[np.uint8]:
    """The convex hull of a central square and 3 to 11 random points outside of it.

    Paper: none; one of the three kinds of mask that ManTra-Net's authors trained on, with their measures.
    """
    side, inner = int(rng.integers(64, 128)), int(rng.integers(16, 32))
    offsets: list[NDArray[np.float64]] = []
    wanted = rng.integers(3, 12)
    while len(offsets) < wanted:
        offset = rng.uniform(-side / 2, side / 2, size=2)
        if np.hypot(*offset) > inner / 2:
            offsets.append(offset)
    square = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * inner / 2
    points = np.rint(np.vstack((square, *offsets)) + side / 2).astype(np.int32)
    canvas = np.zeros((side + 1, side + 1), np.uint8)
    return cv2.fillConvexPoly(canvas, cv2.convexHull(points), 255)


def draw_holes(rng: np.random.Generator) -> NDArray[np.uint8]:
    """The union of 3 to 11 discs of one radius, 16..31 px, about centres in a 128 px square.

    Paper: none; one of the three kinds of mask that ManTra-Net's authors trained on, with their measures.
    """
    radius = int(rng.integers(16, 32))
    canvas = np.zeros((128 + 2 * radius, 128 + 2 * radius), np.uint8)
    for centre in rng.integers(0, 128, size=(rng.integers(3, 12), 2)):
        cv2.circle(canvas, (centre + radius).tolist(), radius, 255, cv2.FILLED)
    return canvas


def draw_blob(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Smooth islands: low-pass noise above a threshold, in one piece or in several."""
    cells = int(rng.integers(3, 8))
    noise = cv2.resize(
        rng.standard_normal((cells, cells)), (_BOX_PX // 2, _BOX_PX // 2), interpolation=cv2.INTER_CUBIC
    )
    axis = np.linspace(-1, 1, noise.shape[0])
    # Falls off towards the sides, or the square box would show in the shape.
    noise -= 3 * (axis[:, None] ** 2 + axis[None] ** 2) ** 2
    canvas = np.where(noise > np.quantile(noise, rng.uniform(0.6, 0.85)), 255, 0).astype(np.uint8)
    return _largest_piece(canvas) if rng.random() < 0.7 else canvas


FREE_SHAPES: dict[str, Callable[[np.random.Generator], NDArray[np.uint8]]] = {
    "lines": draw_lines,
    "polygon": draw_polygon,
    "holes": draw_holes,
    "blob": draw_blob,
}


def free_stencil(
    rng: np.random.Generator, area_px: float, max_side_px: int, kinds: Sequence[str] = tuple(FREE_SHAPES)
) -> Stencil:
    """A random shape that follows no picture.

    Args:
        rng: Source of every choice.
        area_px: Its area; smaller where the bounding box would exceed max_side_px.
        max_side_px: Longest side of the bounding box.
        kinds: Keys of `FREE_SHAPES` to choose from, equally likely; repeat one to favour it.
    """
    kind = kinds[int(rng.integers(len(kinds)))]
    drawn = FREE_SHAPES[kind](rng)
    drawn = drawn[bounding_box(drawn)]
    scale = min(np.sqrt(area_px / np.count_nonzero(drawn)), max_side_px / max(drawn.shape))
    size_wh = [max(1, min(max_side_px, round(side * scale))) for side in drawn.shape[::-1]]
    scaled = cv2.resize(drawn, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # A stroke reduced to less than a pixel may stay below one half everywhere.
    shape = scaled >= min(128, int(scaled.max()))
    return Stencil(shape[bounding_box(shape)], kind)


def outline_of(mask: NDArray[np.bool_]) -> Outline:
    """The outline of a mask's pieces, their holes filled."""
    rings, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return tuple(np.asarray(cv2.approxPolyDP(ring, 0.8, True)[:, 0], np.int32) for ring in rings)


def outline_area_px(outline: Outline) -> float:
    """The area of an outline's polygons together."""
    return sum(cv2.contourArea(ring) for ring in outline)


def outline_extent_px(outline: Outline) -> int:
    """The longer side of an outline's bounding box."""
    return int(np.ptp(np.concatenate(outline), axis=0).max()) + 1


def outline_stencil(outline: Outline) -> Stencil:
    """The shape of an object, at home where its outline lies.

    Args:
        outline: Closed polygons in pixels of the picture that the object is cut from.
    """
    points = np.concatenate(outline)
    left, top = points.min(axis=0)
    width, height = points.max(axis=0) - (left, top) + 1
    drawn = np.zeros((height, width), np.uint8)
    cv2.fillPoly(drawn, [ring - (left, top) for ring in outline], 255)
    rows, columns = bounding_box(drawn)
    return Stencil(drawn[rows, columns] > 0, "object", (int(top) + rows.start, int(left) + columns.start))


def place(
    stencil: Stencil, canvas_hw: tuple[int, int], window: Window, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Lay a stencil on a canvas in one piece, anywhere alike.

    It may hang over the window's border, as long as a quarter of it is seen, and `MIN_VISIBLE_FRACTION` of the window,
    or half of the stencil if that is less, is covered.

    Args:
        stencil: Of any size.
        canvas_hw: Height and width of the canvas.
        window: The part of the canvas that counts.
        rng: Source of the place.

    Returns:
        The (H, W) bool mask on the canvas, and the row and column of the stencil's upper left corner, which
        may lie outside.
    """
    height, width = stencil.shape.shape
    area = int(stencil.shape.sum())
    needed = max(
        min(MIN_VISIBLE_FRACTION * window.area_px, area / 2), _MIN_SEEN_SHARE * min(area, window.area_px)
    )
    while True:
        top = int(rng.integers(window.top - height + 1, window.bottom))
        left = int(rng.integers(window.left - width + 1, window.right))
        visible = stencil.shape[
            max(0, window.top - top) : window.bottom - top, max(0, window.left - left) : window.right - left
        ]
        if visible.sum() >= needed:
            break
    mask = np.zeros(canvas_hw, bool)
    rows = slice(max(0, top), min(canvas_hw[0], top + height))
    columns = slice(max(0, left), min(canvas_hw[1], left + width))
    mask[rows, columns] = stencil.shape[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return mask, (top, left)


def bounding_box(mask: NDArray[np.generic], margin_px: int = 0) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask, which must not be empty, and a margin as far as there is room."""
    ranges = []
    for axis, length in ((1, mask.shape[0]), (0, mask.shape[1])):
        hit = np.flatnonzero(mask.any(axis=axis))
        ranges.append(slice(max(0, int(hit[0]) - margin_px), min(length, int(hit[-1]) + 1 + margin_px)))
    return ranges[0], ranges[1]


def _largest_piece(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(canvas)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.where(labels == largest, 255, 0).astype(np.uint8)
