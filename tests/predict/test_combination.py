import json
import math

import numpy as np
import pytest

from doctored.core.errors import ModelError
from doctored.core.inspection import WitnessFinding
from doctored.predict.combination import (
    COMBINATION_FILE,
    MOST_LOG_ODDS,
    Combination,
    WitnessWeights,
    log_odds,
    read_combination,
)

RULE = Combination(
    (WitnessWeights("a", "a" * 64, 0.5, 2.0), WitnessWeights("b", "b" * 64, 1.0, -0.25)),
    bias=-1.0,
    fitted_on="two pictures",
    figures={"image_auc": 0.75},
)


def finding(localization_map, raw_score=0.0):
    return WitnessFinding("x", "0" * 64, raw_score, np.asarray(localization_map, np.float32))


def test_maps_add_up_as_log_odds_by_hand():
    first, second = finding([[0.5, 0.8]]), finding([[0.5, 0.2]])
    combined = RULE.localization_map([first, second])
    # Log-odds 0 and 0; log 4 and -log 4.
    expected = [1 / (1 + math.exp(1)), 1 / (1 + math.exp(1 + 0.5 * math.log(4)))]
    np.testing.assert_allclose(combined, [expected], rtol=1e-5)
    assert combined.dtype == np.float32


def test_certainty_of_a_map_counts_only_so_much():
    np.testing.assert_allclose(
        log_odds(np.array([[0, 1e-30, 0.5, 1]], np.float32)),
        [[-MOST_LOG_ODDS, -MOST_LOG_ODDS, 0, MOST_LOG_ODDS]],
        atol=2e-4,
    )


def test_bands_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    findings = [finding(rng.random((37, 11))) for _ in range(2)]
    whole = RULE.localization_map(findings)
    monkeypatch.setattr("doctored.predict.combination._BAND_PX", 50)
    np.testing.assert_array_equal(RULE.localization_map(findings), whole)


def test_raw_scores_add_up_by_hand():
    assert RULE.raw_score([3.0, 8.0]) == 2 * 3 - 0.25 * 8


def test_a_rule_comes_back_from_its_file(tmp_path):
    path = tmp_path / COMBINATION_FILE
    path.write_bytes(RULE.to_bytes())
    again = read_combination(path)
    assert (again.witnesses, again.bias, again.fitted_on) == (RULE.witnesses, RULE.bias, RULE.fitted_on)
    assert again.figures == RULE.figures
    assert len(again.sha256) == 64
    assert again.to_bytes() == RULE.to_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda values: values.pop("bias"), "is no combination of witnesses .KeyError: 'bias'"),
        (lambda values: values.update(bias="x"), "is no combination of witnesses"),
        (lambda values: values.update(bias=math.nan), "must be finite"),
        (lambda values: values.update(format=99), "another version of doctored"),
        (lambda values: values["witnesses"].pop(), "two witnesses or more; got 1"),
        (lambda values: values.update(witnesses=3), "is no combination of witnesses"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path, change, sentence):
    values = json.loads(RULE.to_bytes())
    change(values)
    path = tmp_path / COMBINATION_FILE
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match=sentence):
        read_combination(path)


def test_a_file_that_is_none_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_combination(tmp_path / COMBINATION_FILE)
    (tmp_path / COMBINATION_FILE).write_bytes(b"\xff")
    with pytest.raises(ModelError, match="is no combination of witnesses"):
        read_combination(tmp_path / COMBINATION_FILE)
