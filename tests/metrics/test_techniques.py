import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from doctored.core.errors import ConfigError, ShapeError, UndefinedMetricError
from doctored.core.forgery import TECHNIQUES
from doctored.metrics.techniques import technique_accuracy, technique_confusion


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truths = [TECHNIQUES[index] for index in rng.integers(0, 4, 80)]  # the last one never occurs
    named = [name if rng.random() < 0.6 else TECHNIQUES[rng.integers(4)] for name in truths]
    confusion = technique_confusion(truths, named)
    np.testing.assert_array_equal(confusion.counts, confusion_matrix(truths, named, labels=TECHNIQUES))
    assert confusion.accuracy() == accuracy_score(truths, named) == technique_accuracy(truths, named)
    assert confusion.balanced_accuracy() == pytest.approx(balanced_accuracy_score(truths, named))


def test_rows_are_truths_and_columns_names():
    confusion = technique_confusion(
        ["authentic", "splicing", "splicing", "removal"], ["splicing", "splicing", "removal", "removal"]
    )
    assert confusion.techniques == ("authentic", "splicing", "copy_move", "removal", "enhancement")
    assert confusion.count("authentic", "splicing") == 1
    assert confusion.count("splicing", "authentic") == 0
    # copy_move and enhancement do not occur, so they have no recall rather than one of 0
    assert confusion.recalls() == {"authentic": 0.0, "splicing": 0.5, "removal": 1.0}
    assert confusion.balanced_accuracy() == 0.5


def test_wrong_inputs_are_named():
    with pytest.raises(ShapeError, match="2 true ones, got 1"):
        technique_accuracy(["splicing", "removal"], ["splicing"])
    with pytest.raises(ConfigError, match=r"copy_move.*'copy-move'"):
        technique_accuracy(["splicing"], ["copy-move"])
    with pytest.raises(ConfigError, match="'clone'"):
        technique_confusion([], []).count("clone", "splicing")
    for score in (technique_confusion([], []).accuracy, technique_confusion([], []).balanced_accuracy):
        with pytest.raises(UndefinedMetricError, match="none"):
            score()
