"""Against scikit-learn, and against cases worked by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from doctored.core.errors import DataError
from doctored.train.logistic import fit_logistic


def samples(count=400, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 3)) * [1, 20, 0.01] + [0, 5, 1]
    odds = features @ [1.5, 0.05, 80] - 80
    return features, rng.random(count) < 1 / (1 + np.exp(-odds)), rng.uniform(0.2, 3, count)


def test_it_agrees_with_scikit_learn():
    features, positive, weights = samples()
    fit = fit_logistic(features, positive, weights)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(
        features / features.std(axis=0), positive, weights
    )
    np.testing.assert_allclose(fit.weights, oracle.coef_[0] / features.std(axis=0), rtol=1e-3)
    offset = oracle.intercept_[0]
    assert fit.bias == pytest.approx(offset, abs=0.01 * max(1, abs(offset)))


def test_one_feature_of_two_values_by_hand():
    # Odds 1:3 at 0 and 3:1 at 1: log-odds -log 3 and log 3.
    features = np.array([[0.0]] * 4 + [[1.0]] * 4)
    positive = np.array([True, False, False, False, True, True, True, False])
    fit = fit_logistic(features, positive, np.ones(8))
    assert fit.bias == pytest.approx(-np.log(3), abs=1e-4)
    assert fit.weights[0] == pytest.approx(2 * np.log(3), abs=1e-4)


def test_weights_count_like_repeated_samples():
    features, positive, _ = samples(60)
    counts = np.random.default_rng(1).integers(1, 4, 60)
    weighted = fit_logistic(features, positive, counts.astype(float))
    repeated = fit_logistic(
        np.repeat(features, counts, 0), np.repeat(positive, counts), np.ones(counts.sum())
    )
    np.testing.assert_allclose(weighted.weights, repeated.weights, rtol=1e-6)


def test_evidence_against_its_meaning_and_constants_count_nothing():
    features, positive, weights = samples()
    turned = np.column_stack([features[:, 0], -features[:, 1], np.ones(len(features))])
    fit = fit_logistic(turned, positive, weights)
    alone = fit_logistic(features[:, :1], positive, weights)
    assert fit.weights[1:].tolist() == [0, 0]
    assert fit.weights[0] == pytest.approx(alone.weights[0], rel=1e-6)
    assert fit.bias == pytest.approx(alone.bias, rel=1e-6)


def test_separable_classes_give_finite_weights():
    features = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    fit = fit_logistic(features, np.array([False, False, True, True]), np.ones(4))
    assert np.isfinite(fit.weights).all()
    assert fit.weights[0] > 1


def test_what_cannot_be_fitted_is_a_sentence():
    with pytest.raises(DataError, match="samples of both classes"):
        fit_logistic(np.ones((3, 1)), np.ones(3, bool), np.ones(3))
    with pytest.raises(DataError, match="finite features"):
        fit_logistic(np.array([[np.nan], [0.0]]), np.array([True, False]), np.ones(2))
