"""What happens to a picture before and after somebody forges it: resizing and saving.

A history is drawn before anybody knows whether the picture will be forged, so that it cannot tell forged
pictures from authentic ones. Host pictures start at multiples of 16 px of their file and every canvas is saved
from its own origin; the forged background therefore shows the aligned double compression of real edits.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.core.errors import ShapeError
from doctored.synth.masks import Window

JPEG_GRID_PX = 16
Domain = Literal["web", "lossless", "chain"]
DOMAIN_SHARES: dict[Domain, float] = {"web": 0.5, "lossless": 0.25, "chain": 0.25}

_FILTERS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_SUBSAMPLINGS = ("4:2:0", "4:2:0", "4:2:0", "4:4:4", "4:2:2")
# Exponent on the steps of the standard tables: "flat" ones, as some editors use, spare high frequencies.
_TABLE_EXPONENTS = {"standard": 1.0, "flat": 0.75, "steep": 1.12}
_TABLES = ("standard", "standard", "standard", "flat", "flat", "steep")


@dataclass(frozen=True)
class Save:
    """Written in a lossy format and opened again.

    Attributes:
        format: "jpeg" or "webp".
        quality: 1..100, on the format's own scale.
        tables: Key of the JPEG table families: "standard", "flat" or "steep".
        subsampling: Of JPEG's chroma: "4:4:4", "4:2:2" or "4:2:0".
    """

    format: Literal["jpeg", "webp"]
    quality: int
    tables: str = "standard"
    subsampling: str = "4:2:0"


@dataclass(frozen=True)
class Resize:
    """Reduced by a factor below 1 with the filter "area", "bilinear", "bicubic" or "lanczos"."""

    factor: float
    filter: str


@dataclass(frozen=True)
class Trim:
    """Rows cut off above and columns cut off on the left, which shifts the next JPEG grid against the last."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Sharpen:
    """Unsharp mask of one pixel's width with an amount of 0..1."""

    amount: float


Step = Save | Resize | Trim | Sharpen


@dataclass(frozen=True)
class Origin:
    """How a photograph becomes the canvas that is forged, or that content is taken from.

    Attributes:
        start_yx: Upper left corner in the photograph.
        region_px: Side of the square taken from the photograph.
        canvas_px: Side of the square it is resized to.
        filter: The resizing filter.
        steps: What follows.
    """

    start_yx: tuple[int, int]
    region_px: int
    canvas_px: int
    filter: str
    steps: tuple[Step, ...]


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
        factor = float(np.prod([step.factor for step in self.after if isinstance(step, Resize)]))
        trims = [(step.rows, step.columns) for step in self.after if isinstance(step, Trim)]
        rows, columns = np.sum([(0, 0), *trims], axis=0)
        top, left = round(self.crop_yx[0] / factor + rows), round(self.crop_yx[1] / factor + columns)
        side, limit = round(self.size_px / factor), self.host.canvas_px
        return Window(top, left, min(top + side, limit), min(left + side, limit))

    def to_recipe(self) -> dict[str, Any]:
        """The history in JSON's types; every step names itself."""
        return {
            "domain": self.domain,
            "host": _origin_recipe(self.host),
            "donor": _origin_recipe(self.donor),
            "after": [_step_recipe(step) for step in self.after],
            "crop_yx": list(self.crop_yx),
            "size_px": self.size_px,
        }


def smallest_side_px(size_px: int) -> int:
    """Short side that a photograph needs for crops of a size: room for any phase of the JPEG grid."""
    return _grid_ceil(size_px + JPEG_GRID_PX - 1)


