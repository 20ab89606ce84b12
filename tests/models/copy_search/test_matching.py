"""Pairs of points, and what they agree on."""

import numpy as np
import pytest

from doctored.models.copy_search.matching import Matches, agree_on_movements, is_plausible

RNG = np.random.default_rng(3)


def matches(affine, count=40, wrong_px=0.5, linear=None, mirrored=False):
    here = RNG.uniform(20, 90, (count, 2))
    there = here @ affine[:, :2].T + affine[:, 2] + RNG.normal(0, wrong_px, (count, 2))
    linear = affine[:, :2] if linear is None else linear
    return Matches(here, there, np.repeat(linear[None], count, axis=0), np.full(count, mirrored))


def together(*parts):
    return Matches(*(np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])))


TURN = np.array([[0.9, -0.3, 150.0], [0.3, 0.9, 20.0]])
MIRROR = np.array([[-1.0, 0.0, 300.0], [0.0, 1.0, 10.0]])


def test_the_movement_of_most_pairs_is_found_among_wrong_ones():
    noise = Matches(
        RNG.uniform(0, 300, (200, 2)),
        RNG.uniform(0, 300, (200, 2)),
        np.repeat(np.eye(2)[None], 200, axis=0),
        np.zeros(200, bool),
    )
    (movement,) = agree_on_movements(together(noise, matches(TURN)))
    points = np.array([[20.0, 20], [90, 20], [55, 90]])
    expected = points @ TURN[:, :2].T + TURN[:, 2]
    moved = points @ movement.affine[:, :2].T + movement.affine[:, 2]
    np.testing.assert_allclose(moved, expected, atol=0.8)


def test_two_movements_are_two_and_the_larger_comes_first():
    first, second = agree_on_movements(
        together(matches(TURN, 30), matches(MIRROR, 60, linear=MIRROR[:, :2], mirrored=True))
    )
    np.testing.assert_allclose(first.affine[:, :2], MIRROR[:, :2], atol=0.05)
    np.testing.assert_allclose(second.affine[:, :2], TURN[:, :2], atol=0.05)
    assert len(first.here) == 60
    assert len(second.here) == 30


def test_few_pairs_or_pairs_on_a_line_make_no_movement():
    assert agree_on_movements(matches(TURN, 4)) == []
    line = matches(TURN, 40)
    line.here[:, 1] = 50
    line.there[:] = line.here @ TURN[:, :2].T + TURN[:, 2]
    assert agree_on_movements(line) == []
    assert agree_on_movements(matches(TURN, 0)) == []


@pytest.mark.parametrize(
    ("affine", "plausible"),
    [
        (TURN, True),
        (MIRROR, True),
        (np.diag([2.0, 2.0]), True),
        (np.diag([3.0, 3.0]), False),
        (np.diag([0.3, 0.3]), False),
        (np.diag([1.0, 1.3]), False),
    ],
)
def test_movements_scale_alike_in_all_directions(affine, plausible):
    assert is_plausible(affine, 1.2) is plausible
