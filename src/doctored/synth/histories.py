"""What happens to a picture before and after somebody forges it, drawn at random.

A history is drawn before anybody knows whether the picture will be forged, so that it cannot tell forged
pictures from authentic ones. Host pictures start at multiples of 16 px of their file and every canvas is saved
from its own origin; the forged background therefore shows the aligned double compression of real edits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ShapeError
from doctored.core.forgery import Outline, Source
from doctored.synth.jpeg_tables import camera_qualities
from doctored.synth.masks import Window
from doctored.synth.steps import (
    FILTERS,
    Frame,
    Grain,
    Recolour,
    Resize,
    Save,
    Sharpen,
    Step,
    Trim,
    follow,
    resized,
    resized_length,
    step_from_recipe,
    step_to_recipe,
    window_before,
)

JPEG_GRID_PX = 16
Domain = Literal["web", "lossless", "chain"]
DOMAIN_SHARES: dict[Domain, float] = {"web": 0.5, "lossless": 0.25, "chain": 0.25}

_SUBSAMPLINGS = ("4:2:0", "4:2:0", "4:2:0", "4:4:4", "4:2:2")
_TABLES = ("standard", "standard", "standard", "flat", "flat", "steep")
_CAMERA_SHARE = 0.35


@dataclass(frozen=True)
class Origin:
    """How a photograph becomes the canvas that is forged, or that content is taken from.

    Attributes:
        start_yx: Upper left corner in the photograph.
        region_hw: Height and width of what is taken from the photograph.
        canvas_hw: Height and width that it is resized to.
        filter: The resizing filter.
        steps: What follows; none of these changes the geometry.
    """

    start_yx: tuple[int, int]
    region_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    filter: str
    steps: tuple[Step, ...]

    @property
    def scale(self) -> float:
        """Canvas pixels per pixel of the photograph."""
        return self.canvas_hw[0] / self.region_hw[0]

    def on_canvas(self, outline: Outline) -> Outline:
        """An outline in the photograph's pixels, in those of the canvas; parts of it may lie outside."""
        start_xy = np.array(self.start_yx[::-1])
        scale_xy = np.divide(self.canvas_hw, self.region_hw)[::-1]
        return tuple(np.rint((ring - start_xy + 0.5) * scale_xy - 0.5).astype(np.int32) for ring in outline)

    def to_recipe(self) -> dict[str, Any]:
        """The origin in JSON's types."""
        return {
            "start_yx": list(self.start_yx),
            "region_hw": list(self.region_hw),
            "canvas_hw": list(self.canvas_hw),
            "filter": self.filter,
            "steps": [step_to_recipe(step) for step in self.steps],
        }

    @classmethod
    def from_recipe(cls, entry: dict[str, Any]) -> "Origin":
        """The origin that `to_recipe` wrote."""
        start_yx, region_hw, canvas_hw = (
            (int(entry[name][0]), int(entry[name][1])) for name in ("start_yx", "region_hw", "canvas_hw")
        )
        steps = tuple(step_from_recipe(step) for step in entry["steps"])
        return cls(start_yx, region_hw, canvas_hw, entry["filter"], steps)