def draw_history(
    rng: np.random.Generator,
    host_hw: tuple[int, int],
    donor_hw: tuple[int, int],
    size_px: int,
    domain: Domain | None = None,
) -> History:
    """Draw a history at random.

    Args:
        rng: Source of every choice.
        host_hw: Height and width of the host photograph.
        donor_hw: Height and width of the donor photograph.
        size_px: Side of the final crop.
        domain: None draws one by `DOMAIN_SHARES`.

    Raises:
        ShapeError: A photograph is smaller than `smallest_side_px`.
    """
    needed = smallest_side_px(size_px)
    for name, size_hw in (("host", host_hw), ("donor", donor_hw)):
        if min(size_hw) < needed:
            raise ShapeError(
                f"crops of {size_px} px need photographs of at least {needed} px on both sides, "
                f"but the {name} is {size_hw[0]} x {size_hw[1]}; ask for smaller crops or leave it out"
            )
    if domain is None:
        domain = tuple(DOMAIN_SHARES)[rng.choice(len(DOMAIN_SHARES), p=tuple(DOMAIN_SHARES.values()))]
    host_side = min(host_hw)
    canvas_px, final_px = needed, needed
    before: tuple[Step, ...] = ()
    donor_before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    if domain == "web":
        host_scale = _scale(rng, 0.25, 0.6, needed / host_side)
        donor_scale = host_scale * rng.uniform(0.6, 1.6)
        before, donor_before = ((_jpeg(rng, 75, 98),) if rng.random() < 0.6 else () for _ in range(2))
        after = (_jpeg(rng, 70, 95),)
    elif domain == "lossless":
        host_scale = donor_scale = 1.0
    else:
        before, donor_before = (_jpeg(rng, 80, 98),), (_jpeg(rng, 80, 98),)
        canvas_px, final_px, after = _chain(rng, size_px, host_side)
        host_scale = 1.0 if rng.random() < 0.5 else _scale(rng, 0.6, 1.0, canvas_px / host_side)
        donor_scale = 1.0 if rng.random() < 0.3 else rng.uniform(0.6, 1.2)
    crop_y, crop_x = rng.integers(0, final_px - size_px + 1, size=2)
    return History(
        domain=domain,
        host=_origin(rng, host_hw, canvas_px, host_scale, JPEG_GRID_PX, before),
        donor=_origin(rng, donor_hw, canvas_px, donor_scale, 1, donor_before),
        after=after,
        crop_yx=(int(crop_y), int(crop_x)),
        size_px=size_px,
    )


def render(photograph: NDArray[np.uint8], origin: Origin) -> NDArray[np.uint8]:
    """Make the canvas that an origin describes: (canvas_px, canvas_px, 3) uint8."""
    top, left = origin.start_yx
    region = photograph[top : top + origin.region_px, left : left + origin.region_px]
    if origin.region_px != origin.canvas_px:
        region = _resized(region, (origin.canvas_px, origin.canvas_px), origin.filter)
    return follow(region, [], origin.steps)[0]


def follow(
    image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], steps: Sequence[Step]
) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """Take a picture through some steps, and its masks along where the geometry changes.

    Args:
        image: (H, W, 3) uint8, RGB.
        masks: Any number of (H, W) bool.
        steps: In order.

    Returns:
        The new picture and masks, of one size; those given are left as they are.
    """
    masks = list(masks)
    for step in steps:
        if isinstance(step, Save):
            image = saved(image, step)
        elif isinstance(step, Trim):
            image = image[step.rows :, step.columns :]
            masks = [mask[step.rows :, step.columns :] for mask in masks]
        elif isinstance(step, Sharpen):
            smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
            image = cv2.addWeighted(image, 1 + step.amount, smooth, -step.amount, 0)
        else:
            size_hw = (_after_resize(image.shape[0], step), _after_resize(image.shape[1], step))
            image = _resized(image, size_hw, step.filter)
            masks = [_resized_mask(mask, size_hw) for mask in masks]
    return np.ascontiguousarray(image), masks


def saved(image: NDArray[np.uint8], save: Save) -> NDArray[np.uint8]:
    """Encode and decode a picture, with the decoder that reads pictures everywhere else."""
    with io.BytesIO(encode(image, save)) as file, Image.open(file) as opened:
        return np.asarray(opened.convert("RGB"))


def encode(image: NDArray[np.uint8], save: Save) -> bytes:
    """The bytes of the file that a `Save` writes."""
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    if save.format == "webp":
        # The slower methods compress better but leave the same traces.
        picture.save(file, "WEBP", quality=save.quality, method=1)
    elif save.tables == "standard":
        picture.save(file, "JPEG", quality=save.quality, subsampling=save.subsampling)
    else:
        picture.save(file, "JPEG", qtables=jpeg_tables(save), subsampling=save.subsampling)
    return file.getvalue()


