"""Points of a picture that can be found again, and a description of their surroundings that turns with the picture.

The description is a disc's expansion in circular harmonics: rings of the disc, each multiplied by exp(-i m phi) and
added up. Turning the picture by an angle multiplies the coefficients of order m by exp(-i m angle), mirroring it makes
them complex conjugates; so a description can be turned upright, and mirrored, without looking at the picture again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from doctored.models.places import box_mean

DISC_RADIUS_PX = 10
"""Of what a description looks at, around its point."""

_ORDERS = 6
_RINGS = 4
_TENSOR_PX = 5
_LEAST_CORNER = 1.0  # grey levels squared: the weaker of the two mean squared gradients, that of faint noise
_CELL_PX = 32


@dataclass(frozen=True, eq=False)
class Keypoints:
    """N points and their descriptions.

    Attributes:
        xy: (N, 2) float64, in pixels of the picture that was searched.
        moments: (N, K) complex64 of norm 1: coefficients, not turned.
        angle: (N,) float64, radians; by this much each description must be turned to stand upright.
    """

    xy: NDArray[np.float64]
    moments: NDArray[np.complex64]
    angle: NDArray[np.float64]

    def mirrored(self) -> Keypoints:
        """The same points as a picture that is turned upside down shows them."""
        return replace(self, moments=self.moments.conj(), angle=-self.angle)

    def upright(self) -> NDArray[np.float32]:
        """(N, 2K): the upright descriptions as real vectors of norm 1; their products are correlations."""
        turned = self.moments * np.exp(-1j * self.angle[:, None] * _ORDER_OF)
        return np.concatenate([turned.real, turned.imag], axis=1).astype(np.float32)


def find_keypoints(luminance: NDArray[np.float32], most: int) -> Keypoints:
    """Corners of a picture, spread over all of it, each described.

    A corner is where the picture changes in every direction (Shi and Tomasi, Good features to track, 1994): the smaller
    eigenvalue of the structure tensor has a local maximum.

    Args:
        luminance: (H, W) float32, 0..255.
        most: Points to keep; of more, the strongest of each small square come first.
    """
    rows, columns = _corners(luminance, most)
    moments = _describe(luminance, rows, columns)
    angle = np.angle(moments[:, _ORDER_OF == 1].sum(axis=1)).astype(np.float64)
    return Keypoints(np.column_stack([columns, rows]).astype(np.float64), moments, angle)


def _corners(luminance: NDArray[np.float32], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns."""
    down, right = np.zeros_like(luminance), np.zeros_like(luminance)
    down[1:-1] = (luminance[2:] - luminance[:-2]) / 2
    right[:, 1:-1] = (luminance[:, 2:] - luminance[:, :-2]) / 2
    yy, xx, yx = (box_mean(product, _TENSOR_PX) for product in (down * down, right * right, down * right))
    smaller = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + yx**2)
    margin = DISC_RADIUS_PX + 1
    inner = smaller[margin:-margin, margin:-margin]
    if not inner.size:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    beside = np.maximum(np.maximum(smaller[:, :-2], smaller[:, 1:-1]), smaller[:, 2:])
    around = np.maximum(np.maximum(beside[:-2], beside[1:-1]), beside[2:])
    largest = around[margin - 1 : 1 - margin, margin - 1 : 1 - margin]
    rows, columns = np.nonzero((inner >= largest) & (inner > _LEAST_CORNER))
    strength = inner[rows, columns]
    rows, columns = rows + margin, columns + margin
    if len(rows) > most:
        kept = _spread(strength, rows // _CELL_PX * luminance.shape[1] + columns // _CELL_PX)[:most]
        rows, columns = rows[kept], columns[kept]
    return rows, columns


def _spread(strength: NDArray[np.floating], cell: NDArray[np.intp]) -> NDArray[np.intp]:
    """An order of points: the strongest of each cell, then the second of each, and so on."""
    order = np.lexsort((-strength, cell))
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return order[np.argsort(rank, kind="stable")]


def _describe(
    luminance: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.complex64]:
    """(N, K) complex64 of norm 1, of the disc around each point without its mean."""
    reach = np.arange(-DISC_RADIUS_PX, DISC_RADIUS_PX + 1)
    patches = luminance[rows[:, None, None] + reach[:, None], columns[:, None, None] + reach]
    patches = patches.reshape(len(rows), len(reach) ** 2)
    patches = patches - (patches @ _DISC_WEIGHTS)[:, None]
    moments = patches.astype(np.complex64) @ _HARMONICS.T
    norms = np.sqrt((np.abs(moments) ** 2).sum(axis=1, keepdims=True))
    scaled: NDArray[np.complex64] = (moments / np.maximum(norms, 1e-6)).astype(np.complex64)
    return scaled


def _harmonics() -> tuple[NDArray[np.complex64], NDArray[np.int64], NDArray[np.float32]]:
    """Filters (K, pixels of norm 1), the order of each, and weights (pixels,) for a disc's mean."""
    y, x = np.mgrid[-DISC_RADIUS_PX : DISC_RADIUS_PX + 1, -DISC_RADIUS_PX : DISC_RADIUS_PX + 1].astype(float)
    radius, phi = np.hypot(y, x) / (DISC_RADIUS_PX + 0.5), np.arctan2(y, x)
    filters, orders = [], []
    for order in range(_ORDERS):
        for ring in range(_RINGS):
            if order and not ring:
                continue  # the middle has no direction
            # Rings overlap like tents, so that nothing jumps where the picture is turned.
            weight = np.clip(1 - np.abs(radius * (_RINGS - 1) - ring), 0, 1) * (radius <= 1)
            harmonic = weight * np.exp(-1j * order * phi)
            filters.append(harmonic.ravel() / np.linalg.norm(harmonic))
            orders.append(order)
    of_mean = np.abs(np.array(filters)[np.array(orders) == 0]).sum(axis=0)
    weights = (of_mean / of_mean.sum()).astype(np.float32)
    return np.array(filters).astype(np.complex64), np.array(orders), weights


_HARMONICS, _ORDER_OF, _DISC_WEIGHTS = _harmonics()
