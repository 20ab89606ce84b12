import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.ranking import rank, weighted_auc

TIED_ROWS = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({positive for _, positive in rows}) == 2
)


def test_four_pairs_counted_by_hand():
    # positives .4 and .8 against negatives .1 and .4: three pairs won, one tied
    assert weighted_auc([0.1, 0.4, 0.4, 0.8], [False, True, False, True]) == 3.5 / 4


def test_weights_count_pairs_by_their_product():
    # the pair (.8 over .1) weighs 3 * 1 and is won, (.8 over .9) weighs 3 * 2 and is lost
    assert weighted_auc([0.8, 0.1, 0.9], [True, False, False], np.array([3.0, 1.0, 2.0])) == pytest.approx(
        1 / 3
    )


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.booleans(), st.floats(0.01, 10)),
        min_size=2,
        max_size=60,
    ).filter(lambda rows: len({positive for _, positive, _ in rows}) == 2)
)
def test_agrees_with_scikit_learn_on_tied_weighted_scores(rows):
    scores, positives, weights = (np.array(column) for column in zip(*rows, strict=True))
    expected = roc_auc_score(positives, scores, sample_weight=weights)
    assert weighted_auc(scores, positives, weights) == pytest.approx(expected, abs=1e-9)


def test_a_million_scores_keep_their_precision():
    rng = np.random.default_rng(0)
    positives = rng.random(1_000_000) < 0.001
    scores = (rng.standard_normal(positives.size) + positives).astype(np.float32)
    assert weighted_auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores), abs=1e-12)


def test_undefined_inputs_are_named():
    with pytest.raises(UndefinedMetricError, match="both classes"):
        weighted_auc([0.1, 0.2], [True, True])
    with pytest.raises(UndefinedMetricError, match="some weight"):
        weighted_auc([0.1, 0.2], [True, False], np.array([1.0, 0.0]))
    with pytest.raises(UndefinedMetricError, match="NaN"):
        weighted_auc([0.1, float("nan")], [True, False])
    with pytest.raises(UndefinedMetricError, match="0 or more"):
        weighted_auc([0.1, 0.2], [True, False], np.array([1.0, -1.0]))
    with pytest.raises(UndefinedMetricError, match="some weight"):
        weighted_auc([0.1, 0.2], [True, False], np.array([0.0, 0.0]))
    with pytest.raises(UndefinedMetricError, match="got none"):
        weighted_auc([], [])
    with pytest.raises(ShapeError, match="3 scores, got 2 labels"):
        weighted_auc([0.1, 0.2, 0.3], [True, False])
    with pytest.raises(ShapeError, match="2 scores, got 3 weights"):
        weighted_auc([0.1, 0.2], [True, False], np.ones(3))
    for score in (lambda r: r.average_precision(), lambda r: r.best_f1(), lambda r: r.roc_curve()):
        with pytest.raises(UndefinedMetricError, match="both classes"):
            score(rank([0.1, 0.2], [False, False]))
    with pytest.raises(ConfigError, match="got 1"):
        rank([0.1, 0.2], [True, False]).roc_curve(points=1)


@given(TIED_ROWS)
def test_unit_weights_change_nothing(rows):
    scores, positives = (np.array(column) for column in zip(*rows, strict=True))
    plain, weighted = rank(scores, positives), rank(scores, positives, np.ones(len(rows)))
    np.testing.assert_array_equal(plain.thresholds, weighted.thresholds)
    np.testing.assert_array_equal(plain.positives_at, weighted.positives_at)
    np.testing.assert_array_equal(plain.negatives_at, weighted.negatives_at)


@given(TIED_ROWS)
def test_average_precision_agrees_with_scikit_learn(rows):
    scores, positives = (np.array(column) for column in zip(*rows, strict=True))
    expected = average_precision_score(positives, scores)
    assert rank(scores, positives).average_precision() == pytest.approx(expected, abs=1e-12)


@given(TIED_ROWS)
def test_best_f1_is_the_best_of_every_threshold_tried(rows):
    scores, positives = (np.array(column) for column in zip(*rows, strict=True))
    by_threshold = {value: f1_score(positives, scores >= value, zero_division=0) for value in set(scores)}
    best = max(by_threshold.values())
    f1, threshold = rank(scores, positives).best_f1()
    assert f1 == pytest.approx(best)
    assert threshold == max(value for value, of_it in by_threshold.items() if of_it > best - 1e-12)


@given(TIED_ROWS)
def test_inverting_turns_every_pair_around(rows):
    scores, positives = (np.array(column) for column in zip(*rows, strict=True))
    ranking = rank(scores, positives)
    assert ranking.inverted().auc() == pytest.approx(1 - ranking.auc())
    expected = average_precision_score(positives, 1 - scores)
    assert ranking.inverted().average_precision() == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(ranking.inverted().inverted().thresholds, ranking.thresholds)


def test_curves_agree_with_scikit_learn():
    rng = np.random.default_rng(2)
    positives = rng.random(300) < 0.3
    scores = (rng.standard_normal(300) + positives).round(1)
    ranking = rank(scores, positives)
    false_rate, true_rate, thresholds = roc_curve(positives, scores, drop_intermediate=False)
    curve = ranking.roc_curve()
    np.testing.assert_allclose(curve.false_positive_rate, false_rate)
    np.testing.assert_allclose(curve.true_positive_rate, true_rate)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    # theirs runs the other way and ends at an added point of precision 1
    precision, recall, thresholds = precision_recall_curve(positives, scores)
    np.testing.assert_allclose(ranking.pr_curve().precision, precision[-2::-1])
    np.testing.assert_allclose(ranking.pr_curve().recall, recall[-2::-1])
    np.testing.assert_array_equal(ranking.pr_curve().thresholds, thresholds[::-1])


def test_a_thinned_curve_keeps_its_ends_and_its_steep_part():
    rng = np.random.default_rng(3)
    positives = rng.random(20_000) < 0.5
    # almost perfect: the whole rise happens within the first thousandth of false positives
    ranking = rank(rng.standard_normal(20_000) + 8 * positives, positives)
    curve = ranking.roc_curve(points=50)
    assert curve.thresholds.size <= 50
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    assert np.diff(curve.true_positive_rate).max() < 0.05
    assert np.count_nonzero(curve.false_positive_rate < 0.001) >= 20
    pr_curve = ranking.pr_curve(points=50)
    assert pr_curve.recall.size <= 50
    assert pr_curve.recall[-1] == 1
    assert pr_curve.precision[-1] == pytest.approx(positives.mean())


def test_a_confusion_of_a_ranking_flags_its_own_threshold():
    scores = np.array([0.7, 0.1, 0.7, 0.3], np.float32)
    positives = np.array([True, True, False, False])
    ranking = rank(scores, positives)
    for threshold in (0.7, float(scores[0]), 0.5, 0.1, 0.0, 0.9):
        flagged = scores >= threshold
        confusion = ranking.confusion(threshold)
        assert confusion.true_positives == np.count_nonzero(flagged & positives)
        assert confusion.false_positives == np.count_nonzero(flagged & ~positives)
        assert confusion.true_negatives == np.count_nonzero(~flagged & ~positives)
