import cv2
import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    precision_recall_curve,
    roc_auc_score,
)

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.conventions import PixelConvention
from doctored.metrics.pixel import (
    PRIOR_GRID,
    best_pixel_f1,
    flagged_area,
    pixel_auc,
    pixel_average_precision,
    pixel_f1,
    pixel_iou,
    pixel_mcc,
    pixel_scores,
    position_priors,
    rank_pixels,
    shuffled_pixel_auc,
)

FLIP = PixelConvention(polarity_flip=True)
THRESHOLDED = {pixel_f1: f1_score, pixel_iou: jaccard_score, pixel_mcc: matthews_corrcoef}


def centre_biased_masks(count, size_hw, seed=0):
    """Squares whose places are spread normally about the picture's centre, as in people's forgeries."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    masks = []
    for _ in range(count):
        y, x = (int(np.clip(rng.normal(0.5, 0.15), 0.1, 0.8) * side) for side in size_hw)
        mask = np.zeros(size_hw, bool)
        mask[y : y + height // 8, x : x + width // 8] = True
        masks.append(mask)
    return masks


def centre_blob(size_hw):
    y, x = ((np.arange(side) + 0.5) / side - 0.5 for side in size_hw)
    return np.exp(-(y[:, None] ** 2 + x[None] ** 2) / 0.08)


def test_four_pixels_by_hand():
    gt_mask = np.array([[True, False], [False, True]])
    # .6 beats .2 and ties .6; .4 beats .2 and loses to .6
    assert pixel_auc(np.array([[0.6, 0.2], [0.6, 0.4]], np.float32), gt_mask) == 2.5 / 4
    assert pixel_auc(np.zeros((2, 2), np.float32), gt_mask) == 0.5


def test_shuffled_weights_by_hand():
    gt_mask = np.array([[True, False], [False, False]])
    localization_map = np.array([[0.5, 0.1], [0.9, 0.5]], np.float32)
    prior = np.array([[0.7, 0.2], [0.6, 0.2]])
    # won .2, lost .6, tied .2, of 1.0
    assert shuffled_pixel_auc(localization_map, gt_mask, prior) == pytest.approx(0.3)


def test_position_priors_leave_one_out_on_equal_sizes():
    masks = centre_biased_masks(5, (PRIOR_GRID, PRIOR_GRID))
    expected = [np.mean([other for other in masks if other is not mask], axis=0) for mask in masks]
    np.testing.assert_allclose(position_priors(masks), expected, atol=1e-7)


def test_position_prior_of_mixed_sizes_agrees_with_area_resizing():
    first, second, third = centre_biased_masks(3, (200, 320))
    small = cv2.resize(third.astype(np.uint8), (100, 37), interpolation=cv2.INTER_NEAREST).astype(bool)
    priors = position_priors([first, second, small])
    expected = [
        cv2.resize(mask.astype(np.float64), (PRIOR_GRID, PRIOR_GRID), interpolation=cv2.INTER_AREA)
        for mask in (first, second)
    ]
    np.testing.assert_allclose(priors[2], np.mean(expected, axis=0), atol=1e-6)


def test_shuffled_auc_agrees_with_scikit_learn_and_opencv_resizing():
    rng = np.random.default_rng(1)
    masks = centre_biased_masks(20, (96, 150))
    prior = position_priors(masks)[3]
    localization_map = rng.random((96, 150)).round(1)
    weights = np.where(masks[3], 1, cv2.resize(prior, (150, 96), interpolation=cv2.INTER_LINEAR))
    expected = roc_auc_score(masks[3].ravel(), localization_map.ravel(), sample_weight=weights.ravel())
    assert shuffled_pixel_auc(localization_map, masks[3], prior) == pytest.approx(expected, abs=1e-6)


def test_a_centre_blob_is_good_at_pixels_and_blind_when_shuffled():
    masks = centre_biased_masks(200, (64, 96))
    blob = centre_blob((64, 96))
    priors = position_priors(masks)
    assert np.mean([pixel_auc(blob, mask) for mask in masks]) > 0.75
    shuffled = [shuffled_pixel_auc(blob, mask, prior) for mask, prior in zip(masks, priors, strict=True)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.04)


def test_a_perfect_map_stays_perfect_when_shuffled():
    masks = centre_biased_masks(10, (64, 96))
    prior = position_priors(masks)[0]
    assert shuffled_pixel_auc(masks[0].astype(np.float32), masks[0], prior) == 1.0


def test_errors_say_what_is_missing():
    mask = np.zeros((4, 4), bool)
    with pytest.raises(UndefinedMetricError, match="one class"):
        pixel_auc(np.zeros((4, 4), np.float32), mask)
    with pytest.raises(UndefinedMetricError, match="one class"):
        pixel_auc(np.zeros((4, 4), np.float32), ~mask)
    with pytest.raises(ShapeError, match=r"\(4, 5\).*\(4, 4\)"):
        pixel_auc(np.zeros((4, 5), np.float32), mask)
    with pytest.raises(UndefinedMetricError, match="got 1"):
        position_priors([mask])
    for score in (pixel_average_precision, best_pixel_f1, pixel_f1, pixel_iou, pixel_mcc, pixel_scores):
        for one_class in (mask, ~mask):
            with pytest.raises(UndefinedMetricError, match="one class"):
                score(np.full((4, 4), 0.7, np.float32), one_class)
    mask[0, 0] = True
    for score in (pixel_auc, pixel_average_precision, best_pixel_f1, pixel_f1, pixel_iou, pixel_mcc):
        with pytest.raises(UndefinedMetricError, match="NaN"):
            score(np.where(mask, np.nan, 0.5), mask)
        with pytest.raises(UndefinedMetricError, match="4 px"):
            score(np.zeros((4, 4)), mask, convention=PixelConvention(ignored_border_px=4))
    with pytest.raises(UndefinedMetricError, match="NaN"):
        flagged_area(np.array([[0.1, np.nan]]))
    with pytest.raises(UndefinedMetricError):
        flagged_area(np.zeros((0, 4)))
    with pytest.raises(UndefinedMetricError, match="some weight"):
        shuffled_pixel_auc(np.zeros((4, 4), np.float32), mask, np.zeros((4, 4)))


def noisy_case(seed, size_hw=(31, 47)):
    """A map that knows a little, with ties, and a mask."""
    rng = np.random.default_rng(seed)
    gt_mask = np.zeros(size_hw, bool)
    gt_mask[9:20, 13:33] = True
    localization_map = np.clip(rng.normal(0.4, 0.25, size_hw) + 0.2 * gt_mask, 0, 1).round(2)
    return localization_map.astype(np.float32), gt_mask


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed):
    localization_map, gt_mask = noisy_case(seed)
    labels, scores = gt_mask.ravel(), localization_map.ravel()
    assert pixel_average_precision(localization_map, gt_mask) == pytest.approx(
        average_precision_score(labels, scores)
    )
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / (precision + recall + 1e-10)
    best, threshold = best_pixel_f1(localization_map, gt_mask)
    assert best == pytest.approx(f1.max(), abs=1e-9)
    assert threshold == thresholds[f1.argmax()]
    assert pixel_f1(localization_map, gt_mask, threshold) == best
    for ours, theirs in THRESHOLDED.items():
        assert ours(localization_map, gt_mask, 0.6) == pytest.approx(
            theirs(labels, scores >= np.float32(0.6))
        )


@pytest.mark.parametrize("seed", range(3))
def test_with_a_polarity_flip_the_better_of_map_and_inverse_counts(seed):
    localization_map, gt_mask = noisy_case(seed)
    opposite = 1 - localization_map.astype(np.float64)
    ranked = (pixel_auc, pixel_average_precision)
    for case in (localization_map, opposite):
        for score in ranked:
            both = [score(localization_map, gt_mask), score(opposite, gt_mask)]
            assert score(case, gt_mask, convention=FLIP) == pytest.approx(max(both))
        for score in THRESHOLDED:
            both = [score(localization_map, gt_mask, 0.6), score(opposite, gt_mask, 0.6)]
            assert score(case, gt_mask, 0.6, FLIP) == pytest.approx(max(both))
        assert best_pixel_f1(case, gt_mask, FLIP)[0] == pytest.approx(
            best_pixel_f1(localization_map, gt_mask)[0]
        )
    prior = np.full((4, 4), 0.5)
    assert shuffled_pixel_auc(opposite, gt_mask, prior, FLIP) == pytest.approx(
        shuffled_pixel_auc(localization_map, gt_mask, prior)
    )


def test_the_threshold_of_an_inverse_map_is_one_of_the_inverse():
    gt_mask = np.array([[True, False, False]])
    f1, threshold = best_pixel_f1(np.array([[0.25, 0.5, 1.0]]), gt_mask, FLIP)
    assert (f1, threshold) == (1.0, 0.75)


def test_nothing_flagged_is_0_for_f1_iou_and_mcc():
    localization_map, gt_mask = noisy_case(0)
    for score in THRESHOLDED:
        assert score(localization_map, gt_mask, 1.5) == 0.0


def test_a_constant_map_reaches_the_floor_of_the_best_f1():
    gt_mask = np.zeros((10, 10), bool)
    gt_mask[:2] = True
    constant = np.full((10, 10), 0.3, np.float32)
    best, threshold = best_pixel_f1(constant, gt_mask)
    assert best == pytest.approx(2 * 0.2 / 1.2)
    assert threshold == constant[0, 0]
    assert pixel_average_precision(constant, gt_mask) == pytest.approx(0.2)
    assert pixel_auc(constant, gt_mask) == 0.5
    assert pixel_mcc(constant, gt_mask, 0.1) == 0.0


def test_all_scores_at_once_are_the_single_ones():
    localization_map, gt_mask = noisy_case(4)
    for convention in (PixelConvention(), PixelConvention(True, 2, True)):
        scores = pixel_scores(localization_map, ~gt_mask, 0.4, convention)
        assert scores.auc == pixel_auc(localization_map, ~gt_mask, convention)
        assert scores.average_precision == pixel_average_precision(localization_map, ~gt_mask, convention)
        assert (scores.best_f1, scores.best_f1_threshold) == best_pixel_f1(
            localization_map, ~gt_mask, convention
        )
        assert scores.f1 == pixel_f1(localization_map, ~gt_mask, 0.4, convention)
        assert scores.iou == pixel_iou(localization_map, ~gt_mask, 0.4, convention)
        assert scores.mcc == pixel_mcc(localization_map, ~gt_mask, 0.4, convention)
        assert len(rank_pixels(localization_map, ~gt_mask, convention)) == 1 + convention.polarity_flip


def test_an_ignored_border_and_an_inverted_mask_change_what_is_scored():
    localization_map, gt_mask = noisy_case(5)
    kernel = np.ones((5, 5), np.uint8)
    grown = cv2.dilate(gt_mask.astype(np.uint8), kernel) > 0
    shrunk = cv2.erode(gt_mask.astype(np.uint8), kernel) > 0
    counted = ~grown | shrunk
    expected = roc_auc_score(gt_mask[counted], localization_map[counted])
    border = PixelConvention(ignored_border_px=2)
    assert pixel_auc(localization_map, gt_mask, border) == pytest.approx(expected)
    prior = np.random.default_rng(0).random((31, 47))
    weights = np.where(gt_mask, 1, prior)[counted]
    expected = roc_auc_score(gt_mask[counted], localization_map[counted], sample_weight=weights)
    assert shuffled_pixel_auc(localization_map, gt_mask, prior, border) == pytest.approx(expected)
    invert = PixelConvention(invert_large_masks=True)
    for score in (pixel_auc, pixel_f1, pixel_mcc):
        assert score(localization_map, ~gt_mask, convention=invert) == score(localization_map, gt_mask)
    priors = position_priors([gt_mask, ~gt_mask], invert)
    np.testing.assert_allclose(priors[0], priors[1], atol=1e-12)


def test_flagged_area_by_hand():
    assert flagged_area(np.array([[0.5, 0.49], [0.9, 0.0]], np.float32)) == 0.5
    assert flagged_area(np.zeros((3, 3)), 0.1) == 0.0
