"""Pairs of points that look alike, and the movements that many of them agree on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.models.copy_search.keypoints import Keypoints, find_keypoints

MOST_KEYPOINTS = 3000
"""At each scale."""

SCALES = (1.0, 0.88, 0.77, 0.67, 0.57, 0.5)
"""By what the picture is reduced to find copies that were made smaller or larger; a description bears a tenth more."""

LEAST_SHIFT_PX = 24
"""Nearer points look alike in every picture."""

_LEAST_CORRELATIONS = (0.9, 0.97)
_CROWD = 64
_RIVAL_PX = 12
_MOST_TWINS = 3
_LEAST_GAP = 0.6
_MOST_MATCHES = 2000

_REACH_PX = 80
_TOLERANCE_PX = 3.0
_TOLERANCE_PER_PX = 0.08
_FEWEST_POINTS = 5
_MOST_MOVEMENTS = 8
_REFINEMENTS = 4
_LEAST_STRETCH, _MOST_STRETCH, _MOST_SHEAR = 0.38, 2.6, 1.6


@dataclass(frozen=True, eq=False)
class Matches:
    """N pairs of points that look alike.

    Attributes:
        here: (N, 2) float64, x and y.
        there: (N, 2) float64, of the point that looks like it.
        linear: (N, 2, 2) float64: takes steps here to steps there, by what the two descriptions say.
        mirrored: (N,) bool: whether that mirrors.
    """

    here: NDArray[np.float64]
    there: NDArray[np.float64]
    linear: NDArray[np.float64]
    mirrored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Movement:
    """An affine movement that takes points of a picture to others that look like them.

    Attributes:
        affine: (2, 3) float64: there = affine @ (x, y, 1).
        here: (N, 2) float64, the points that agree on it.
    """

    affine: NDArray[np.float64]
    here: NDArray[np.float64]


def match_points(luminance: NDArray[np.float32]) -> Matches:
    """Pairs of points of one picture that look alike, however turned, mirrored, or scaled from a half to twice.

    A point that looks like a few others, far from each other, and much less like any further one, is paired with each
    of these (Amerini et al., A SIFT-based forensic method for copy-move attack detection, 2011); one that looks like
    everything, as in a regular texture, is not.

    Args:
        luminance: (H, W) float32, 0..255.
    """
    points = find_keypoints(luminance, MOST_KEYPOINTS)
    upright = points.upright()
    found: list[tuple[NDArray[np.float64], ...]] = []
    for scale in SCALES:
        others, to_full = (points, np.ones(2)) if scale == 1 else _reduced(luminance, scale)
        for mirror in (False, True):
            seen = others.mirrored() if mirror else others
            xy = (others.xy + 0.5) * to_full - 0.5
            first, second = _alike(points.xy, upright, xy, seen.upright())
            turn = points.angle[first] - seen.angle[second]
            linear = _linear(turn, 1 / scale, mirror)
            found.append((points.xy[first], xy[second], linear, np.full(len(first), mirror)))
    here, there, linear, mirrored = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(here) > _MOST_MATCHES:
        kept = np.linspace(0, len(here) - 1, _MOST_MATCHES).astype(int)
        here, there, linear, mirrored = here[kept], there[kept], linear[kept], mirrored[kept]
    return Matches(here, there, linear, mirrored.astype(bool))


def _reduced(luminance: NDArray[np.float32], scale: float) -> tuple[Keypoints, NDArray[np.float64]]:
    """Keypoints of a reduced picture, and by what their x and y are multiplied to be those of the picture."""
    height, width = luminance.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller = np.asarray(Image.fromarray(luminance).resize(size, Image.Resampling.BILINEAR))
    return find_keypoints(smaller, MOST_KEYPOINTS), np.array([width / size[0], height / size[1]])


def _linear(turn: NDArray[np.float64], enlarged: float, mirror: bool) -> NDArray[np.float64]:
    """(N, 2, 2): turns, then enlarges, then mirrors upside down."""
    cosine, sine = enlarged * np.cos(turn), enlarged * np.sin(turn)
    down = -1.0 if mirror else 1.0
    return np.stack([np.stack([cosine, -sine], -1), np.stack([down * sine, down * cosine], -1)], axis=1)


def _alike(
    xy: NDArray[np.float64],
    upright: NDArray[np.float32],
    other_xy: NDArray[np.float64],
    other_upright: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices into the points and into the others, of pairs."""
    if not len(xy) or not len(other_xy):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    first, second, correlation, unseen = [], [], [], []
    for top in range(0, len(xy), 1000):
        products = upright[top : top + 1000] @ other_upright.T
        # Of points that look like a crowd of others, only those pairs that stand out of it.
        least = np.full(len(products), _LEAST_CORRELATIONS[0], np.float32)
        for higher in (*_LEAST_CORRELATIONS[1:], 1.0):
            least[np.count_nonzero(products > least[:, None], axis=1) > _CROWD] = higher
        rows, columns = np.nonzero(products > least[:, None])
        far = np.abs(xy[top + rows] - other_xy[columns]).max(axis=1) >= LEAST_SHIFT_PX
        rows, columns = rows[far], columns[far]
        first.append(top + rows)
        second.append(columns)
        correlation.append(products[rows, columns])
        unseen.append(1 - least)
    rows, columns = np.concatenate(first), np.concatenate(second)
    order = np.lexsort((-np.concatenate(correlation), rows))
    rows, columns, distances = rows[order], columns[order], 1 - np.concatenate(correlation)[order]
    starts, unseen_from = np.flatnonzero(np.diff(rows, prepend=-1)), np.concatenate(unseen)
    kept = [
        start + twin
        for start, end in zip(starts, starts + np.diff(starts, append=len(rows)), strict=True)
        for twin in _twins(
            other_xy[columns[start:end]].tolist(),
            distances[start:end].tolist(),
            float(unseen_from[rows[start]]),
        )
    ]
    return rows[kept], columns[kept]


