"""Votes for JPEG grids, against a slow count and against grids that Pillow made."""

import numpy as np
import pytest
from scipy.fft import dctn
from skimage import data

from doctored.models.grid_search import votes
from doctored.models.grid_search.votes import BLOCK_PX, NO_GRID, vote
from models.grid_search.foreign_grid import saved

PHOTO = data.astronaut()[:160, :240]


def count_by_hand(pixels, threshold, excluded):
    """The votes of all pixels, one block after the other."""
    luminance = pixels @ np.array([0.299, 0.587, 0.114])
    height, width = luminance.shape
    counts = np.zeros((64, height, width), int)
    for grid in range(64):
        for top in range(grid // 8, height - 7, 8):
            for left in range(grid % 8, width - 7, 8):
                block = luminance[top : top + 8, left : left + 8]
                small = np.abs(dctn(block, norm="ortho")) < threshold
                if not small[1:].all() and not small[:, 1:].all():
                    counts[grid, top : top + 8, left : left + 8] = small.sum()
    allowed = [grid for grid in range(64) if grid not in excluded]
    chosen = np.full((height, width), NO_GRID)
    for y in range(height):
        for x in range(width):
            best = max(counts[grid, y, x] for grid in allowed)
            winners = [grid for grid in allowed if counts[grid, y, x] == best]
            if best and len(winners) == 1:
                chosen[y, x] = winners[0]
    return chosen, counts[allowed].mean(axis=0)


@pytest.mark.parametrize(("threshold", "excluded"), [(1.03, ()), (3.97, {0, 1, 8, 63})])
def test_votes_are_those_of_a_slow_count(threshold, excluded):
    pixels = saved(PHOTO, 80)[37:69, 101:142]
    (counted,) = vote(pixels, [threshold], excluded)
    chosen, calm = count_by_hand(pixels, threshold, excluded)
    assert counted.grid.shape == (4, 5)
    for y in range(4):
        for x in range(5):
            cell = np.s_[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            tally = np.bincount(chosen[cell].ravel(), minlength=256)[:64]
            assert counted.calm[y, x] == pytest.approx(calm[cell].mean(), rel=1e-5)
            assert (counted.votes[y, x], counted.voters[y, x]) == (tally.max(), tally.sum())
            assert counted.grid[y, x] == (tally.argmax() if tally.any() else NO_GRID)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 5), (7, 1)])
def test_the_grid_of_a_jpeg_file_has_most_votes_wherever_it_is_cropped(top, left):
    (counted,) = vote(saved(PHOTO, 75)[top:, left:], [1.0])
    grid, share = counted.most_voted()
    assert divmod(grid, 8) == (-top % 8, -left % 8)
    assert share > 0.7


def test_a_photograph_without_compression_shows_no_grid():
    noise = np.random.default_rng(0).normal(128, 20, (160, 240, 3)).clip(0, 255).astype(np.uint8)
    (counted,) = vote(noise, [1.0])
    assert counted.most_voted()[1] < 0.05


def test_several_thresholds_at_once_and_bands_change_nothing(monkeypatch):
    """But where a coefficient lies at a threshold: matrix products of other shapes may round it to the other side."""
    pixels = saved(PHOTO, 60)
    whole = vote(pixels, [1.03, 3.97], {0})
    (alone,) = vote(pixels, [3.97], {0})
    monkeypatch.setattr(votes, "_BAND_CELLS", 2 * (pixels.shape[1] // BLOCK_PX))
    for one, other in zip([*whole, whole[1]], [*vote(pixels, [1.03, 3.97], {0}), alone], strict=True):
        np.testing.assert_allclose(one.calm, other.calm, atol=0.05)
        for name in ("grid", "votes", "voters"):
            assert np.mean(getattr(one, name) != getattr(other, name)) < 0.01, name


def test_nobody_votes_where_all_grids_are_equal():
    flat = np.full((64, 64, 3), 90, np.uint8)
    (counted,) = vote(flat, [1.0])
    assert not counted.votes.any()
    assert (counted.grid == NO_GRID).all()
    assert counted.grids() == []
    stripes = flat.copy()
    stripes[:, ::2] = 140
    assert not vote(stripes, [1.0])[0].votes.any()


def test_votes_for_one_grid():
    counted = votes.GridVotes(
        np.array([[3, 9], [3, NO_GRID]], np.uint8),
        np.array([[10, 64], [5, 0]], np.uint8),
        np.full((2, 2), 64, np.uint8),
        np.zeros((2, 2)),
    )
    np.testing.assert_array_equal(counted.of(3), [[10, 0], [5, 0]])
    assert counted.grids() == [3, 9]
    assert counted.most_voted() == (9, 0.25)
