import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.metrics.boxes import (
    ScoredBox,
    TrueBox,
    box_iou,
    mean_average_precision,
    voc_average_precision,
    voc_by_technique,
)

UNIT = (0, 0, 10, 10)


# Some overlap by more than half, some by less.
NEIGHBOURS = st.sampled_from([UNIT, (0, 0, 10, 9), (2, 0, 12, 10), (5, 0, 15, 10), (30, 30, 40, 40)])


def truth(picture, box=UNIT, technique="splicing"):
    return TrueBox(picture, box, technique)


def guess(picture, score, box=UNIT, technique="splicing"):
    return ScoredBox(picture, box, technique, score)


def painted(box, end=0):
    """The pixels of a box, one by one."""
    plane = np.zeros((20, 20), bool)
    left, top, right, bottom = box
    plane[top : bottom + end, left : right + end] = True
    return plane


boxes = st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(9, 18)] * 2) | st.tuples(
    *[st.integers(5, 12)] * 2, *[st.integers(13, 19)] * 2
)


@given(boxes, boxes, st.booleans())
def test_iou_counts_pixels(a, b, inclusive):
    first, second = painted(a, inclusive), painted(b, inclusive)
    expected = np.count_nonzero(first & second) / np.count_nonzero(first | second)
    assert box_iou(a, b, inclusive_pixels=inclusive)[0, 0] == pytest.approx(expected)


def test_iou_of_all_pairs():
    result = box_iou([UNIT, (5, 0, 15, 10)], [UNIT, (20, 20, 30, 30), (10, 0, 20, 10)])
    np.testing.assert_allclose(result, [[1, 0, 0], [1 / 3, 0, 1 / 3]])
    assert box_iou(np.empty((0, 4)), [UNIT]).shape == (0, 1)


def test_average_precision_worked_by_hand():
    truths = [truth("a"), truth("b"), truth("c"), truth("c", (50, 50, 60, 60))]
    predictions = [
        guess("c", 0.9),  # right: 1/1, recall 1/4
        guess("authentic", 0.8),  # wrong: 1/2
        guess("a", 0.7, (0, 0, 10, 9)),  # right, IoU .9: 2/3, recall 2/4
        guess("c", 0.6),  # wrong, found before: 2/4
        guess("b", 0.5, (5, 0, 15, 10)),  # wrong, IoU 1/3: 2/5
        guess("c", 0.4, (50, 50, 60, 60)),  # right: 3/6, recall 3/4
    ]
    result = voc_average_precision(predictions, truths)
    np.testing.assert_allclose(result.precision, [1, 1 / 2, 2 / 3, 1 / 2, 2 / 5, 1 / 2])
    np.testing.assert_allclose(result.recall, [0.25, 0.25, 0.5, 0.5, 0.5, 0.75])
    assert result.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert result.average_precision == pytest.approx(0.25 * (1 + 2 / 3 + 1 / 2))
    # recalls 0 .1 .2 | .3 .4 .5 | .6 .7 | .8 .9 1
    eleven = voc_average_precision(predictions, truths, eleven_points=True)
    assert eleven.average_precision == pytest.approx((3 * 1 + 3 * 2 / 3 + 2 * 1 / 2) / 11)


def test_the_overlap_must_exceed_the_bound():
    half = [guess("a", 0.9, (0, 0, 10, 5))]
    assert voc_average_precision(half, [truth("a")]).average_precision == 0.0
    assert voc_average_precision(half, [truth("a")], iou=0.49).average_precision == 1.0
    # counted with the last pixel inside, the same numbers overlap by 66 of 121
    assert voc_average_precision(half, [truth("a")], inclusive_pixels=True).average_precision == 1.0


def test_only_the_box_overlapped_most_is_looked_at():
    """As in VOC, a second box is wrong even if it overlaps another true box by enough."""
    truths = [truth("a", (0, 0, 10, 10)), truth("a", (0, 0, 10, 8))]
    predictions = [guess("a", 0.9, (0, 0, 10, 10)), guess("a", 0.8, (0, 0, 10, 10))]
    assert voc_average_precision(predictions, truths).precision.tolist() == [1.0, 0.5]