def _twins(candidates_xy: list[list[float]], distances: list[float], unseen_from: float) -> list[int]:
    """Which of the candidates, nearest in looks first, stand out from all others that lie elsewhere.

    Those who are not among the candidates have a distance of `unseen_from` or more.
    """
    twins: list[int] = []
    for number, (x, y) in enumerate(candidates_xy):
        elsewhere = [(x - candidates_xy[twin][0], y - candidates_xy[twin][1]) for twin in twins]
        if all(max(abs(right), abs(down)) >= _RIVAL_PX for right, down in elsewhere):
            if twins and distances[twins[-1]] < _LEAST_GAP * distances[number]:
                return twins
            twins.append(number)
            if len(twins) > _MOST_TWINS:
                return []
    return twins if twins and distances[twins[-1]] < _LEAST_GAP * unseen_from else []


def agree_on_movements(matches: Matches) -> list[Movement]:
    """The movements that most pairs agree on, those of the most pairs first; each pair counts for one of them.

    Pairs vote for each other where one's movement takes the other's point near to where it was found. Each movement is
    then fitted to its pairs, and to those near them that agree with the fit.
    """
    here, there = matches.here.astype(np.float32), matches.there.astype(np.float32)
    step_x, step_y = (here[None, :, axis] - here[:, None, axis] for axis in (0, 1))
    wrong = [
        row[:, :1] * step_x + row[:, 1:] * step_y - (there[None, :, axis] - there[:, None, axis])
        for axis, row in enumerate(matches.linear.astype(np.float32).transpose(1, 0, 2))
    ]
    length = np.hypot(step_x, step_y)
    same = matches.mirrored[:, None] == matches.mirrored[None]
    votes = (np.hypot(*wrong) < _TOLERANCE_PX + _TOLERANCE_PER_PX * length) & (length < _REACH_PX) & same
    left = np.ones(len(here), bool)
    movements: list[Movement] = []
    while len(movements) < _MOST_MOVEMENTS and left.any():
        counts = (votes & left).sum(axis=1) * left
        best = int(counts.argmax())
        if counts[best] < _FEWEST_POINTS:
            break
        agreeing, affine = _refine(matches, votes[best] & left, left & same[best])
        left &= ~(agreeing | votes[best])
        if affine is not None and is_plausible(affine, _MOST_SHEAR):
            movements.append(Movement(affine, matches.here[agreeing]))
    return movements


def _refine(
    matches: Matches, agreeing: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """The pairs that agree on a fit to them, and the fit (2, 3); None where too few points do, or all on one line."""
    affine: NDArray[np.float64] | None = None
    with_one = np.column_stack([matches.here, np.ones(len(matches.here))])
    for _ in range(_REFINEMENTS):
        points = matches.here[agreeing]
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        distinct = len(np.unique(np.rint(points / _TOLERANCE_PX), axis=0))
        if distinct < _FEWEST_POINTS or spread[-1] < _TOLERANCE_PX * 2:
            return agreeing, None
        affine = np.linalg.lstsq(with_one[agreeing], matches.there[agreeing], rcond=None)[0].T.astype(float)
        wrong = with_one @ affine.T - matches.there
        wrong_px = np.hypot(wrong[:, 0], wrong[:, 1])
        (low, high) = points.min(axis=0) - _REACH_PX, points.max(axis=0) + _REACH_PX
        near = ((matches.here >= low) & (matches.here <= high)).all(axis=1)
        again = (wrong_px < _TOLERANCE_PX) & near & allowed
        if np.array_equal(again, agreeing) or again.sum() < _FEWEST_POINTS:
            break
        agreeing = again
    return agreeing, affine


def is_plausible(affine: NDArray[np.float64], most_shear: float) -> bool:
    """Whether a movement (2, 3) scales by no more than is searched for, in all directions about alike."""
    larger, smaller = np.linalg.svd(affine[:, :2], compute_uv=False)
    return bool(smaller >= _LEAST_STRETCH and larger <= _MOST_STRETCH and larger <= most_shear * smaller)