@dataclass(frozen=True)
class History:
    """Everything that happens to a sample but the forgery itself.

    Attributes:
        domain: "web" (small JPEGs), "lossless" (native pixels, never saved again) or "chain" (saved several
            times).
        host: Origin of the picture that is forged.
        donor: Origin of the picture that foreign content comes from.
        after: Steps after the forgery.
        crop_yx: Upper left corner of the final crop, cut after the last step.
        size_px: Side of the final crop.
    """

    domain: Domain
    host: Origin
    donor: Origin
    after: tuple[Step, ...]
    crop_yx: tuple[int, int]
    size_px: int

    @property
    def window(self) -> Window:
        """The part of the host's canvas that the final crop will show, to the pixel."""
        top, left = self.crop_yx
        seen = window_before(Window(top, left, top + self.size_px, left + self.size_px), self.after)
        height, width = self.host.canvas_hw
        return Window(max(0, seen.top), max(0, seen.left), min(seen.bottom, height), min(seen.right, width))

    def to_recipe(self) -> dict[str, Any]:
        """The history in JSON's types; every step names itself."""
        return {
            "domain": self.domain,
            "host": self.host.to_recipe(),
            "donor": self.donor.to_recipe(),
            "after": [step_to_recipe(step) for step in self.after],
            "crop_yx": list(self.crop_yx),
            "size_px": self.size_px,
        }

    @classmethod
    def from_recipe(cls, entry: dict[str, Any]) -> "History":
        """The history that `to_recipe` wrote."""
        return cls(
            domain=entry["domain"],
            host=Origin.from_recipe(entry["host"]),
            donor=Origin.from_recipe(entry["donor"]),
            after=tuple(step_from_recipe(step) for step in entry["after"]),
            crop_yx=(int(entry["crop_yx"][0]), int(entry["crop_yx"][1])),
            size_px=int(entry["size_px"]),
        )


def smallest_side_px(size_px: int) -> int:
    """Short side that a photograph needs for crops of a size: room for any phase of the JPEG grid."""
    return _grid_ceil(size_px + JPEG_GRID_PX - 1)


def draw_history(
    rng: np.random.Generator, host: Source, donor: Source, size_px: int, domain: Domain | None = None
) -> History:
    """Draw a history at random.

    Args:
        rng: Source of every choice.
        host: The photograph that is forged.
        donor: The photograph that foreign content comes from.
        size_px: Side of the final crop.
        domain: None draws one by `DOMAIN_SHARES`.

    Raises:
        ShapeError: A photograph is smaller than `smallest_side_px`.
    """
    needed = smallest_side_px(size_px)
    for role, source in (("host", host), ("donor", donor)):
        height, width = source.size_hw
        if min(height, width) < needed:
            raise ShapeError(
                f"crops of {size_px} px need photographs of at least {needed} px on both sides, "
                f"but the {role} is {height} x {width}; ask for smaller crops or leave it out"
            )
    if domain is None:
        domain = tuple(DOMAIN_SHARES)[rng.choice(len(DOMAIN_SHARES), p=tuple(DOMAIN_SHARES.values()))]
    # Blocks of the host's own compression must start with the canvas, so some rows may have to go.
    host_side = min(side - grid for side, grid in zip(host.size_hw, host.grid_yx, strict=True))
    grid_yx = host.grid_yx if host_side >= needed else (0, 0)
    host_side = max(host_side, needed)
    canvas_px, first_yx, final_hw = needed, (0, 0), (needed, needed)
    before: tuple[Step, ...] = ()
    donor_before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    if domain == "web":
        host_scale = _scale(rng, 0.25, 0.6, needed / host_side)
        donor_scale = host_scale * rng.uniform(0.6, 1.6)
        before, donor_before = ((draw_jpeg(rng, 75, 98),) if rng.random() < 0.6 else () for _ in range(2))
        after = (*_finish(rng), draw_jpeg(rng, 70, 95))
    elif domain == "lossless":
        host_scale = donor_scale = 1.0
    else:
        before, donor_before = (draw_jpeg(rng, 80, 98),), (draw_jpeg(rng, 80, 98),)
        canvas_px, first_yx, final_hw, after = _CHAINS[rng.integers(len(_CHAINS))](rng, size_px, host_side)
        host_scale = 1.0 if rng.random() < 0.5 else _scale(rng, 0.6, 1.0, canvas_px / host_side)
        donor_scale = 1.0 if rng.random() < 0.3 else rng.uniform(0.6, 1.2)
    crop_y, crop_x = (
        int(rng.integers(first, side - size_px + 1)) for first, side in zip(first_yx, final_hw, strict=True)
    )
    return History(
        domain=domain,
        host=_origin(rng, host.size_hw, canvas_px, host_scale, JPEG_GRID_PX, grid_yx, before),
        donor=_origin(rng, donor.size_hw, canvas_px, donor_scale, 1, (0, 0), donor_before),
        after=after,
        crop_yx=(crop_y, crop_x),
        size_px=size_px,
    )


