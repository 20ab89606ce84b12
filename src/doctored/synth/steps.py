"""The single steps of a picture's history: saving, resizing, cutting, retouching as a whole, showing on a screen."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.core.decoding import pillow_limit_lifted
from doctored.core.errors import DataError
from doctored.synth.jpeg_tables import TABLE_FAMILIES, camera_tables, scaled_tables
from doctored.synth.masks import Window

FILTERS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


LARGEST_PICTURE_PX = 100_000_000
"""No picture of a history becomes larger; a recipe that says so is no recipe of ours."""


@dataclass(frozen=True)
class Save:
    """Written in a lossy format and opened again.

    Attributes:
        format: "jpeg" or "webp".
        quality: 1..100, on the format's own scale; of a camera's tables only the nearest standard quality.
        tables: Of JPEG: a family of `TABLE_FAMILIES`, or a camera of `camera_tables`.
        subsampling: Of JPEG's chroma: "4:4:4", "4:2:2" or "4:2:0".
    """

    format: Literal["jpeg", "webp"]
    quality: int
    tables: str = "standard"
    subsampling: str = "4:2:0"


@dataclass(frozen=True)
class Resize:
    """Scaled by a factor with the filter "area", "bilinear", "bicubic" or "lanczos"."""

    factor: float
    filter: str


@dataclass(frozen=True)
class Trim:
    """Rows cut off above and columns cut off on the left, which shifts the next JPEG grid against the last."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Frame:
    """Rows of one grey level added above and columns on the left: what a screen shows around a picture."""

    rows: int
    columns: int
    level: int


@dataclass(frozen=True)
class Sharpen:
    """Unsharp mask of one pixel's width with an amount of 0..1."""

    amount: float


@dataclass(frozen=True)
class Grain:
    """Gaussian noise of a standard deviation in grey levels, from its own seed."""

    sigma: float
    seed: int


@dataclass(frozen=True)
class Recolour:
    """Every channel through its own gain, then a gamma curve, then the saturation scaled."""

    gains_rgb: tuple[float, float, float]
    gamma: float
    saturation: float


Step = Save | Resize | Trim | Frame | Sharpen | Grain | Recolour
_STEPS: dict[str, Callable[..., Step]] = {
    step.__name__.lower(): step for step in (Save, Resize, Trim, Frame, Sharpen, Grain, Recolour)
}


def step_to_recipe(step: Step) -> dict[str, Any]:
    """The step in JSON's types; it names itself."""
    values = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(step).items()
    }
    return {"step": type(step).__name__.lower(), **values}


def step_from_recipe(entry: dict[str, Any]) -> Step:
    """The step that `step_to_recipe` wrote."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
    }
    step: Step = _STEPS[values.pop("step")](**values)
    return step


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
        elif isinstance(step, Frame):
            check_size((image.shape[0] + step.rows, image.shape[1] + step.columns))
            border = ((step.rows, 0), (step.columns, 0))
            image = np.pad(image, (*border, (0, 0)), constant_values=step.level)
            masks = [np.pad(mask, border) for mask in masks]
        elif isinstance(step, Sharpen):
            smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
            image = cv2.addWeighted(image, 1 + step.amount, smooth, -step.amount, 0)
        elif isinstance(step, Grain):
            noise = np.random.default_rng(step.seed).normal(0, step.sigma, image.shape)
            image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
        elif isinstance(step, Recolour):
            image = _recoloured(image, step)
        else:
            size_hw = (resized_length(image.shape[0], step), resized_length(image.shape[1], step))
            image = resized(image, size_hw, step.filter)
            masks = [_resized_mask(mask, size_hw) for mask in masks]
    return np.ascontiguousarray(image), masks


def window_before(window: Window, steps: Sequence[Step]) -> Window:
    """Where the content of a window after some steps was before them, rounded to pixels."""
    edges = np.array([window.top, window.left, window.bottom, window.right], np.float64)
    for step in reversed(steps):
        if isinstance(step, Resize):
            edges /= step.factor
        elif isinstance(step, Trim | Frame):
            sign = 1 if isinstance(step, Trim) else -1
            edges += sign * np.tile((step.rows, step.columns), 2)
    top, left, bottom, right = (int(edge) for edge in np.rint(edges))
    return Window(top, left, bottom, right)


def saved(image: NDArray[np.uint8], save: Save) -> NDArray[np.uint8]:
    """Encode and decode a picture, with the decoder that reads pictures everywhere else."""
    # The file is our own, so that Pillow's guard against bombs has nothing to guard.
    with io.BytesIO(encode(image, save)) as file, pillow_limit_lifted(), Image.open(file) as opened:
        return np.asarray(opened.convert("RGB"))


def encode(image: NDArray[np.uint8], save: Save) -> bytes:
    """The bytes of the file that a `Save` writes."""
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    if save.format == "webp":
        # The slower methods compress better but leave the same traces.
        picture.save(file, "WEBP", quality=save.quality, method=1)
    else:
        picture.save(file, "JPEG", qtables=quantisation_tables(save), subsampling=save.subsampling)
    return file.getvalue()


def quantisation_tables(save: Save) -> list[list[int]]:
    """Luma and chroma steps of a JPEG save, 64 each in natural order."""
    if save.tables in TABLE_FAMILIES:
        return scaled_tables(save.quality, save.tables)
    return camera_tables()[save.tables]


def resized_length(length: int, resize: Resize) -> int:
    """A side's length after resizing."""
    return round(length * resize.factor)


def check_size(size_hw: tuple[int, int]) -> None:
    """Refuse a size that no history needs.

    Raises:
        DataError: It is larger than `LARGEST_PICTURE_PX`.
    """
    if size_hw[0] * size_hw[1] > LARGEST_PICTURE_PX:
        raise DataError(
            f"a step of the recipe makes a picture of {size_hw[1]} x {size_hw[0]} pixels, more than the "
            f"{LARGEST_PICTURE_PX // 10**6} megapixels that are allowed; it was edited or is damaged"
        )


def resized(image: NDArray[np.uint8], size_hw: tuple[int, int], filter_name: str) -> NDArray[np.uint8]:
    """A picture brought to a size with one of `FILTERS`.

    Raises:
        DataError: The size is larger than `LARGEST_PICTURE_PX`.
    """
    check_size(size_hw)
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size_hw[::-1], FILTERS[filter_name]))


def _resized_mask(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    interpolation = cv2.INTER_AREA if size_hw[0] < mask.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=interpolation) >= 0.5


def _recoloured(image: NDArray[np.uint8], step: Recolour) -> NDArray[np.uint8]:
    curves = 255 * np.clip(np.arange(256)[:, None] / 255 * np.array(step.gains_rgb), 0, 1) ** step.gamma
    levels = np.dstack([curves[:, channel][image[..., channel]] for channel in range(3)]).astype(np.float32)
    grey = levels @ np.array([0.299, 0.587, 0.114], np.float32)
    levels = grey[..., None] + step.saturation * (levels - grey[..., None])
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
