import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.imc_classes import IMC_CLASSES, IMC_LEVELS, extended_classes, level_groups
from doctored.models.imc_head import (
    UNIT_FEATURE_SCALE,
    IMCHead,
    cell_regions,
    imc_loss,
    level_log_probabilities,
    pool_regions,
)


def _logits(samples: int, spread: float = 3.0, seed: int = 0) -> torch.Tensor:
    return spread * torch.randn(samples, len(IMC_CLASSES), generator=torch.Generator().manual_seed(seed))


def _probabilities(logits: torch.Tensor) -> NDArray[np.float64]:
    values = logits.detach().double().numpy()
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_levels_sum_to_one_and_equal_slow_sums_over_their_groups():
    logits = _logits(5)
    probabilities = _probabilities(logits)
    levels = level_log_probabilities(logits)
    assert tuple(levels) == IMC_LEVELS
    for level, log_probabilities in levels.items():
        assert log_probabilities.shape == (5, level)
        expected = np.zeros((5, level))
        for sample in range(5):
            for imc_class, group in zip(IMC_CLASSES, level_groups(level), strict=True):
                expected[sample, group] += probabilities[sample, imc_class.index]
        np.testing.assert_allclose(log_probabilities.exp().numpy(), expected, rtol=1e-5)
        np.testing.assert_allclose(log_probabilities.exp().sum(dim=1).numpy(), 1, rtol=1e-6)


def test_the_coarsest_level_sums_families():
    # A softmax over two equally likely classes, one of them a blur.
    logits = torch.full((1, 385), -100.0)
    blurs = [c.index for c in IMC_CLASSES if c.family == "blur"]
    noises = [c.index for c in IMC_CLASSES if c.family == "noise"]
    logits[0, [blurs[0], noises[0]]] = 0
    families = level_log_probabilities(logits)[7][0].exp()
    assert sorted(families.tolist(), reverse=True)[:3] == pytest.approx([0.5, 0.5, 0], abs=1e-6)


def test_loss_by_hand():
    logits = _logits(6)
    classes = torch.tensor([0, 384, 132, 148, 364, 200])
    probabilities = _probabilities(logits)
    expected = 0.0
    for level in IMC_LEVELS:
        groups = level_groups(level)
        for sample, true_class in enumerate(classes.tolist()):
            members = groups == groups[true_class]
            expected -= np.log(probabilities[sample, members].sum()) / len(classes)
    assert imc_loss(logits, classes).item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_a_guess_and_of_a_certainty():
    certain = torch.full((1, 385), -50.0)
    certain[0, 17] = 50
    assert imc_loss(certain, torch.tensor([17])).item() == pytest.approx(0, abs=1e-5)
    # Every class equally likely: each level costs the log of its group's share of the 385.
    shares = [np.mean(level_groups(level) == level_groups(level)[17]) for level in IMC_LEVELS]
    assert imc_loss(torch.zeros(1, 385), torch.tensor([17])).item() == pytest.approx(
        -np.log(shares).sum(), rel=1e-5
    )


def test_loss_of_a_confident_mistake_is_exact_and_can_be_learned_from():
    """Sums of probabilities once rounded to zero before the logarithm, and took their gradient with them."""
    logits = torch.zeros(1, 385, dtype=torch.float32)
    logits[0, 0] = 200
    logits.requires_grad_()
    wrong = next(c.index for c in IMC_CLASSES if c.family == "noise")
    loss = imc_loss(logits, torch.tensor([wrong]))
    sizes = [np.sum(level_groups(level) == level_groups(level)[wrong]) for level in IMC_LEVELS]
    assert loss.item() == pytest.approx(sum(200 - np.log(size) for size in sizes), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].item() == pytest.approx(len(IMC_LEVELS), rel=1e-4)
    assert logits.grad[0, wrong].item() == pytest.approx(-sum(1 / size for size in sizes), rel=1e-4)


