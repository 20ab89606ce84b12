import numpy as np
import pytest

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.area import (
    AREA_STRATA,
    StratumScore,
    area_stratum,
    by_area,
    forged_share,
    pixel_recall,
)


@pytest.mark.parametrize(
    ("pixels", "name"),
    [
        (1, "<0.1 %"),
        (9, "<0.1 %"),
        (10, "<1 %"),  # exactly .1 % is no longer below it
        (99, "<1 %"),
        (100, "<5 %"),
        (500, "<20 %"),
        (1999, "<20 %"),
        (2000, ">=20 %"),
        (10_000, ">=20 %"),
    ],
)
def test_strata_at_their_bounds(pixels, name):
    gt_mask = (np.arange(10_000) < pixels).reshape(100, 100)
    assert forged_share(gt_mask) == pixels / 10_000
    assert area_stratum(gt_mask) == name


def test_means_and_counts_by_hand_in_the_order_of_size():
    scores = {"large": 0.9, "tiny": 0.1, "small a": 0.2, "small b": 0.6}
    areas = {"large": 1.0, "tiny": 0.0005, "small a": 0.004, "small b": 0.009, "not scored": 0.1}
    result = by_area(scores, areas)
    assert list(result.items()) == [
        ("<0.1 %", StratumScore(0.1, 1)),
        ("<1 %", StratumScore(pytest.approx(0.4), 2)),
        (">=20 %", StratumScore(0.9, 1)),
    ]


def test_each_picture_is_in_one_stratum():
    rng = np.random.default_rng(0)
    areas = {str(number): share for number, share in enumerate(10 ** rng.uniform(-5, 0, 200))}
    scores = dict.fromkeys(areas, 1.0)
    result = by_area(scores, areas)
    assert sum(stratum.count for stratum in result.values()) == 200
    assert set(result) == {stratum.name for stratum in AREA_STRATA}


def test_recall_by_hand():
    gt_mask = np.array([[True, True, True, False]])
    assert pixel_recall(np.array([[0.5, 0.4, 0.9, 1.0]], np.float32), gt_mask) == pytest.approx(2 / 3)
    assert pixel_recall(np.zeros((1, 4)), gt_mask) == 0.0
    assert pixel_recall(np.ones((1, 4)), np.ones((1, 4), bool)) == 1.0


def test_undefined_inputs_are_named():
    empty = np.zeros((3, 3), bool)
    with pytest.raises(UndefinedMetricError, match="no pixel"):
        area_stratum(empty)
    with pytest.raises(UndefinedMetricError, match="manipulated"):
        pixel_recall(np.zeros((3, 3)), empty)
    with pytest.raises(ShapeError, match="missing for b"):
        by_area({"a": 0.5, "b": 0.5}, {"a": 0.1})
    with pytest.raises(UndefinedMetricError, match="a is NaN"):
        by_area({"a": float("nan")}, {"a": 0.1})
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(UndefinedMetricError, match="forged share of a"):
            by_area({"a": 0.5}, {"a": share})
