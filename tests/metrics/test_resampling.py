import numpy as np
import pytest
from scipy import stats

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.image import image_auc, tpr_at_fpr
from doctored.metrics.resampling import (
    Interval,
    bootstrap_interval,
    paired_comparison,
    stratified_interval,
)


def test_agrees_with_scipy_and_with_the_normal_interval():
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    ours = bootstrap_interval(values, resamples=4000, seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, random_state=np.random.default_rng(2)
    ).confidence_interval
    error = values.std() / 20
    assert (ours.value, ours.count) == (values.mean(), 400)
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * error)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * error)
    assert ours.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)


def test_two_values_by_hand():
    """Of four equally likely draws two are mixed: the means are 0, .5, .5, 1."""
    interval = bootstrap_interval([0.0, 1.0], level=0.4, resamples=4000)
    assert interval == Interval(0.5, 0.5, 0.5, 2)
    interval = bootstrap_interval([0.0, 1.0], level=0.6, resamples=4000)
    assert interval == Interval(0.5, 0.0, 1.0, 2)


def test_another_statistic_and_the_seed():
    values = np.random.default_rng(0).random(50)
    median = bootstrap_interval(values, lambda sample: float(np.median(sample)), seed=3)
    assert median.value == np.median(values)
    assert median.low < median.value < median.high
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        interval = bootstrap_interval(rng.random(40), level=0.8, resamples=200)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.7 < covered / 200 < 0.88


def test_pictures_are_drawn_within_their_class():
    """With one class drawn away an AUC would be undefined; within classes their numbers never change."""
    scores = np.array([0.9, 0.8, 0.3, 0.1, 0.2, 0.4, 0.5])
    labels = np.array([True, True, False, False, False, False, False])
    shares = []

    def record(drawn_scores, drawn_labels):
        shares.append(drawn_labels.sum())
        assert set(drawn_scores[drawn_labels]) <= {0.9, 0.8}
        return image_auc(drawn_scores, drawn_labels)

    interval = stratified_interval(scores, labels, record, resamples=50)
    assert set(shares) == {2}
    assert interval == Interval(1.0, 1.0, 1.0, 7)


def test_the_interval_of_an_auc_is_as_wide_as_theory_says():
    rng = np.random.default_rng(1)
    labels = np.arange(600) < 300
    scores = rng.standard_normal(600) + labels
    interval = stratified_interval(scores, labels, resamples=400)
    # Hanley and McNeil, 1982
    auc, n = interval.value, 300
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = np.sqrt((auc * (1 - auc) + (n - 1) * (q1 + q2 - 2 * auc**2)) / n**2)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert stratified_interval(scores, labels, lambda s, t: tpr_at_fpr(s, t, 0.05), resamples=50).count == 600


def test_a_small_but_steady_gain_shows_only_in_the_paired_comparison():
    rng = np.random.default_rng(0)
    difficulty = rng.random(200)
    a, b = difficulty + 0.01 + rng.normal(0, 0.02, 200), difficulty
    comparison = paired_comparison(a, b, seed=0)
    assert comparison.difference.value == pytest.approx((a - b).mean())
    assert 0 < comparison.difference.low < comparison.difference.high
    assert comparison.share_first_better == 1.0
    assert bootstrap_interval(a).low < bootstrap_interval(b).high
    reverse = paired_comparison(b, a, seed=0)
    assert reverse.share_first_better == 0.0
    assert reverse.difference.low == pytest.approx(-comparison.difference.high)


def test_equal_models_beat_each_other_half_of_the_time():
    values = np.random.default_rng(0).random(20)
    comparison = paired_comparison(values, values)
    assert comparison.difference == Interval(0.0, 0.0, 0.0, 20)
    assert comparison.share_first_better == 0.5


def test_wrong_inputs_are_named():
    for values in ([], [0.3]):
        with pytest.raises(UndefinedMetricError, match="two pictures"):
            bootstrap_interval(values)
    with pytest.raises(UndefinedMetricError, match="NaN"):
        bootstrap_interval([0.1, float("nan")])
    with pytest.raises(UndefinedMetricError, match="3 manipulated and 1 authentic"):
        stratified_interval([0.1, 0.2, 0.3, 0.4], [True, True, True, False])
    with pytest.raises(UndefinedMetricError, match="NaN"):
        stratified_interval([0.1, 0.2, 0.3, float("nan")], [True, True, False, False])
    with pytest.raises(ShapeError, match="3 and 2"):
        paired_comparison([0.1, 0.2, 0.3], [0.1, 0.2])
    with pytest.raises(ConfigError, match="95"):
        bootstrap_interval([0.1, 0.2], level=95)
    with pytest.raises(ConfigError, match="got 0"):
        bootstrap_interval([0.1, 0.2], resamples=0)
