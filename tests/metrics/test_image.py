import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_curve

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.image import (
    OperatingPoint,
    ReliabilityBin,
    balanced_accuracy,
    expected_calibration_error,
    image_auc,
    image_average_precision,
    operating_point,
    reliability_bins,
    tpr_at_fpr,
)

TIED_ROWS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def test_two_of_six_pairs_are_lost():
    assert image_auc([0.9, 0.3, 0.5, 0.4, 0.2], [True, True, True, False, False]) == pytest.approx(5 / 6)


def test_a_set_of_authentic_pictures_has_no_auc():
    with pytest.raises(UndefinedMetricError):
        image_auc([0.1, 0.7], [False, False])


@given(TIED_ROWS, st.integers(0, 9))
def test_average_precision_and_balanced_accuracy_agree_with_scikit_learn(rows, threshold):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    assert image_average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))
    assert balanced_accuracy(scores, labels, threshold) == pytest.approx(
        balanced_accuracy_score(labels, scores >= threshold)
    )


@given(TIED_ROWS, st.sampled_from([0.0, 0.01, 0.05, 0.25, 0.5, 1.0]))
def test_tpr_at_fpr_is_the_best_point_of_the_whole_roc_curve(rows, fpr):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    false_rates, true_rates, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert tpr_at_fpr(scores, labels, fpr) == pytest.approx(true_rates[false_rates <= fpr].max())
    point = operating_point(scores, labels, fpr)
    assert point.false_positive_rate <= fpr
    assert point.true_positive_rate == np.mean(scores[labels] >= point.threshold)
    assert point.false_positive_rate == np.mean(scores[~labels] >= point.threshold)


def test_five_percent_of_twenty_is_one_picture():
    authentic = np.arange(20) / 20
    scores = np.concatenate((authentic, [0.96, 0.94, 0.9]))
    labels = np.arange(23) >= 20
    assert operating_point(scores, labels, 0.05) == OperatingPoint(0.94, pytest.approx(2 / 3), 0.05)
    # fewer than 100 authentic pictures allow no false alarm at 1 %
    assert operating_point(scores, labels, 0.01) == OperatingPoint(0.96, pytest.approx(1 / 3), 0.0)


def test_a_tie_with_an_authentic_picture_is_not_split():
    """Sorting manipulated pictures first among equals would find one of two here."""
    scores, labels = [0.9, 0.9, 0.5, 0.1], [True, False, True, False]
    assert operating_point(scores, labels, 0.25) == OperatingPoint(float("inf"), 0.0, 0.0)
    assert tpr_at_fpr(scores, labels, 0.5) == 1.0
    # all equal: all or nothing
    assert tpr_at_fpr([0.3] * 4, labels, 0.99) == 0.0
    assert tpr_at_fpr([0.3] * 4, labels, 1.0) == 1.0


def test_reliability_by_hand():
    probabilities = [0.0, 0.1, 0.25, 0.6, 0.7, 1.0]
    labels = [False, False, True, True, False, True]
    assert reliability_bins(probabilities, labels, bins=4) == [
        ReliabilityBin(0.0, 0.25, pytest.approx(0.35 / 3), pytest.approx(1 / 3), 3),
        ReliabilityBin(0.5, 0.75, pytest.approx(0.65), 0.5, 2),
        ReliabilityBin(0.75, 1.0, 1.0, 1.0, 1),
    ]
    expected = (3 * (1 / 3 - 0.35 / 3) + 2 * 0.15) / 6
    assert expected_calibration_error(probabilities, labels, bins=4) == pytest.approx(expected)


def test_reliability_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.random(500).round(2)
    labels = rng.random(500) < probabilities**2
    filled = reliability_bins(probabilities, labels)
    shares, means = calibration_curve(labels, probabilities, n_bins=15)
    np.testing.assert_allclose([each.manipulated_share for each in filled], shares)
    np.testing.assert_allclose([each.mean_probability for each in filled], means)
    counts = np.array([each.count for each in filled])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(
        (counts * abs(shares - means)).sum() / 500
    )


def test_calibration_error_at_its_ends():
    assert expected_calibration_error([0.0, 1.0, 1.0], [False, True, True]) == 0.0
    assert expected_calibration_error([0.0, 1.0, 1.0], [True, False, False]) == 1.0
    # defined for authentic pictures alone: all that is predicted is too much
    assert expected_calibration_error([0.2, 0.4], [False, False]) == pytest.approx(0.3)


def test_wrong_inputs_are_named():
    for score in (image_average_precision, lambda s, t: tpr_at_fpr(s, t, 0.05)):
        with pytest.raises(UndefinedMetricError, match="both classes"):
            score([0.1, 0.7], [True, True])
        with pytest.raises(UndefinedMetricError, match="NaN"):
            score([0.1, float("nan")], [True, False])
        with pytest.raises(ShapeError, match="2 scores, got 1 labels"):
            score([0.1, 0.2], [True])
    with pytest.raises(UndefinedMetricError, match="nothing is authentic"):
        balanced_accuracy([0.1, 0.7], [True, True], 0.5)
    with pytest.raises(ConfigError, match="got 5"):
        tpr_at_fpr([0.1, 0.7], [True, False], 5)
    with pytest.raises(UndefinedMetricError, match="-2 to 3"):
        expected_calibration_error([-2.0, 3.0], [True, False])
    with pytest.raises(UndefinedMetricError, match="NaN"):
        expected_calibration_error([float("nan")], [True])
    with pytest.raises(UndefinedMetricError, match="got none"):
        expected_calibration_error([], [])
    with pytest.raises(ConfigError, match="got 0"):
        reliability_bins([0.5], [True], bins=0)