def test_the_gradient_of_the_loss_is_that_of_its_formula():
    logits = _logits(2)
    classes = torch.tensor([30, 310])
    logits.requires_grad_()
    imc_loss(logits, classes).backward()
    probabilities = _probabilities(logits)
    expected = np.zeros((2, 385))
    for level in IMC_LEVELS:
        groups = level_groups(level)
        for sample, true_class in enumerate(classes.tolist()):
            members = groups == groups[true_class]
            within = np.where(members, probabilities[sample], 0) / probabilities[sample, members].sum()
            expected[sample] += (probabilities[sample] - within) / len(classes)
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=0, atol=1e-6)


def test_pooled_features_equal_loop_means():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
    regions = rng.integers(-1, 3, size=(2, 6, 5))
    regions[1][regions[1] == 2] = 0  # the second crop has no region 2
    pooled = pool_regions(torch.from_numpy(features), torch.from_numpy(regions), region_count=3)
    assert pooled.shape == (6, 4)
    for crop in range(2):
        for region in range(3):
            members = [
                features[crop, :, row, column]
                for row in range(6)
                for column in range(5)
                if regions[crop, row, column] == region
            ]
            expected = np.mean(members, axis=0) if members else np.zeros(4)
            np.testing.assert_allclose(pooled[3 * crop + region].numpy(), expected, rtol=0, atol=1e-6)


def test_logits_of_the_mean_feature_equal_the_mean_of_logits_per_pixel():
    torch.manual_seed(0)
    head = IMCHead(8)
    features = torch.nn.functional.normalize(torch.randn(1, 8, 7, 9), dim=1)
    pooled = head(pool_regions(features, torch.zeros(1, 7, 9, dtype=torch.long), region_count=1))
    per_pixel = head(features.flatten(2).squeeze(0).T)
    assert pooled.shape == (1, 385)
    torch.testing.assert_close(pooled[0], per_pixel.mean(dim=0), rtol=0, atol=1e-5)


def test_pooling_and_head_stay_float32_under_autocast():
    torch.manual_seed(0)
    head = IMCHead(8)
    features = torch.nn.functional.normalize(torch.randn(2, 8, 5, 6), dim=1)
    regions = torch.arange(2).repeat(2, 5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pool_regions(features, regions, region_count=2)
        logits = head(pooled)
        from_half = head(pooled.bfloat16())
    assert torch.equal(pooled, pool_regions(features, regions, region_count=2))
    assert torch.equal(logits, head(pooled))
    assert from_half.dtype == torch.float32


def test_added_classes_widen_every_level_and_share_the_probability_of_their_family():
    classes = extended_classes(IMC_CLASSES, "blur", "MotionBlur", (3, 5))
    classes = extended_classes(classes, "tone", "Sepia", (None,))
    logits = torch.full((1, 388), -100.0)
    logits[0, [0, 385, 387]] = 0  # a box blur, a motion blur and a sepia tone, equally likely
    levels = level_log_probabilities(logits, classes)
    assert [levels[level].shape[1] for level in (7, 25, 385)] == [8, 27, 388]
    assert levels[7][0].exp()[[0, 7]].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert levels[25][0].exp()[[0, 25, 26]].tolist() == pytest.approx([1 / 3] * 3)
    sepia = imc_loss(logits, torch.tensor([387]), classes)
    assert sepia.item() == pytest.approx(6 * np.log(3), rel=1e-5)
    assert IMCHead(8, len(classes)).linear.out_features == 388


def test_unit_features_can_make_a_sharp_softmax():
    head = IMCHead(4, 3, UNIT_FEATURE_SCALE)
    feature = torch.tensor([[0.0, 0.6, 0.8, 0.0]])
    expected = head.linear(16 * feature)
    torch.testing.assert_close(head(feature), expected)


def test_a_cell_belongs_to_the_region_that_all_its_pixels_are_in():
    regions = torch.zeros(1, 4, 6, dtype=torch.long)
    regions[0, :, 4:] = 1
    regions[0, 3:, :] = 2
    assert cell_regions(regions, 2)[0].tolist() == [[0, 0, 1], [-1, -1, -1]]
    regions[0, 2:, :2] = 2
    assert cell_regions(regions, 2)[0].tolist() == [[0, 0, 1], [2, -1, -1]]
    assert torch.equal(cell_regions(regions, 1), regions)
