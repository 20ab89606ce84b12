"""The pictures in a report: reduced previews of the whole, and close-ups at the picture's own pixels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.apps.outputs import overlay_bands, rgb_profile, suspicion_colours
from doctored.core.inspection import Inspection, WitnessFinding
from doctored.core.picture import Picture
from doctored.core.reduction import reduce_map, reduce_pixels, reduction_factor
from doctored.core.thumbnail import ThumbnailComparison
from doctored.models.catalog import is_search

_PREVIEW_PX = 1400
_SMALL_PX = 700
_CLOSE_UP_PX = 320
_THUMBNAIL_PX = 320
_MARGIN_PX = 16
MOST_REGIONS = 6
_MOST_PEAKS = 3
# Windows that are much calmer than the first are not worth a look.
_CALMER = 0.5
_PREVIEW_QUALITY = 88
_LARGEST_PROFILE = 64_000
_CALM = 0.1
AGREEMENT_THRESHOLD = 0.5


@dataclass(frozen=True)
class View:
    """An encoded picture.

    Attributes:
        data: The file.
        media_type: "image/jpeg" or "image/png".
        width: In pixels.
        height: In pixels.
    """

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class CloseUp:
    """A part of the picture at its own pixels, without loss.

    Attributes:
        box_xyxy: The part that is shown, in pixels of the picture.
        region: JSON form of the region that it shows; None for a place where the map is high.
        region_box_xyxy: Box of that region, which may be larger than what is shown; else as box_xyxy.
        mean: Of the map in region_box_xyxy.
        highest: Of the map in region_box_xyxy.
        picture: The pixels.
        overlay: The same with the map over them.
    """

    box_xyxy: tuple[int, int, int, int]
    region: dict[str, Any] | None
    region_box_xyxy: tuple[int, int, int, int]
    mean: float
    highest: float
    picture: View
    overlay: View


@dataclass(frozen=True)
class Agreement:
    """Where two witnesses say the same: shares of the picture with a map at or above 0.5.

    Attributes:
        names: Of the two.
        both: In both maps.
        first: Only in the first witness's.
        second: Only in the second witness's.
        view: The lower of the two maps.
    """

    names: tuple[str, str]
    both: float
    first: float
    second: float
    view: View

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "witnesses": list(self.names),
            "threshold": AGREEMENT_THRESHOLD,
            "both": self.both,
            "first_only": self.first,
            "second_only": self.second,
        }


@dataclass(frozen=True)
class Views:
    """Everything that is shown of one picture.

    Attributes:
        factor: By how much the previews are reduced; 1 shows every pixel.
        original: Preview of the picture.
        map: Preview of the map in colours, each pixel the largest value of what it stands for.
        overlay: Preview of the map over the picture in grey.
        places: A smaller preview in grey, to draw the boxes of the close-ups on.
        highest: Largest value of the map.
        close_ups: Of the regions, best first, or of places where the map is high if there are no regions.
        regions_left_out: Number of regions without a close-up.
        witness_maps: One preview for each witness, if there are several.
        agreement: Of the first two witnesses that are no searches, if there are as many. The map of a search is dark
            wherever it found nothing, which contradicts nobody.
        thumbnail: The one in the file, and the picture at about its size; None if there is none.
    """

    factor: int
    original: View
    map: View
    overlay: View
    places: View
    highest: float
    close_ups: tuple[CloseUp, ...]
    regions_left_out: int
    witness_maps: tuple[View, ...]
    agreement: Agreement | None
    thumbnail: tuple[View, View] | None

    @property
    def calm(self) -> bool:
        """Whether the map shows nothing that the overlay would colour."""
        return self.highest < _CALM


def make_views(
    picture: Picture, inspection: Inspection, thumbnail: ThumbnailComparison | None = None
) -> Views:
    """Draw what a report shows of a picture; its size does not grow with the picture's.

    Args:
        picture: As it was read.
        inspection: What was found in it.
        thumbnail: The thumbnail in its file; None if there is none.
    """
    factor = reduction_factor(picture.size_hw, _PREVIEW_PX)
    pixels = reduce_pixels(picture.pixels, factor)
    reduced = reduce_map(inspection.localization_map, factor)
    profile = rgb_profile(picture)
    if profile is not None and len(profile) > _LARGEST_PROFILE:
        profile = None
    witnesses = inspection.witnesses
    highest = float(inspection.localization_map.max())
    regions = sorted(inspection.regions, key=lambda region: -region.score)
    shown = regions[:MOST_REGIONS]
    close_ups = [
        _close_up(picture, inspection, region.box_xyxy, profile, region.to_json()) for region in shown
    ] or [
        _close_up(picture, inspection, box_xyxy, profile, None)
        for box_xyxy in (_peaks(reduced, factor, picture.size_hw) if highest >= _CALM else ())
    ]
    small = reduction_factor(pixels.shape[:2], _SMALL_PX)
    grey = np.asarray(Image.fromarray(reduce_pixels(pixels, small)).convert("L"))
    return Views(
        factor=factor,
        original=_jpeg(pixels, profile),
        map=map_view(reduced),
        overlay=_jpeg(overlay_pixels(pixels, reduced), profile),
        places=_jpeg(grey, None),
        highest=highest,
        close_ups=tuple(close_ups),
        regions_left_out=len(regions) - len(shown),
        witness_maps=tuple(map_view(reduce_map(w.localization_map, factor)) for w in witnesses)
        if len(witnesses) > 1
        else (),
        agreement=_agreement(witnesses, factor),
        thumbnail=None if thumbnail is None else (_small(thumbnail.pixels, profile), _small(pixels, profile)),
    )


def colour_scale() -> View:
    """The colours of the map from 0 to 1, left to right."""
    return map_view(np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(8, axis=0))


def _close_up(
    picture: Picture,
    inspection: Inspection,
    region_box_xyxy: tuple[int, int, int, int],
    profile: bytes | None,
    region: dict[str, Any] | None,
) -> CloseUp:
    height, width = picture.size_hw
    x1, y1, x2, y2 = region_box_xyxy
    values = inspection.localization_map[y1:y2, x1:x2]
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    left, right = _window(x1, x2, x1 + int(column), width)
    top, bottom = _window(y1, y2, y1 + int(row), height)
    pixels = picture.pixels[top:bottom, left:right]
    shown = inspection.localization_map[top:bottom, left:right]
    return CloseUp(
        box_xyxy=(left, top, right, bottom),
        region=region,
        region_box_xyxy=region_box_xyxy,
        mean=float(values.mean()),
        highest=float(values.max()),
        picture=lossless_view(pixels, profile),
        overlay=_jpeg(overlay_pixels(pixels, shown), None),
    )


def _window(start: int, stop: int, peak: int, length: int) -> tuple[int, int]:
    """What is shown of start..stop: all of it with a margin, or as much as fits around the peak."""
    if stop - start + 2 * _MARGIN_PX <= _CLOSE_UP_PX:
        return max(0, start - _MARGIN_PX), min(length, stop + _MARGIN_PX)
    size = min(_CLOSE_UP_PX, length)
    first = min(max(0, peak - size // 2), length - size)
    return first, first + size


def _peaks(
    reduced: NDArray[np.float32], factor: int, size_hw: tuple[int, int]
) -> list[tuple[int, int, int, int]]:
    """Boxes of square windows with the highest means of the map that do not overlap, highest first."""
    height, width = reduced.shape
    side = max(1, min(height, width, max(_CLOSE_UP_PX // factor, 24) // 2))
    step = max(1, side // 4)
    tops, lefts = np.arange(0, height - side + 1, step), np.arange(0, width - side + 1, step)
    sums = np.zeros((height + 1, width + 1))
    np.cumsum(np.cumsum(reduced, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    below, right = tops[:, None] + side, lefts[None] + side
    means = (
        sums[below, right]
        - sums[tops[:, None], right]
        - sums[below, lefts[None]]
        + sums[tops[:, None], lefts[None]]
    )
    boxes: list[tuple[int, int, int, int]] = []
    highest = float(means.max())
    while len(boxes) < _MOST_PEAKS:
        row, column = np.unravel_index(int(means.argmax()), means.shape)
        if means[row, column] <= _CALMER * highest:
            break
        top, left = int(tops[row]), int(lefts[column])
        boxes.append(
            (
                left * factor,
                top * factor,
                min((left + side) * factor, size_hw[1]),
                min((top + side) * factor, size_hw[0]),
            )
        )
        overlapping = (np.abs(tops - top) < side)[:, None] & (np.abs(lefts - left) < side)[None]
        means[overlapping] = -1
    return boxes


def _agreement(witnesses: Sequence[WitnessFinding], factor: int) -> Agreement | None:
    compared = [witness for witness in witnesses if not is_search(witness.name)][:2]
    if len(compared) < 2:
        return None
    maps = [witness.localization_map for witness in compared]
    first, second = (localization_map >= AGREEMENT_THRESHOLD for localization_map in maps)
    lower = np.minimum(*(reduce_map(localization_map, factor) for localization_map in maps))
    return Agreement(
        names=(compared[0].name, compared[1].name),
        both=float((first & second).mean()),
        first=float((first & ~second).mean()),
        second=float((~first & second).mean()),
        view=map_view(lower),
    )


def overlay_pixels(pixels: NDArray[np.uint8], localization_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A map over a picture in grey, (H, W, 3) uint8."""
    return np.concatenate(list(overlay_bands(pixels, localization_map)))


def map_view(localization_map: NDArray[np.float32]) -> View:
    """A map (H, W) in the colours of suspicion."""
    colours, _ = suspicion_colours()
    image = Image.fromarray(np.rint(localization_map * 255).astype(np.uint8))
    image.putpalette(np.rint(colours).astype(np.uint8).tobytes())
    return _encoded(image, "PNG", optimize=True)


def _small(pixels: NDArray[np.uint8], profile: bytes | None) -> View:
    return _jpeg(reduce_pixels(pixels, reduction_factor(pixels.shape[:2], _THUMBNAIL_PX)), profile)


def lossless_view(pixels: NDArray[np.uint8], profile: bytes | None) -> View:
    """Pixels (H, W, 3) as they are, with the colour profile that they are to be shown with."""
    return _encoded(Image.fromarray(np.ascontiguousarray(pixels)), "PNG", icc_profile=profile)


def _jpeg(pixels: NDArray[np.uint8], profile: bytes | None) -> View:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return _encoded(image, "JPEG", quality=_PREVIEW_QUALITY, icc_profile=profile)


def _encoded(image: Image.Image, image_format: str, **options: Any) -> View:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return View(file.getvalue(), f"image/{image_format.lower()}", image.width, image.height)
