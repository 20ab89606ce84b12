"""The search for copied places: pairs of points propose movements, and pixels decide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from doctored.core.reduction import reduce_pixels
from doctored.models.copy_search.matching import (
    LEAST_SHIFT_PX,
    Movement,
    agree_on_movements,
    is_plausible,
    match_points,
)
from doctored.models.places import Place, box_mean, connected, place_of

SEARCHED_PX = 1_000_000
"""Larger pictures are searched at the first whole reduction that has no more pixels."""

LEAST_AGREEMENT = 0.2
"""From here on two places count as copies: the fine detail is 1.2 times what they differ by.

Two things that look alike, two windows of a house, agree in their shapes and not in their noise and finest texture;
a copy agrees in both, until compression has replaced them.
"""

LEAST_AREA = 0.002
"""Share of the picture that each of the two places must have, and `LEAST_AREA_PX` at least."""

LEAST_AREA_PX = 300

MOST_SHEAR = 1.15
"""By what a copy may be stretched in one direction more than in the other."""

MOST_OVERLAP = 0.1
"""Share of a place that may lie in its copy: an edge, or a texture, is like itself a little further along."""

LEAST_ISOTROPY = 0.05
"""How strong the slopes across a place must be in the weakest direction, next to those in the strongest (mean squares).

