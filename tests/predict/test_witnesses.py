import numpy as np
import pytest

from doctored.models.yardsticks import centre
from doctored.predict.localize import plan_localization
from doctored.predict.raw_score import raw_score
from doctored.predict.torch_engine import TorchEngine
from doctored.predict.witnesses import ManTraNetWitness, YardstickWitness, sigmoid_in_place
from models.mantranet.toys import TOY_SETTINGS, random_mantranet, random_picture


def _witness(temperature: float) -> ManTraNetWitness:
    engine = TorchEngine(random_mantranet(), "cpu", "fp32")
    return ManTraNetWitness(
        "mantranet", "00", engine, temperature, lambda size_hw: plan_localization(TOY_SETTINGS, size_hw, 50)
    )


def test_the_sigmoid_is_one_and_overflows_nowhere():
    logits = np.array([[-1000, -2, 0, 3, 1000]], np.float32)
    result = sigmoid_in_place(logits, 2.0)
    assert result is logits
    np.testing.assert_allclose(result, [[0, 1 / (1 + np.exp(1)), 0.5, 1 / (1 + np.exp(-1.5)), 1]], atol=1e-7)


def test_temperature_changes_the_map_and_not_the_raw_score():
    pixels = (random_picture(70, 80) * 255).astype(np.uint8)
    sharp, sharp_score = _witness(1.0).look(pixels, None)
    flat, flat_score = _witness(4.0).look(pixels, None)
    assert sharp_score == flat_score
    np.testing.assert_allclose(np.log(flat / (1 - flat)) * 4, np.log(sharp / (1 - sharp)), atol=1e-3)
    assert sharp_score == pytest.approx(raw_score(np.log(sharp / (1 - sharp))), rel=1e-2)
    assert sharp_score == raw_score(_witness(1.0).scored_map(pixels, None))


def test_an_estimate_counts_both_passes_and_what_is_done_twice(monkeypatch: pytest.MonkeyPatch):
    witness = _witness(1.0)
    monkeypatch.setattr(witness, "_time_one_tile", lambda: (2e-6, 1e-6))
    assert witness.estimate_seconds((60, 70)) == pytest.approx(3e-6 * 60 * 70)
    plan = witness.plan((300, 400))
    first, second = (sum(tile.seen_px for tile in tiles) for tiles in (plan.first_pass, plan.second_pass))
    expected = 2e-6 * first + 1e-6 * second
    assert witness.estimate_seconds((300, 400)) == pytest.approx(expected)


def test_an_estimate_is_of_the_right_order():
    witness = _witness(1.0)
    pixels = np.zeros((500, 600, 3), np.uint8)
    witness.look(pixels[:100, :100], None)
    estimate = witness.estimate_seconds((500, 600))
    assert 0 < estimate < 60


def test_a_yardstick_is_a_witness():
    witness = YardstickWitness("centre", centre)
    seen = []
    localization_map, score = witness.look(
        np.zeros((30, 40, 3), np.uint8), lambda *numbers: seen.append(numbers)
    )
    assert np.array_equal(localization_map, centre(np.zeros((30, 40, 3), np.uint8)))
    assert score == raw_score(localization_map)
    assert seen == [(1, 1)]
    assert len(witness.sha256) == 64
    assert witness.estimate_seconds((1000, 1000)) < 1