def origin_around(
    origin: Origin, size_hw: tuple[int, int], outline: Outline, scale: float, rng: np.random.Generator
) -> Origin:
    """An origin like another but for its place and scale: around an object, at any phase of the JPEG grid.

    Args:
        origin: Gives the filter and the steps.
        size_hw: Height and width of the photograph.
        outline: The object, in the photograph's pixels.
        scale: Canvas pixels per pixel of the photograph.
        rng: Source of the margins.
    """
    points = np.concatenate(outline)
    start, region, canvas = [], [], []
    for axis, side in ((1, size_hw[0]), (0, size_hw[1])):
        # Room for soft edges, and for blocks that do not start with the object.
        before, after = (int(np.ceil(margin / scale)) for margin in rng.integers(8, 24, size=2))
        low = max(0, int(points[:, axis].min()) - before)
        high = min(side, int(points[:, axis].max()) + 1 + after)
        start.append(low)
        region.append(high - low)
        canvas.append(max(1, round((high - low) * scale)))
    return Origin(
        (start[0], start[1]), (region[0], region[1]), (canvas[0], canvas[1]), origin.filter, origin.steps
    )


def render(photograph: NDArray[np.uint8], origin: Origin) -> NDArray[np.uint8]:
    """Make the canvas that an origin describes: (*canvas_hw, 3) uint8."""
    top, left = origin.start_yx
    region = photograph[top : top + origin.region_hw[0], left : left + origin.region_hw[1]]
    if origin.region_hw != origin.canvas_hw:
        region = resized(region, origin.canvas_hw, origin.filter)
    return follow(region, [], origin.steps)[0]


def draw_jpeg(rng: np.random.Generator, low: int, high: int) -> Save:
    """A JPEG save with a quality of low..high, on standard tables or on those of a camera near that quality."""
    quality = int(rng.integers(low, high + 1))
    subsampling = _SUBSAMPLINGS[rng.integers(len(_SUBSAMPLINGS))]
    tables = _TABLES[rng.integers(len(_TABLES))]
    if rng.random() < _CAMERA_SHARE:
        qualities = camera_qualities()
        near = sorted(name for name, of_camera in qualities.items() if abs(of_camera - quality) <= 2)
        if near:
            tables = near[rng.integers(len(near))]
            quality = qualities[tables]
    return Save("jpeg", quality, tables, subsampling)


def _finish(rng: np.random.Generator) -> tuple[Step, ...]:
    """What an editor does to the whole picture before saving it; mostly nothing."""
    steps: list[Step] = []
    if rng.random() < 0.15:
        gains = [float(gain) for gain in rng.uniform(0.92, 1.08, size=3)]
        gamma, saturation = float(np.exp(rng.uniform(-0.2, 0.2))), float(rng.uniform(0.7, 1.3))
        steps.append(Recolour((gains[0], gains[1], gains[2]), gamma, saturation))
    if rng.random() < 0.15:
        steps.append(Sharpen(float(rng.uniform(0.1, 0.6))))
    if rng.random() < 0.1:
        steps.append(Grain(float(rng.uniform(0.5, 3)), int(rng.integers(2**31))))
    return tuple(steps)


# Of each chain: the canvas's side, the first row and column that a crop may start with, height and width after all
# steps, and the steps.
_Chain = tuple[int, tuple[int, int], tuple[int, int], tuple[Step, ...]]


def _cut_and_saved_again(rng: np.random.Generator, size_px: int, host_side: int) -> _Chain:
    """Some rows and columns go between two saves, so that the second grid is shifted against the first."""
    trim = Trim(*(int(shift) for shift in rng.integers(0, 8, size=2)))
    first = (draw_jpeg(rng, 80, 96),) if rng.random() < 0.6 else ()
    canvas_px = min(_grid_ceil(size_px + JPEG_GRID_PX + 6), host_side - host_side % JPEG_GRID_PX)
    final_hw = (canvas_px - trim.rows, canvas_px - trim.columns)
    return canvas_px, (0, 0), final_hw, (*first, *_finish(rng), trim, _last_save(rng))


