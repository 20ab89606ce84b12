import math

import pytest
import torch

from doctored.models.constrained_rcnn.losses import Losses, mask_loss, roi_losses, rpn_losses


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _smooth_l1(off: float, sigma: float) -> float:
    if abs(off) < 1 / sigma**2:
        return 0.5 * (sigma * off) ** 2
    return abs(off) - 0.5 / sigma**2


def _cross_entropy(logits: torch.Tensor, label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits.tolist())) - float(logits[label])


def test_rpn_losses_equal_a_slow_loop():
    logits, deltas, true = _randn(12, 2), _randn(12, 4, seed=1) * 0.2, _randn(12, 4, seed=2) * 0.2
    labels = torch.tensor([1, 1, 0, -1, 0, 0, 1, -1, -1, 0, 0, 0])
    asked = [index for index in range(12) if labels[index] >= 0]
    expected_class = sum(_cross_entropy(logits[index], int(labels[index])) for index in asked) / 9
    off = [float(v) for index in (0, 1, 6) for v in deltas[index] - true[index]]
    assert any(abs(v) < 1 / 9 for v in off)
    assert any(abs(v) > 1 / 9 for v in off)
    class_loss, box_loss = rpn_losses(logits, deltas, labels, true)
    assert class_loss.item() == pytest.approx(expected_class, rel=1e-5)
    assert box_loss.item() == pytest.approx(sum(_smooth_l1(v, 3) for v in off) / 9, rel=1e-5)


def test_rpn_losses_of_nothing_are_nothing():
    losses = rpn_losses(_randn(3, 2), _randn(3, 4), torch.full((3,), -1), _randn(3, 4))
    assert [loss.item() for loss in losses] == [0, 0]


def test_roi_losses_equal_a_slow_loop():
    logits, deltas, true = _randn(6, 3), _randn(6, 3, 4, seed=1), _randn(6, 4, seed=2)
    labels = torch.tensor([2, 1, 0, 0, 2, 0])
    expected_class = sum(_cross_entropy(logits[index], int(labels[index])) for index in range(6)) / 6
    expected_box = 0.0
    for index in (0, 1, 4):
        expected_box += sum(_smooth_l1(float(v), 1) for v in deltas[index, int(labels[index])] - true[index])
    class_loss, box_loss = roi_losses(logits, deltas, labels, true)
    assert class_loss.item() == pytest.approx(expected_class, rel=1e-5)
    assert box_loss.item() == pytest.approx(expected_box / 6, rel=1e-5)


def test_mask_losses_by_hand():
    logits = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(2, 2, 14, 14)
    targets = torch.cat([torch.ones(1, 14, 14), torch.zeros(1, 14, 14)])
    # The softmax of both logits is the sigmoid of their difference, 2.
    ours = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    released = (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(3))) / 2
    nothing = torch.zeros(2, 14, 14)
    assert mask_loss(logits, targets, nothing, compat=False).item() == pytest.approx(ours)
    assert mask_loss(logits, targets, nothing, compat=True).item() == pytest.approx(released)


def test_ignored_pixels_of_a_mask_do_not_count():
    logits = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 14, 14).clone().requires_grad_()
    targets = torch.zeros(1, 14, 14)
    ignored = torch.ones(1, 14, 14)
    ignored[0, 2, :3] = 0
    targets[0, 2, 0] = 1
    expected = (math.log(1 + math.exp(-2)) + 2 * math.log(1 + math.exp(2))) / 3
    loss = mask_loss(logits, targets, ignored, compat=False)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[ignored[:, None].expand(1, 2, 14, 14) == 1].any()
    assert mask_loss(logits, targets, torch.ones(1, 14, 14), compat=False).item() == 0


def test_the_released_mask_loss_teaches_one_logit_only():
    for compat in (True, False):
        logits = _randn(2, 2, 14, 14).requires_grad_()
        mask_loss(logits, torch.ones(2, 14, 14), torch.zeros(2, 14, 14), compat).backward()
        assert logits.grad is not None
        assert logits.grad[:, 1].any()
        assert bool(logits.grad[:, 0].any()) != compat


def test_the_total_is_the_plain_sum():
    assert Losses(*torch.tensor([1.0, 2, 4, 8, 16])).total == 31