def test_precision_that_recovers_counts_from_its_later_height():
    truths = [truth("a"), truth("b"), truth("c")]
    predictions = [guess("authentic", 0.9), guess("a", 0.8), guess("b", 0.7), guess("authentic", 0.6)]
    result = voc_average_precision(predictions, truths)
    np.testing.assert_allclose(result.precision, [0, 1 / 2, 2 / 3, 1 / 2])
    # up to a recall of 2/3 the best precision still to come is 2/3; the rest is never found
    assert result.average_precision == pytest.approx(2 / 3 * 2 / 3)


def slow_average_precision(predictions, truths, iou):
    """Accept everything from each score up, one threshold at a time, and add up rectangles."""
    points = []
    for bound in sorted({prediction.score for prediction in predictions}, reverse=True):
        accepted = [prediction for prediction in predictions if prediction.score >= bound]
        found = set()
        for prediction in accepted:
            here = [other for other in truths if other.picture == prediction.picture]
            overlaps = [box_iou(prediction.box_xyxy, other.box_xyxy)[0, 0] for other in here]
            if overlaps and max(overlaps) > iou:
                found.add(id(here[overlaps.index(max(overlaps))]))
        points.append((len(found) / len(truths), len(found) / len(accepted)))
    area, before = 0.0, 0.0
    for index, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[index:])
        before = recall
    return area


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), NEIGHBOURS, st.integers(0, 4)), max_size=12),
    st.lists(st.tuples(st.integers(0, 2), NEIGHBOURS), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_agrees_with_a_slow_count_whatever_the_order_of_ties(predicted, true, random):
    predictions = [guess(str(picture), score / 4, box) for picture, box, score in predicted]
    truths = [truth(str(picture), box) for picture, box in true]
    expected = slow_average_precision(predictions, truths, 0.5)
    assert voc_average_precision(predictions, truths).average_precision == pytest.approx(expected)
    random.shuffle(predictions)
    assert voc_average_precision(predictions, truths).average_precision == pytest.approx(expected)


def test_each_technique_on_its_own_and_their_mean():
    truths = [truth("a"), truth("b", technique="removal")]
    predictions = [
        guess("a", 0.9),
        guess("b", 0.8),  # in the right place, but named splicing
        guess("b", 0.7, technique="removal"),
        guess("b", 0.9, (50, 50, 60, 60), "removal"),
        guess("a", 0.9, technique="copy_move"),  # no true box is: counts nowhere
    ]
    curves = voc_by_technique(predictions, truths)
    assert {name: curve.average_precision for name, curve in curves.items()} == {
        "removal": 0.5,
        "splicing": 1.0,
    }
    assert mean_average_precision(curves) == 0.75
    assert voc_by_technique(predictions, truths, iou=0.9, eleven_points=True)["splicing"].recall[-1] == 1


def test_finding_nothing_is_0_and_looking_for_nothing_is_undefined():
    result = voc_average_precision([], [truth("a")])
    assert (result.average_precision, result.precision.size, result.scores.size) == (0.0, 0, 0)
    assert voc_average_precision([], [truth("a")], eleven_points=True).average_precision == 0.0
    with pytest.raises(UndefinedMetricError, match="true box"):
        voc_average_precision([guess("a", 0.5)], [])
    with pytest.raises(UndefinedMetricError, match="technique"):
        mean_average_precision(voc_by_technique([], []))


def test_wrong_inputs_are_named():
    with pytest.raises(UndefinedMetricError, match="NaN"):
        voc_average_precision([guess("a", float("nan"))], [truth("a")])
    for box in ((5, 5, 5, 9), (5, 5, 9, 4), (5, 5, float("nan"), 9)):
        with pytest.raises(UndefinedMetricError, match="no area"):
            box_iou(UNIT, box)
    with pytest.raises(ShapeError, match=r"\(1, 3\)"):
        box_iou(UNIT, [(1, 2, 3)])
    with pytest.raises(ConfigError, match="got 50"):
        voc_average_precision([], [truth("a")], iou=50)
