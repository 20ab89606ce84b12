import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    auc,
    average_precision_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    precision_recall_curve,
    roc_auc_score,
)

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.conventions import PixelConvention
from doctored.metrics.pooled import PooledPixelScores


def pictures(count=6, seed=0):
    """Maps whose values lie exactly on a grid of 1/256, with masks of many sizes, some of them empty."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        size_hw = tuple(rng.integers(8, 40, 2))
        gt_mask = rng.random(size_hw) < (0 if number % 3 == 2 else 0.2)
        noisy = np.clip(rng.normal(0.4, 0.2, size_hw) + 0.15 * gt_mask, 0, 1)
        yield (np.round(noisy * 256) / 256).astype(np.float32), gt_mask


def pooled(cases, **settings):
    scores = PooledPixelScores(**settings)
    for case in cases:
        scores.add(*case)
    return scores


def flat(cases):
    maps, masks = zip(*cases, strict=True)
    return np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])


def test_agrees_with_scikit_learn_over_all_pixels():
    scores = pooled(pictures(), bins=256)
    values, labels = flat(pictures())
    assert scores.pictures == 6
    assert scores.auc() == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
    assert scores.average_precision() == pytest.approx(average_precision_score(labels, values), abs=1e-12)
    precision, recall, thresholds = precision_recall_curve(labels, values)
    f1 = 2 * precision * recall / (precision + recall + 1e-30)
    assert scores.best_f1() == (pytest.approx(f1.max()), thresholds[f1.argmax()])
    np.testing.assert_allclose(scores.pr_curve().precision, precision[-2::-1])
    for threshold in (0.0, 0.25, 0.5, 1.0):
        flagged = values >= threshold
        assert scores.f1(threshold) == pytest.approx(f1_score(labels, flagged, zero_division=0))
        assert scores.iou(threshold) == pytest.approx(jaccard_score(labels, flagged, zero_division=0))
        assert scores.mcc(threshold) == pytest.approx(matthews_corrcoef(labels, flagged))


def test_fine_bins_are_close_to_exact_on_values_of_any_kind():
    rng = np.random.default_rng(1)
    gt_mask = rng.random((200, 200)) < 0.1
    localization_map = (rng.beta(0.5, 3, gt_mask.shape) * (1 - 0.3 * ~gt_mask)).astype(np.float32)
    scores = pooled([(localization_map, gt_mask)])
    values, labels = localization_map.ravel(), gt_mask.ravel()
    assert scores.auc() == pytest.approx(roc_auc_score(labels, values), abs=1e-4)
    assert scores.average_precision() == pytest.approx(average_precision_score(labels, values), abs=1e-3)
    assert scores.f1(0.5) == f1_score(labels, values >= 0.5)


def test_a_threshold_between_two_cells_acts_at_the_upper_one():
    scores = pooled([(np.array([[0.3, 0.6, 0.8]], np.float32), np.array([[False, True, True]]))], bins=4)
    assert scores.f1(0.5) == 1.0
    assert scores.f1(0.51) == scores.f1(0.75) == pytest.approx(2 / 3)
    assert scores.f1(1.0) == 0.0


def test_a_map_of_ones_is_flagged_at_one():
    gt_mask = np.array([[True, False]])
    scores = pooled([(np.array([[1.0, 0.999]], np.float32), gt_mask)], bins=4)
    assert scores.f1(1.0) == 1.0
    assert scores.auc() == 1.0


def test_large_pictures_weigh_more_than_in_a_mean_over_pictures():
    bad = (np.array([[0.0, 1.0]], np.float32), np.array([[True, False]]))
    good = (np.repeat([[1.0, 0.0]], 50, axis=0).astype(np.float32), np.repeat([[True, False]], 50, axis=0))
    # 50 x 50 pairs won, 50 + 50 tied with the bad picture's pixels, 1 lost, of 51 x 51
    assert pooled([bad, good]).auc() == pytest.approx((2500 + 100 / 2) / 51**2)


def test_an_interrupted_run_goes_on_where_it_was():
    cases = list(pictures())
    convention = PixelConvention(True, 1, True)
    first = pooled(cases[:2], convention=convention)
    saved = {name: array.copy() for name, array in first.state().items()}
    first.add(*cases[2])
    resumed = PooledPixelScores.from_state(saved)
    assert (resumed.convention, resumed.pictures, resumed.bins) == (convention, 2, first.bins)
    for case in cases[2:]:
        resumed.add(*case)
    whole = pooled(cases, convention=convention)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array)


@settings(max_examples=20)
@given(st.integers(0, 6))
def test_merged_parts_are_the_whole(split):
    cases = list(pictures())
    first, second = pooled(cases[:split], bins=64), pooled(cases[split:], bins=64)
    first.merge(second)
    whole = pooled(cases, bins=64)
    assert first.pictures == whole.pictures
    assert first.auc() == whole.auc()
    np.testing.assert_array_equal(first.state()["positives"], whole.state()["positives"])


def test_a_polarity_flip_is_that_of_the_whole_set():
    cases = [(1 - localization_map, gt_mask) for localization_map, gt_mask in pictures()]
    plain, flipped = pooled(cases), pooled(cases, convention=PixelConvention(polarity_flip=True))
    values, labels = flat(pictures())
    assert plain.auc() < 0.5
    assert flipped.auc() == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
    assert flipped.average_precision() == pytest.approx(average_precision_score(labels, values), abs=1e-12)
    assert flipped.f1(0.5) == pytest.approx(f1_score(labels, values >= 0.5), abs=0.02)
    curve = flipped.roc_curve()
    area = auc(curve.false_positive_rate, curve.true_positive_rate)
    assert area == pytest.approx(flipped.auc(), abs=1e-9)


def test_errors_say_what_is_wrong_and_change_nothing():
    gt_mask = np.array([[True, False]])
    scores = PooledPixelScores(bins=8)
    for wrong in ([[0.1, np.nan]], [[-0.1, 0.2]], [[0.1, 1.5]]):
        with pytest.raises(UndefinedMetricError, match=r"\[0, 1\]"):
            scores.add(np.array(wrong), gt_mask)
    with pytest.raises(ShapeError):
        scores.add(np.zeros((2, 2)), gt_mask)
    assert scores.pictures == 0
    with pytest.raises(UndefinedMetricError, match="no pixels"):
        scores.auc()
    scores.add(np.zeros((1, 2)), np.zeros((1, 2), bool))
    for score in (scores.auc, scores.average_precision, scores.best_f1, scores.f1, scores.iou, scores.mcc):
        with pytest.raises(UndefinedMetricError, match=r"1 pictures.*authentic pixels only"):
            score()
    with pytest.raises(ConfigError, match="100"):
        PooledPixelScores(bins=100)
    with pytest.raises(ConfigError, match="16 bins"):
        scores.merge(PooledPixelScores(bins=16))
    with pytest.raises(ConfigError, match="ignored_border_px=2"):
        scores.merge(PooledPixelScores(bins=8, convention=PixelConvention(ignored_border_px=2)))
    state = scores.state()
    with pytest.raises(ConfigError, match="one length"):
        PooledPixelScores.from_state(state | {"positives": np.zeros(3, np.int64)})
    del state["positives"]
    with pytest.raises(ConfigError, match="lacks positives"):
        PooledPixelScores.from_state(state)
