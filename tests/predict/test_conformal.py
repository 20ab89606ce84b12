import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctored.predict.conformal import detection_score, false_alarm_rate

SCORES = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0])


@pytest.mark.parametrize(
    ("raw_score", "rate"),
    [
        (40.0, 1 / 10),  # none of the nine is as high
        (34.0, 2 / 10),  # a tie counts as high
        (33.0, 2 / 10),
        (2.5, 7 / 10),
        (2.0, 9 / 10),  # both twos count
        (0.0, 1.0),
    ],
)
def test_the_rate_worked_by_hand(raw_score, rate):
    assert false_alarm_rate(raw_score, SCORES) == rate


def test_with_nothing_to_compare_with_nothing_is_claimed():
    assert false_alarm_rate(1e9, np.array([])) == 1.0


def test_rates_of_authentic_pictures_are_uniform():
    """The promise itself: whatever the distribution, at most a share a of authentic pictures gets a rate up to a."""
    rng = np.random.default_rng(0)
    n, trials = 99, 4000
    rates = []
    for _ in range(trials):
        *others, own = rng.lognormal(sigma=2, size=n + 1)
        rates.append(false_alarm_rate(own, np.array(others)))
    counts = np.histogram(rates, bins=np.arange(0.5, n + 2) / (n + 1))[0]
    assert counts.sum() == trials
    # Pearson's statistic has the mean of its degrees of freedom and twice that as variance.
    statistic = ((counts - trials / (n + 1)) ** 2 / (trials / (n + 1))).sum()
    assert abs(statistic - n) < 4 * math.sqrt(2 * n)
    for level in (0.01, 0.05, 0.5):
        share = np.mean(np.array(rates) <= level)
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / trials)


def test_the_detection_score_worked_by_hand():
    # Of nine scores, 0.2 is reached above 21 (one is higher) and exceeded at 21, so 0.5 lies just above 21.
    above = math.nextafter(21.0, math.inf)
    assert detection_score(above, SCORES, 0.2) == 0.5
    assert detection_score(21.0, SCORES, 0.2) == pytest.approx(0.5)
    assert detection_score(21.0, SCORES, 0.2) < 0.5
    # Just above 34 the rate is 0.1, half of 0.2; just above 3 it is 0.6; halfway to 5 it is between 0.6 and 0.5.
    assert detection_score(34.0, SCORES, 0.2) == pytest.approx(0.2 / (0.2 + 0.1))
    assert detection_score(3.0, SCORES, 0.2) == pytest.approx(0.2 / (0.2 + 0.6))
    assert detection_score(4.0, SCORES, 0.2) == pytest.approx(0.2 / (0.2 + math.sqrt(0.6 * 0.5)))
    # A range (of 33) beyond the highest the rate has halved, a range below the lowest it has doubled from 0.9.
    assert detection_score(67.0, SCORES, 0.2) == pytest.approx(0.2 / (0.2 + 0.05))
    assert detection_score(-32.0, SCORES, 0.2) == pytest.approx(0.2 / (0.2 + 1.8))


def test_an_unreachable_operating_point_lies_beyond_all_scores():
    assert detection_score(34.0, SCORES, 0.05) < 0.5
    assert detection_score(34.0 + 33.0, SCORES, 0.05) == pytest.approx(0.5)
    assert detection_score(1000.0, SCORES, 0.05) > 0.5


def test_equal_scores_still_give_a_scale():
    scores = np.full(99, 7.0)
    values = [detection_score(raw, scores, 0.05) for raw in (5.0, 6.9, 7.0, 7.1, 9.0)]
    assert values == sorted(set(values))
    assert values[2] < 0.5 <= values[3]


finite = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 3))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(finite, min_size=1, max_size=60),
    st.lists(finite, min_size=2, max_size=20, unique=True),
    st.sampled_from([0.01, 0.05, 0.2, 0.5]),
)
def test_the_detection_score_rises_without_ties_and_agrees_with_the_rate(scores, raw_scores, operating_point):
    authentic = np.array(scores)
    raw_scores = sorted(raw_scores)
    values = [detection_score(raw, authentic, operating_point) for raw in raw_scores]
    assert all(low < high for low, high in itertools.pairwise(values))
    assert values[0] > 0
    assert values[-1] < 1
    if 1 / (len(scores) + 1) <= operating_point:
        for raw, value in zip(raw_scores, values, strict=True):
            assert (value >= 0.5) == (false_alarm_rate(raw, authentic) <= operating_point)
