import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.confusion import Confusion, confusion_at


def test_what_is_at_the_threshold_is_flagged():
    labels = [True, False, True, False]
    assert confusion_at([0.5, 0.5, 0.4, 0.1], labels, 0.5) == Confusion(1, 1, 1, 1)


def test_a_threshold_is_compared_in_the_precision_of_the_scores():
    """.1 as float32 is more than .1 as float64; a value copied from the map must flag its own pixel."""
    score = np.array([0.7], np.float32)
    assert confusion_at(score, [True], 0.7).true_positives == 1
    assert confusion_at(score, [True], float(score[0])).true_positives == 1


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    st.integers(0, 5),
)
def test_scores_agree_with_scikit_learn(rows, threshold):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    flagged = scores >= threshold
    confusion = confusion_at(scores, labels, threshold)
    assert confusion.f1 == pytest.approx(f1_score(labels, flagged, zero_division=0))
    assert confusion.iou == pytest.approx(jaccard_score(labels, flagged, zero_division=0))
    assert confusion.mcc == pytest.approx(matthews_corrcoef(labels, flagged))
    assert confusion.recall == pytest.approx(recall_score(labels, flagged))
    assert confusion.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, flagged))
    if flagged.any():
        assert confusion.precision == pytest.approx(precision_score(labels, flagged))
    else:
        with pytest.raises(UndefinedMetricError, match="nothing is flagged"):
            _ = confusion.precision


def test_mcc_of_large_pictures_by_hand():
    confusion = Confusion(6_000_000, 2_000_000, 4_000_000, 88_000_000)
    # (6 * 88 - 2 * 4) / sqrt(8 * 10 * 90 * 92)
    assert confusion.mcc == pytest.approx(520 / 813.8796, rel=1e-6)


@pytest.mark.parametrize(
    ("score", "confusion"),
    [
        ("recall", Confusion(0, 3, 0, 4)),
        ("false_positive_rate", Confusion(2, 0, 1, 0)),
        ("precision", Confusion(0, 0, 2, 5)),
        ("f1", Confusion(0, 0, 0, 5)),
        ("iou", Confusion(0, 0, 0, 5)),
        ("mcc", Confusion(1, 0, 4, 0)),
        ("mcc", Confusion(0, 1, 0, 4)),
        ("balanced_accuracy", Confusion(0, 1, 0, 4)),
    ],
)
def test_what_is_undefined_is_an_error_and_not_0(score, confusion):
    with pytest.raises(UndefinedMetricError):
        getattr(confusion, score)


def test_wrong_inputs_are_named():
    with pytest.raises(ShapeError, match="2 scores, got 1 labels"):
        confusion_at([0.1, 0.2], [True], 0.5)
    with pytest.raises(UndefinedMetricError, match="NaN"):
        confusion_at([0.1, float("nan")], [True, False], 0.5)
