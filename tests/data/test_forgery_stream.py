from itertools import islice

import numpy as np
import pytest

from doctored.core.errors import ConfigError, DataError
from doctored.data.forgery_stream import ForgeryStream


def photos(count, size_hw=(96, 120)):
    rng = np.random.default_rng(0)
    return [rng.integers(60, 180, (*size_hw, 3), np.uint8) for _ in range(count)]


def images(stream, count, **where):
    return [sample.image for sample in islice(stream.samples(**where), count)]


def test_a_stream_repeats_resumes_and_differs_between_workers():
    first = images(ForgeryStream(photos(4), 64, seed=1), 5)
    np.testing.assert_array_equal(first, images(ForgeryStream(photos(4), 64, seed=1), 5))
    np.testing.assert_array_equal(first[2:], images(ForgeryStream(photos(4), 64, seed=1), 3, start=2))
    assert not np.array_equal(first, images(ForgeryStream(photos(4), 64, seed=1), 5, worker=1))
    assert not np.array_equal(first, images(ForgeryStream(photos(4), 64, seed=2), 5))


def test_kinds_come_by_their_shares():
    stream = ForgeryStream(photos(4), 64, shares={"authentic": 3, "removal": 1})
    techniques = [sample.technique for sample in islice(stream.samples(), 120)]
    assert set(techniques) == {"authentic", "removal"}
    assert techniques.count("authentic") / 120 == pytest.approx(0.75, abs=0.12)


def test_the_default_is_a_fifth_to_a_quarter_authentic():
    techniques = [sample.technique for sample in islice(ForgeryStream(photos(4), 64).samples(), 200)]
    assert set(techniques) == {"authentic", "splicing", "copy_move", "removal", "enhancement"}
    assert 0.14 < techniques.count("authentic") / 200 < 0.31


def test_small_photographs_are_left_out_and_listed():
    stream = ForgeryStream([photos(1, (79, 200))[0], *photos(2), photos(1, (200, 30))[0]], 64)
    assert stream.too_small == [0, 3]
    assert next(stream.samples()).image.shape == (64, 64, 3)
    with pytest.raises(DataError, match="1 of 2 are"):
        ForgeryStream([*photos(1), *photos(1, (20, 20))], 64)


def test_wrong_shares_are_named():
    with pytest.raises(ConfigError, match="cloning"):
        ForgeryStream(photos(2), 64, shares={"cloning": 1})
    with pytest.raises(ConfigError, match="positive"):
        ForgeryStream(photos(2), 64, shares={"splicing": 0})
    with pytest.raises(ConfigError, match="positive"):
        ForgeryStream(photos(2), 64, shares={"splicing": 2, "removal": -1})
