import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.ranking import weighted_auc


def test_four_pairs_counted_by_hand():
    # positives .4 and .8 against negatives .1 and .4: three pairs won, one tied
    assert weighted_auc([0.1, 0.4, 0.4, 0.8], [False, True, False, True]) == 3.5 / 4


def test_weights_count_pairs_by_their_product():
    # the pair (.8 over .1) weighs 3 * 1 and is won, (.8 over .9) weighs 3 * 2 and is lost
    assert weighted_auc([0.8, 0.1, 0.9], [True, False, False], np.array([3.0, 1.0, 2.0])) == pytest.approx(
        1 / 3
    )


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.booleans(), st.floats(0.01, 10)),
        min_size=2,
        max_size=60,
    ).filter(lambda rows: len({positive for _, positive, _ in rows}) == 2)
)
def test_agrees_with_scikit_learn_on_tied_weighted_scores(rows):
    scores, positives, weights = (np.array(column) for column in zip(*rows, strict=True))
    expected = roc_auc_score(positives, scores, sample_weight=weights)
    assert weighted_auc(scores, positives, weights) == pytest.approx(expected, abs=1e-9)


def test_a_million_scores_keep_their_precision():
    rng = np.random.default_rng(0)
    positives = rng.random(1_000_000) < 0.001
    scores = (rng.standard_normal(positives.size) + positives).astype(np.float32)
    assert weighted_auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores), abs=1e-12)


def test_undefined_inputs_are_named():
    with pytest.raises(UndefinedMetricError, match="both classes"):
        weighted_auc([0.1, 0.2], [True, True])
    with pytest.raises(UndefinedMetricError, match="some weight"):
        weighted_auc([0.1, 0.2], [True, False], np.array([1.0, 0.0]))
    with pytest.raises(UndefinedMetricError, match="NaN"):
        weighted_auc([0.1, float("nan")], [True, False])
    with pytest.raises(UndefinedMetricError, match="0 or more"):
        weighted_auc([0.1, 0.2], [True, False], np.array([1.0, -1.0]))
    with pytest.raises(ShapeError, match="3 scores, got 2 labels"):
        weighted_auc([0.1, 0.2, 0.3], [True, False])