Of an edge alone nobody can tell where along it a copy comes from.
"""

_WINDOW_PX = 9
_LEAST_CORRELATION = 0.85
_LEAST_DEVIATION = 2.0  # grey levels: flatter windows agree with any other
_SOLID_SHARE = 0.5
_DETAIL_WINDOW_PX = 3
_ROUNDING = 0.1  # grey levels, so that places without any difference have an agreement too
_ALIGNMENTS = 3
_MOST_STEP_PX = 2.0
_MOST_DEVIATIONS = 2.0  # of the differences inside a place
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Copy:
    """Two places of a picture that show the same content. Which of them is the original is not known.

    Attributes:
        places: The two.
        agreement: The logarithm of how many times the fine detail of the first place (what is left of it when the mean
            over 3 x 3 px is taken away) is as strong as the difference between the two; `LEAST_AGREEMENT` or more.
        affine: (2, 3) float64: takes x and y in the first place to those in the second, in pixels of the picture.
    """

    places: tuple[Place, Place]
    agreement: float
    affine: NDArray[np.float64]


def find_copies(pixels: NDArray[np.uint8]) -> list[Copy]:
    """Places of a picture that were copied within it, the pair that agrees best first.

    Finds copies that were turned, mirrored, scaled from a half to twice, made lighter or darker, or compressed. A copy
    of something without corners, such as sky, is not found.

    Args:
        pixels: (H, W, 3) uint8.
    """
    height, width = pixels.shape[:2]
    factor = max(1, int(np.ceil(np.sqrt(height * width / SEARCHED_PX))))
    luminance = reduce_pixels(pixels, factor) @ _LUMA
    found: list[_Agreement] = []
    for movement in agree_on_movements(match_points(luminance)):
        agreement = _compare(luminance, movement)
        if agreement is not None and not any(agreement.repeats(other) for other in found):
            found.append(agreement)
    found.sort(key=lambda one: -one.agreement)
    return [one.at_full_size((height, width), factor) for one in found]


@dataclass(frozen=True, eq=False)
class _Agreement:
    """A copy at the size that was searched."""

    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    agreement: float
    affine: NDArray[np.float64]

    def repeats(self, other: _Agreement) -> bool:
        """Whether it is about the same two places, in whichever order."""
        (here, there), orders = self.masks, (other.masks, other.masks[::-1])
        return any(_overlap(here, first) and _overlap(there, second) for first, second in orders)

    def at_full_size(self, size_hw: tuple[int, int], factor: int) -> Copy:
        here, there = (place_of(mask, size_hw, factor) for mask in self.masks)
        linear, centre = self.affine[:, :2], np.full(2, (factor - 1) / 2)
        shift = factor * self.affine[:, 2] + centre - linear @ centre
        return Copy((here, there), self.agreement, np.column_stack([linear, shift]))


def _compare(luminance: NDArray[np.float32], movement: Movement) -> _Agreement | None:
    """The two places between which a movement takes pixels to like ones; None if they are small or only look alike."""
    box = _Surroundings.of(luminance, movement.here)
    least_px = max(LEAST_AREA_PX, LEAST_AREA * luminance.size)
    affine, place = movement.affine, box.place(movement.affine)
    for _ in range(_ALIGNMENTS):
        if place.sum() < least_px:
            return None
        affine = box.aligned(affine, place)
        place = box.place(affine)
    if place.sum() < least_px or not is_plausible(affine, MOST_SHEAR):
        return None
    if box.isotropy(place) < LEAST_ISOTROPY:
        return None
    agreement, mask = box.agreement(affine, place), box.in_picture(place)
    if agreement < LEAST_AGREEMENT or (mask & _moved(mask, affine)).sum() > MOST_OVERLAP * place.sum():
        return None
    mask = box.in_picture(box.grown(affine, place))
    return _Agreement((mask, _moved(mask, affine)), agreement, affine)


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """The part of a picture in which a movement is tried.

    Attributes:
        luminance: (H, W) float32, of the whole picture.
        rows: Of the part.
        columns: Of the part.
        seeds: Bool, of the size of the part: the points that agreed on the movement.
    """

    luminance: NDArray[np.float32]
    rows: slice
    columns: slice
    seeds: NDArray[np.bool_]

    @classmethod
    def of(cls, luminance: NDArray[np.float32], points_xy: NDArray[np.float64]) -> _Surroundings:
        """The box around some points and as much again on every side."""
        low, high = (
            np.floor(points_xy.min(axis=0)).astype(int),
            np.ceil(points_xy.max(axis=0)).astype(int) + 1,
        )
        margin = np.maximum(high - low, 8 * _WINDOW_PX)
        left, top = (int(value) for value in np.maximum(low - margin, 0))
        right, bottom = (int(value) for value in np.minimum(high + margin, luminance.shape[::-1]))
        seeds = np.zeros((bottom - top, right - left), bool)
        seed_x, seed_y = np.rint(points_xy).astype(int).T
        seeds[seed_y - top, seed_x - left] = True
        return cls(luminance, slice(top, bottom), slice(left, right), seeds)

    @cached_property
    def here(self) -> NDArray[np.float32]:
        """Its luminance."""
        return self.luminance[self.rows, self.columns]

    @cached_property
    def xy(self) -> NDArray[np.float32]:
        """(2, h, w): x and y of its pixels in the picture."""
        return np.mgrid[self.rows, self.columns].astype(np.float32)[::-1]

    def there(self, affine: NDArray[np.float64]) -> NDArray[np.float32]:
        """(2, h, w): where a movement takes its pixels."""
        (xx, xy, x0), (yx, yy, y0) = affine.astype(np.float32)
        x, y = self.xy
        return np.stack([xx * x + xy * y + x0, yx * x + yy * y + y0])

    def place(self, affine: NDArray[np.float64]) -> NDArray[np.bool_]:
        """What of it looks like what a movement takes it to, around the seeds."""
        there_xy = self.there(affine)
        there, inside = _sample(self.luminance, *there_xy)
        shifted = np.abs(there_xy - self.xy).max(axis=0) >= LEAST_SHIFT_PX
        alike = _look_alike(self.here, there) & inside & shifted
        return connected((box_mean(alike, _WINDOW_PX) > _SOLID_SHARE) & inside, self.seeds)

    def aligned(self, affine: NDArray[np.float64], place: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The movement after a step of least squares (Lucas and Kanade, 1981) on grey levels, light and contrast."""
        there_xy = self.there(affine)[:, place]
        there, slope_y, slope_x = (
            _sample(values, *there_xy)[0] for values in (self.luminance, *self._slopes)
        )
        centre = self.xy[:, place].mean(axis=1, dtype=np.float64)
        x, y = self.xy[:, place] - centre.astype(np.float32)[:, None]
        terms = [
            slope_x * x,
            slope_x * y,
            slope_x,
            slope_y * x,
            slope_y * y,
            slope_y,
            there,
            np.ones_like(there),
        ]
        design = np.column_stack(terms).astype(np.float64)
        difference = (self.here[place] - there).astype(np.float64)
        step = np.linalg.lstsq(design, difference, rcond=None)[0]
        change = step[:6].reshape(2, 3)
        if np.abs(change[:, 2]).max() > _MOST_STEP_PX:
            return affine
        change[:, 2] -= change[:, :2] @ centre
        return affine + change

    @cached_property
    def _slopes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of the whole picture, downwards and to the right."""
        return np.gradient(self.luminance, axis=0), np.gradient(self.luminance, axis=1)

    def isotropy(self, place: NDArray[np.bool_]) -> float:
        slopes = [slope[self.rows, self.columns][place].astype(np.float64) for slope in self._slopes]
        weakest, strongest = np.linalg.eigvalsh(
            [[(one * other).mean() for one in slopes] for other in slopes]
        )
        return float(weakest / max(strongest, 1e-9))

    def agreement(self, affine: NDArray[np.float64], place: NDArray[np.bool_]) -> float:
        difference = self._difference(affine, place)[place]
        detail = (self.luminance - box_mean(self.luminance, _DETAIL_WINDOW_PX))[self.rows, self.columns][
            place
        ]
        return float(np.log((detail.std() + _ROUNDING) / (difference.std() + _ROUNDING)))

    def _difference(self, affine: NDArray[np.float64], place: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Of each pixel from where it is taken, once the place there has the light and contrast of the place here."""
        there, _ = _sample(self.luminance, *self.there(affine))
        design = np.column_stack([there[place], np.ones(place.sum())]).astype(np.float64)
        contrast, light = np.linalg.lstsq(design, self.here[place].astype(np.float64), rcond=None)[0]
        return self.here - (contrast * there + light).astype(np.float32)

    def grown(self, affine: NDArray[np.float64], place: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The place and what else agrees with its copy, up to half a window further.

        Windows that reach across the border of a copy are not alike, so the place itself ends before that border.
        """
        difference = self._difference(affine, place)
        squared = box_mean(difference**2, _DETAIL_WINDOW_PX)
        inside = _sample(self.luminance, *self.there(affine))[1]
        agrees = squared <= (_MOST_DEVIATIONS * difference[place].std()) ** 2
        return place | (_widened(place, _WINDOW_PX // 2) & agrees & inside)

    def in_picture(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        whole = np.zeros(self.luminance.shape, bool)
        whole[self.rows, self.columns] = mask
        return whole


def _widened(mask: NDArray[np.bool_], by_px: int) -> NDArray[np.bool_]:
    """Which squares around a pixel reach the mask."""
    return box_mean(mask, 2 * by_px + 1) > 0.5 / (2 * by_px + 1) ** 2


def _sample(
    values: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values between pixels, bilinear, and whether there are any; outside the border's are repeated."""
    height, width = values.shape
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    right_share, low_share = x - left, y - top
    upper = values[top, left] * (1 - right_share) + values[top, left + 1] * right_share
    lower = values[top + 1, left] * (1 - right_share) + values[top + 1, left + 1] * right_share
    return upper * (1 - low_share) + lower * low_share, inside


def _look_alike(here: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the windows around a pixel are correlated, whatever their light and contrast."""
    mean_here, mean_there = box_mean(here, _WINDOW_PX), box_mean(there, _WINDOW_PX)
    variance_here = np.maximum(box_mean(here**2, _WINDOW_PX) - mean_here**2, 0)
    variance_there = np.maximum(box_mean(there**2, _WINDOW_PX) - mean_there**2, 0)
    covariance = box_mean(here * there, _WINDOW_PX) - mean_here * mean_there
    textured = np.minimum(variance_here, variance_there) > _LEAST_DEVIATION**2
    return textured & (covariance > _LEAST_CORRELATION * np.sqrt(variance_here * variance_there))


def _moved(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a movement takes a mask."""
    back = np.linalg.inv(affine[:, :2])
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    from_x, from_y = (
        np.rint(row[0] * (x - affine[0, 2]) + row[1] * (y - affine[1, 2])).astype(int) for row in back
    )
    inside = (from_x >= 0) & (from_y >= 0) & (from_x < mask.shape[1]) & (from_y < mask.shape[0])
    moved = np.zeros_like(mask)
    moved[inside] = mask[from_y[inside], from_x[inside]]
    return moved


def _overlap(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    return bool((mask & other).sum() > 0.5 * min(mask.sum(), other.sum()))