def jpeg_tables(save: Save) -> list[list[int]]:
    """Luma and chroma steps, 64 each in natural order, for a quality and a family of tables."""
    percent = 5000 // save.quality if save.quality < 50 else 200 - 2 * save.quality
    exponent = _TABLE_EXPONENTS[save.tables]
    tables = []
    for standard in (_LUMA, _CHROMA):
        bent = np.array(standard) ** exponent
        # The mean step stays that of the standard table, so that a quality means about the same file size.
        scaled = bent * (np.mean(standard) / bent.mean()) * percent / 100
        tables.append(np.clip(np.floor(scaled + 0.5), 1, 255).astype(int).tolist())
    return tables


def _chain(rng: np.random.Generator, size_px: int, host_side: int) -> tuple[int, int, tuple[Step, ...]]:
    """Canvas side, side after all steps, and the steps of a picture that is passed on several times."""
    needed = size_px + JPEG_GRID_PX - 1
    largest = host_side - host_side % JPEG_GRID_PX
    first = (_jpeg(rng, 80, 96),) if rng.random() < 0.6 else ()
    last = Save("webp", int(rng.integers(60, 96))) if rng.random() < 0.35 else _jpeg(rng, 70, 95)
    if rng.random() < 0.4:
        trim = Trim(*(int(shift) for shift in rng.integers(0, 8, size=2)))
        canvas_px = min(_grid_ceil(needed + 7), largest)
        return canvas_px, canvas_px - max(trim.rows, trim.columns), (*first, trim, last)
    factor = rng.uniform(max(0.5, needed / largest), 0.95) if needed / largest < 0.95 else 1.0
    if factor == 1.0:
        return smallest_side_px(size_px), smallest_side_px(size_px), (*first, last)
    resize = Resize(float(factor), _filter(rng))
    canvas_px = min(largest, _grid_ceil(int(np.ceil(needed / factor))))
    sharpen = (Sharpen(float(rng.uniform(0.1, 0.6))),) if rng.random() < 0.3 else ()
    return canvas_px, _after_resize(canvas_px, resize), (*first, resize, *sharpen, last)


def _step_recipe(step: Step) -> dict[str, Any]:
    return {"step": type(step).__name__.lower(), **asdict(step)}


def _origin_recipe(origin: Origin) -> dict[str, Any]:
    return {
        "start_yx": list(origin.start_yx),
        "region_px": origin.region_px,
        "canvas_px": origin.canvas_px,
        "filter": origin.filter,
        "steps": [_step_recipe(step) for step in origin.steps],
    }


def _origin(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    canvas_px: int,
    scale: float,
    grid_px: int,
    steps: tuple[Step, ...],
) -> Origin:
    # A photograph too small for the canvas at this scale is enlarged as far as needed.
    region_px = min(int(np.ceil(canvas_px / scale)), *size_hw)
    start_y, start_x = (grid_px * int(rng.integers((side - region_px) // grid_px + 1)) for side in size_hw)
    return Origin((start_y, start_x), region_px, canvas_px, _filter(rng), steps)


def _scale(rng: np.random.Generator, low: float, high: float, least: float) -> float:
    """A factor from low..high that is at least `least`; `least` itself where that is above high."""
    return float(rng.uniform(max(low, least), max(high, least)))


def _jpeg(rng: np.random.Generator, low: int, high: int) -> Save:
    quality = int(rng.integers(low, high + 1))
    return Save(
        "jpeg", quality, _TABLES[rng.integers(len(_TABLES))], _SUBSAMPLINGS[rng.integers(len(_SUBSAMPLINGS))]
    )


def _filter(rng: np.random.Generator) -> str:
    return tuple(_FILTERS)[rng.integers(len(_FILTERS))]


def _grid_ceil(length: int) -> int:
    return -(-length // JPEG_GRID_PX) * JPEG_GRID_PX


def _after_resize(length: int, resize: Resize) -> int:
    return round(length * resize.factor)


def _resized(image: NDArray[np.uint8], size_hw: tuple[int, int], name: str) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size_hw[::-1], _FILTERS[name]))


def _resized_mask(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA) >= 0.5


# Example tables of ITU-T T.81 annex K, which nearly every encoder scales.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)  # fmt: skip