def _passed_on_by_a_platform(rng: np.random.Generator, size_px: int, host_side: int) -> _Chain:
    """Saved, then reduced, sometimes sharpened, and saved again by somebody's server."""
    largest = host_side - host_side % JPEG_GRID_PX
    needed = size_px + JPEG_GRID_PX - 1
    first = (draw_jpeg(rng, 80, 96),) if rng.random() < 0.8 else ()
    factor = _scale(rng, 0.5, 0.95, needed / largest)
    if factor >= 1:
        canvas_px = smallest_side_px(size_px)
        return canvas_px, (0, 0), (canvas_px, canvas_px), (*first, _last_save(rng))
    resize = Resize(factor, _filter(rng))
    canvas_px = min(largest, _grid_ceil(int(np.ceil(needed / factor))))
    sharpen = (Sharpen(float(rng.uniform(0.1, 0.6))),) if rng.random() < 0.3 else ()
    final_px = resized_length(canvas_px, resize)
    return canvas_px, (0, 0), (final_px, final_px), (*first, resize, *sharpen, _last_save(rng))


def _shot_from_a_screen(rng: np.random.Generator, size_px: int, host_side: int) -> _Chain:
    """Shown on a screen at some scale with something around it, taken losslessly, mostly saved as JPEG later."""
    largest = host_side - host_side % JPEG_GRID_PX
    needed = size_px + JPEG_GRID_PX - 1
    first = (draw_jpeg(rng, 75, 95),)
    factor = _scale(rng, 0.6, 1.3, needed / largest)
    resize = Resize(factor, "bilinear" if rng.random() < 0.7 else "bicubic")
    canvas_px = min(largest, _grid_ceil(int(np.ceil(needed / factor))))
    rows, columns = (int(length) for length in rng.integers(0, 40, size=2))
    frame = Frame(rows, columns, int(rng.choice((0, 18, 32, 240, 255))))
    last = (_last_save(rng),) if rng.random() < 0.75 else ()
    shown_px = resized_length(canvas_px, resize)
    return canvas_px, (rows, columns), (rows + shown_px, columns + shown_px), (*first, resize, frame, *last)


_CHAINS: tuple[Callable[[np.random.Generator, int, int], _Chain], ...] = (
    _cut_and_saved_again,
    _passed_on_by_a_platform,
    _shot_from_a_screen,
)


def _last_save(rng: np.random.Generator) -> Save:
    return Save("webp", int(rng.integers(60, 96))) if rng.random() < 0.3 else draw_jpeg(rng, 70, 95)


def _origin(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    canvas_px: int,
    scale: float,
    step_px: int,
    first_yx: tuple[int, int],
    steps: tuple[Step, ...],
) -> Origin:
    # A photograph too small for the canvas at this scale is enlarged as far as needed.
    room = [side - first for side, first in zip(size_hw, first_yx, strict=True)]
    region_px = min(int(np.ceil(canvas_px / scale)), *room)
    start_y, start_x = (
        first + step_px * int(rng.integers((side - region_px) // step_px + 1))
        for side, first in zip(room, first_yx, strict=True)
    )
    square = (canvas_px, canvas_px)
    return Origin((start_y, start_x), (region_px, region_px), square, _filter(rng), steps)


def _scale(rng: np.random.Generator, low: float, high: float, least: float) -> float:
    """A factor from low..high that is at least `least`; `least` itself where that is above high."""
    return float(rng.uniform(max(low, least), max(high, least)))


def _filter(rng: np.random.Generator) -> str:
    return tuple(FILTERS)[rng.integers(len(FILTERS))]


def _grid_ceil(length: int) -> int:
    return -(-length // JPEG_GRID_PX) * JPEG_GRID_PX
