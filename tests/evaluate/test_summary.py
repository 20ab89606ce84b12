import numpy as np
import pytest

from doctored.evaluate.protocols import FULL, make_protocol
from doctored.evaluate.summary import area_rows, comparison_rows, score_rows
from doctored.metrics.image import image_auc


def record(model, kind, name, score, **given):
    scores = dict.fromkeys(
        (
            "pixel_auc", "shuffled_pixel_auc", "best_pixel_f1", "pixel_f1", "pixel_iou", "pixel_mcc",
            "pixel_average_precision", "pixel_recall", "flagged_area",
        )
    )  # fmt: skip
    return {
        "data": "set", "view": "as_is", "model": model, "kind": kind, "name": name, "score": score,
        "map_mean": score, "map_max": 1.0, "detection_score": None, "regions": [], "forged_share": None,
        **scores, **given,
    }  # fmt: skip


def records_of(model, aucs, scores, shift=0.0):
    forged = [
        record(model, "manipulated", f"f{n}", scores[n] + shift, pixel_auc=auc, forged_share=share)
        for n, (auc, share) in enumerate(zip(aucs, (0.005, 0.03, 0.04, 0.5), strict=True))
    ]
    authentic = [
        record(model, "authentic", f"a{n}", score, flagged_area=0.25 * n) for n, score in enumerate(scores)
    ]
    return forged + authentic


def test_rows_by_hand():
    records = records_of("m", [0.5, 0.75, None, 1.0], [0.1, 0.2, 0.3, 0.4], shift=0.15)
    rows = {row.metric: row for row in score_rows(records, {}, FULL, file_facts=False)}
    assert (rows["pixel_auc"].value, rows["pixel_auc"].pictures, rows["pixel_auc"].undefined) == (0.75, 3, 1)
    assert rows["pixel_auc"].low < 0.75 < rows["pixel_auc"].high
    assert rows["flagged_area"].value == pytest.approx(0.375)
    assert (rows["pixel_f1"].value, rows["pixel_f1"].undefined) == (None, 4)
    # 0.25, .35, .45, .55 against .1 .. .4: 2, 3, 4 and 4 of 4 are below
    assert rows["image_auc"].value == pytest.approx(13 / 16)
    assert rows["image_auc_of_max"].value == 0.5
    assert rows["image_tpr_at_5_percent_fpr"].value == 0.5
    assert "image_balanced_accuracy" not in rows


def test_calibrated_scores_are_judged_at_their_operating_point():
    records = records_of("m", [1, 1, 1, 1], [0.1, 0.2, 0.3, 0.4])
    for one in records:
        one["detection_score"] = 0.5 if one["name"] in ("f0", "f1", "f2", "a3") else 0.25
    rows = {row.metric: row.value for row in score_rows(records, {}, FULL, file_facts=False)}
    assert rows["image_tpr"] == 0.75
    assert rows["image_false_alarms"] == 0.25
    assert rows["image_balanced_accuracy"] == 0.75
    # of four at .5 three are manipulated, of four at .25 one is
    assert rows["image_calibration_error"] == pytest.approx((0.25 + 0.0) / 2)


def test_undefined_file_facts_are_counted_aside():
    """Two pairs of forgery and original: whichever pair is left out, the fit is sound; with a single original it is
    not, and without any there is nothing to tell apart."""
    on_file = {"bytes_per_pixel": 1.0, "jpeg_quality": None, "width": 9, "height": 9, "format": "PNG"}
    names = [
        ("manipulated", "a.png"),
        ("manipulated", "b.png"),
        ("authentic", "a.png"),
        ("authentic", "b.png"),
    ]
    records = [record("m", kind, name, 0.5, subsampling=None, **on_file) for kind, name in names]

    def file_facts(some):
        return [row for row in score_rows(some, {}, FULL) if row.detector == "file_facts"]

    counts = {(row.value is None, row.pictures, row.undefined) for row in file_facts(records)}
    assert counts == {(False, 4, 0)}
    metrics = {row.metric for row in file_facts(records)}
    records[3]["name"] = "c.png"
    for some in (records, records[:3]):
        rows = file_facts(some)
        assert {row.metric for row in rows} == metrics
        assert {(row.value, row.pictures, row.undefined) for row in rows} == {(None, 0, len(some))}
    assert file_facts(records[:2]) == []


def test_comparisons_use_the_same_pictures():
    first = records_of("first", [0.9, 0.8, None, 0.7], [0.1, 0.2, 0.3, 0.4], shift=1)
    second = records_of("second", [0.5, 0.6, 0.4, None], [0.1, 0.2, 0.3, 0.4])
    rows = {row.metric: row for row in comparison_rows(first + second, FULL)}
    assert rows["pixel_auc"].difference == pytest.approx((0.4 + 0.2) / 2)
    assert (rows["pixel_auc"].first, rows["pixel_auc"].second, rows["pixel_auc"].pictures) == (
        "first",
        "second",
        2,
    )
    assert rows["pixel_auc"].low == pytest.approx(0.2)
    labels = np.repeat([True, False], 4)
    gain = image_auc([one["score"] for one in first], labels) - image_auc(
        [one["score"] for one in second], labels
    )
    assert rows["image_auc"].difference == pytest.approx(gain)
    assert rows["image_auc"].low <= gain <= rows["image_auc"].high
    only_pixels = comparison_rows(first + second, make_protocol("mantranet"))
    assert {row.metric for row in only_pixels} == {"pixel_auc"}


def test_scores_by_forged_area():
    rows = area_rows(records_of("m", [0.5, 0.7, 0.9, None], [0.1, 0.2, 0.3, 0.4]), FULL)
    assert [(row.metric, row.area, pytest.approx(row.value), row.pictures) for row in rows] == [
        ("pixel_auc", "<1 %", 0.5, 1),
        ("pixel_auc", "<5 %", 0.8, 2),
    ]
