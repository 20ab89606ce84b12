from collections import Counter

import numpy as np
import pytest
import torch

from doctored.core.forgery import Source
from doctored.synth.histories import DOMAIN_SHARES
from doctored.train.curriculum import Curriculum

KINDS = {"authentic": 0.5, "splicing": 0.5}


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(1)
    large = np.kron(rng.uniform(20, 235, (30, 30, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    return [Source("a", "", large), Source("b", "", large[::-1])]


@pytest.fixture
def curriculum(photographs):
    return lambda: Curriculum(photographs, 64, 0, KINDS, DOMAIN_SHARES, round_steps=10)


def test_before_the_first_round_ends_the_mix_is_the_usual_one(curriculum):
    drawn = curriculum()
    shares = dict(zip(drawn.cells, drawn.shares, strict=True))
    assert shares["splicing", "web"] == pytest.approx(0.25)
    assert shares["authentic", "chain"] == pytest.approx(0.125)
    assert sum(shares.values()) == pytest.approx(1)


def test_samples_are_of_their_cell_and_as_frequent_as_its_share(curriculum):
    drawn = curriculum()
    seen = Counter()
    for number in range(60):
        forgery, cell = drawn.draw(number)
        assert (forgery.technique, forgery.recipe.domain) == drawn.cells[cell]
        seen[cell] += 1
    frequent = drawn.cells.index(("splicing", "web"))
    assert 5 <= seen[frequent] <= 27  # 15 expected, 3.4 is one standard deviation


def test_the_share_of_a_cell_follows_its_loss_by_hand(curriculum):
    drawn = curriculum()
    hard, easy = drawn.cells.index(("splicing", "web")), drawn.cells.index(("authentic", "web"))
    drawn.observe(torch.tensor([hard, easy]), torch.tensor([1.5, 0.5]))
    before = drawn.shares.copy()
    assert (drawn.shares == before).all()
    drawn.end_round()
    # Mean loss 1: the hard one counts 1.5 times, the easy one half, the four unseen ones (0.125 each) once.
    expected = np.full(6, 0.125)
    expected[hard], expected[easy] = 0.25 * 1.5, 0.25 * 0.5
    np.testing.assert_allclose(drawn.shares, expected / expected.sum())


def test_no_cell_is_forgotten_or_takes_over(curriculum):
    drawn = curriculum()
    usual = drawn.shares.copy()
    drawn.observe(torch.arange(6), torch.tensor([100.0, 0, 0, 0, 0, 0]))
    drawn.end_round()
    ratios = drawn.shares / usual
    assert ratios.max() / ratios.min() == pytest.approx(4)


def test_a_running_loss_remembers_in_order(curriculum):
    drawn = curriculum()
    drawn.observe(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert drawn.state()["losses"][0] == pytest.approx(0.98 * 1 + 0.02 * 2)


def test_sample_n_depends_on_n_and_the_saved_state_alone(curriculum):
    first, second = curriculum(), curriculum()
    first.observe(torch.arange(6), torch.tensor([0.1, 0.2, 0.9, 0.4, 0.5, 0.6]))
    first.end_round()
    second.draw(3)
    second.restore(first.state())
    for number in (11, 5):
        (a, cell_a), (b, cell_b) = first.draw(number), second.draw(number)
        assert cell_a == cell_b
        np.testing.assert_array_equal(a.image, b.image)
    assert second.state() == first.state()
