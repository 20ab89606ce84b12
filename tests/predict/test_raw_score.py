import numpy as np
import pytest
from scipy import ndimage

from doctored.predict.raw_score import largest_region, most_voted


def reference(values: np.ndarray) -> float:
    """The rule with SciPy's regions, for maps that are a multiple of 64 on both sides and square."""
    side = values.shape[0] // 64
    cells = values.astype(np.float64).reshape(64, side, 64, side).mean(axis=(1, 3))
    excess = cells - np.quantile(cells, 0.98)
    labels, count = ndimage.label(excess > 0)
    return max(ndimage.sum(excess, labels, range(1, count + 1))) / cells.size


@pytest.mark.parametrize("side", [64, 128, 320])
def test_it_agrees_with_a_second_implementation(side: int):
    rng = np.random.default_rng(side)
    values = ndimage.gaussian_filter(rng.normal(size=(side, side)), side / 30).astype(np.float32)
    assert largest_region(values) == pytest.approx(reference(values), rel=1e-9)


def test_by_hand():
    # 100 pixels, fewer than the cells: each is a cell. The quantile is that of rank 97.02 of 0..99, here 0.
    values = np.zeros((10, 10), np.float32)
    values[3, 4] = 5
    assert largest_region(values) == pytest.approx(5 / 100)
    # With a second one the quantile, 0.02 of the way from rank 97 to 98, is 0.04.
    values[7, 7] = 2
    assert largest_region(values) == pytest.approx((5 - 0.04) / 100)
    # With a third it is 2, and only the first still exceeds it.
    values[3, 5] = 2
    assert largest_region(values) == pytest.approx((5 - 2) / 100)
    # Three cells of one region count together.
    values[:] = 0
    values[3, 4:6] = 5
    assert largest_region(values) == pytest.approx(2 * (5 - 0.02 * 5) / 100)


def test_what_hangs_together_scores_higher_than_the_same_strewn_about():
    together, strewn = np.zeros((2, 128, 128), np.float32)
    together[40:52, 40:52] = 1
    rng = np.random.default_rng(0)
    strewn.ravel()[rng.permutation(strewn.size)[:144]] = 1
    assert together.sum() == strewn.sum()
    assert largest_region(together) > 5 * largest_region(strewn)


def test_a_lifted_map_scores_the_same_and_a_flat_one_nothing():
    values = np.random.default_rng(1).normal(size=(90, 130)).astype(np.float32)
    assert largest_region(values + np.float32(8)) == pytest.approx(largest_region(values), rel=1e-4)
    assert largest_region(np.full((70, 90), 3, np.float32)) == 0


def test_an_enlarged_map_scores_the_same():
    values = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)
    assert largest_region(np.kron(values, np.ones((5, 5), np.float32))) == pytest.approx(
        largest_region(values), rel=1e-5
    )


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 5000), (3000, 1), (65, 67), (200, 4000)])
def test_any_shape_has_a_score(size_hw: tuple[int, int]):
    values = np.random.default_rng(3).normal(size=size_hw).astype(np.float32)
    assert np.isfinite(largest_region(values))
    assert largest_region(values) >= 0


def test_votes_by_hand():
    votes = np.zeros((10, 20), np.float32)
    votes[2, 3:8] = 2  # 10 of 200 cells, each of a pixel, are a twentieth
    votes[7, 1:5] = 0.5
    assert most_voted(votes) == pytest.approx(np.log((5 * 2 + 4 * 0.5) / 10 + 0.01))
    assert most_voted(np.zeros((10, 20), np.float32)) == pytest.approx(np.log(0.01))


def test_votes_count_the_same_where_they_are_strewn_and_in_an_enlarged_map():
    rng = np.random.default_rng(4)
    votes = rng.exponential(size=(64, 64)).astype(np.float32)
    expected = np.log(np.sort(votes.ravel())[-205:].mean(dtype=np.float64) + 0.01)
    assert most_voted(votes) == pytest.approx(expected)
    assert most_voted(rng.permutation(votes.ravel()).reshape(64, 64)) == pytest.approx(expected)
    assert most_voted(np.kron(votes, np.ones((4, 4), np.float32))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 5000), (3000, 1), (200, 4000)])
def test_any_shape_has_votes(size_hw: tuple[int, int]):
    votes = np.random.default_rng(5).exponential(size=size_hw).astype(np.float32)
    assert np.log(0.01) <= most_voted(votes) <= np.log(votes.max() + 0.01)
