import numpy as np
import pytest

from doctored.predict.statistics import ChannelStatistics


def test_pieces_equal_the_whole():
    rng = np.random.default_rng(0)
    values = rng.normal([0, 5, -3], [1, 0.1, 20], (151, 97, 3)).astype(np.float32)
    statistics = ChannelStatistics(3)
    for rows in np.array_split(values, [1, 40, 41, 150]):
        for piece in np.array_split(rows, [30, 31], axis=1):
            statistics.add(piece)
    assert statistics.count == 151 * 97
    np.testing.assert_allclose(statistics.mean, values.astype(np.float64).mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(statistics.std, values.astype(np.float64).std(axis=(0, 1)), rtol=1e-6)


def test_a_large_mean_leaves_the_deviation_exact():
    """Sums of squares in float32 would give 0 or NaN here."""
    values = (4000 + np.random.default_rng(0).normal(0, 0.01, (64, 64, 1))).astype(np.float32)
    statistics = ChannelStatistics(1)
    statistics.add(values)
    assert statistics.std[0] == pytest.approx(values.astype(np.float64).std(), rel=1e-5)


def test_one_pixel_has_no_deviation():
    statistics = ChannelStatistics(2)
    statistics.add(np.array([[[3, -1]]], np.float32))
    assert statistics.mean.tolist() == [3, -1]
    assert statistics.std.tolist() == [0, 0]
