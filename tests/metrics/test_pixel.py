import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.pixel import PRIOR_GRID, pixel_auc, position_priors, shuffled_pixel_auc


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
    mask[0, 0] = True
    with pytest.raises(UndefinedMetricError, match="some weight"):
        shuffled_pixel_auc(np.zeros((4, 4), np.float32), mask, np.zeros((4, 4)))
