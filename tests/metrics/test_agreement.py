"""The scores of a small set, each computed again from scratch with scikit-learn; both must agree to 1e-6."""

import numpy as np
import pytest
from sklearn import metrics as sk

from doctored.metrics.averaging import mean_per_image
from doctored.metrics.image import image_auc, image_average_precision
from doctored.metrics.pixel import (
    best_pixel_f1,
    pixel_auc,
    pixel_average_precision,
    pixel_f1,
    pixel_iou,
    pixel_mcc,
)
from doctored.metrics.pooled import PooledPixelScores

THRESHOLD = 0.5


def generated_picture(number):
    """A forged map with its mask: an ellipse somewhere, found more or less well; some maps are in coarse steps."""
    rng = np.random.default_rng(number)
    height, width = rng.integers(40, 120, 2)
    y, x = np.mgrid[:height, :width]
    centre_y, centre_x = rng.uniform(0.2, 0.8, 2) * (height, width)
    radius_y, radius_x = rng.uniform(0.08, 0.4, 2) * (height, width)
    gt_mask = ((y - centre_y) / radius_y) ** 2 + ((x - centre_x) / radius_x) ** 2 < 1
    logits = rng.normal(-1, 1, gt_mask.shape) + rng.uniform(-0.5, 4) * gt_mask
    localization_map = 1 / (1 + np.exp(-logits))
    if number % 4 == 0:
        localization_map = localization_map.round(1)
    return localization_map.astype(np.float32), gt_mask


PICTURES = [generated_picture(number) for number in range(20)]


def best_f1_by_scikit_learn(labels, scores):
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    return np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300))


PAIRS = {
    "pixel AUC": (pixel_auc, sk.roc_auc_score),
    "average precision": (pixel_average_precision, sk.average_precision_score),
    "best F1": (lambda m, g: best_pixel_f1(m, g)[0], best_f1_by_scikit_learn),
    "F1": (pixel_f1, lambda labels, scores: sk.f1_score(labels, scores >= THRESHOLD)),
    "IoU": (pixel_iou, lambda labels, scores: sk.jaccard_score(labels, scores >= THRESHOLD)),
    "MCC": (pixel_mcc, lambda labels, scores: sk.matthews_corrcoef(labels, scores >= THRESHOLD)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_picture_and_the_mean_over_pictures(name):
    ours, theirs = PAIRS[name]
    found = [ours(localization_map, gt_mask) for localization_map, gt_mask in PICTURES]
    expected = [
        float(theirs(gt_mask.ravel(), localization_map.ravel())) for localization_map, gt_mask in PICTURES
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert mean_per_image(found) == pytest.approx(sum(expected) / 20, abs=1e-6)
    # a set on which all pictures score alike would prove little
    assert np.ptp(found) > 0.2


def test_pooled_over_the_pixels_of_all_pictures():
    pooled = PooledPixelScores()
    for localization_map, gt_mask in PICTURES:
        pooled.add(localization_map, gt_mask)
    labels = np.concatenate([gt_mask.ravel() for _, gt_mask in PICTURES])
    scores = np.concatenate([localization_map.ravel() for localization_map, _ in PICTURES])
    assert pooled.f1(THRESHOLD) == pytest.approx(sk.f1_score(labels, scores >= THRESHOLD), abs=1e-6)
    assert pooled.iou(THRESHOLD) == pytest.approx(sk.jaccard_score(labels, scores >= THRESHOLD), abs=1e-6)
    assert pooled.mcc(THRESHOLD) == pytest.approx(sk.matthews_corrcoef(labels, scores >= THRESHOLD), abs=1e-6)
    assert pooled.auc() == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-6)
    assert pooled.average_precision() == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-5)
    assert pooled.best_f1()[0] == pytest.approx(best_f1_by_scikit_learn(labels, scores), abs=1e-5)


def test_image_level_scores_of_the_mean_of_each_map():
    rng = np.random.default_rng(0)
    authentic = [1 / (1 + np.exp(1 - rng.normal(0, 1.2, (50, 50)))) for _ in range(20)]
    scores = [float(m.mean()) for m, _ in PICTURES] + [float(m.mean()) for m in authentic]
    labels = [True] * 20 + [False] * 20
    assert image_auc(scores, labels) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-6)
    assert image_average_precision(scores, labels) == pytest.approx(
        sk.average_precision_score(labels, scores), abs=1e-6
    )
