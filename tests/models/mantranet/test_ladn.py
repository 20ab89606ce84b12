import numpy as np
import pytest
import torch

from doctored.models.mantranet.ladn import LADN
from doctored.models.mantranet.settings import ManTraNetSettings
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import TOY_SETTINGS, as_map, as_release_arrays, random_mantranet

SIZES = [(1, 1), (1, 7), (2, 2), (5, 6), (16, 40)]


def _random_features(size_hw: tuple[int, int], batch: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, TOY_SETTINGS.feature_channels, *size_hw, generator=generator)
    return torch.nn.functional.normalize(features, dim=1)


def test_parameters_per_layer():
    ladn = LADN(ManTraNetSettings())
    statistics = [ladn.bnorm.running_mean, ladn.bnorm.running_var]
    assert sum(p.numel() for p in ladn.adaptation.parameters()) == 16_384
    assert sum(s.numel() for s in statistics) == 128
    assert list(ladn.bnorm.parameters()) == []
    assert ladn.min_std.numel() == 64
    assert sum(p.numel() for p in ladn.clstm.parameters()) == 112_928
    assert sum(p.numel() for p in ladn.pred.parameters()) == 393
    assert sum(p.numel() for p in ladn.parameters()) + 128 == 129_897


@pytest.mark.parametrize("size_hw", SIZES)
@torch.no_grad()
def test_z_scores_equal_the_reference(size_hw: tuple[int, int]):
    ladn = random_mantranet().ladn
    adapted = torch.randn(
        1, TOY_SETTINGS.adapted_channels, *size_hw, generator=torch.Generator().manual_seed(1)
    )
    expected = reference.z_scores(
        as_map(adapted).astype(np.float64), (7, 15, 31), ladn.min_std.double().flatten().numpy()
    )
    z_scores = ladn.z_scores(adapted, *ladn.global_statistics(adapted))
    assert z_scores.shape == (1, 4, TOY_SETTINGS.adapted_channels, *size_hw)
    for step in range(4):
        # Without a floor (channel 0) a lone pixel has a sigma of 1e-6, hence the relative part.
        np.testing.assert_allclose(as_map(z_scores[:, step]), expected[step], rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("size_hw", SIZES)
@torch.no_grad()
def test_logits_equal_the_reference(size_hw: tuple[int, int]):
    net = random_mantranet()
    features = _random_features(size_hw)
    expected = reference.anomaly_logits(
        as_map(features).astype(np.float64), as_release_arrays(net), (7, 15, 31)
    )
    logits = net.ladn(features)
    assert logits.shape == (1, 1, *size_hw)
    np.testing.assert_allclose(logits[0, 0].numpy(), expected, rtol=0, atol=3e-5)


def test_sigma_by_hand():
    ladn = LADN(TOY_SETTINGS)
    with torch.no_grad():
        ladn.raw_min_std.copy_(torch.tensor([0.0, 0.5, 2.0, 1e-5, -3.0]).view(1, 5, 1, 1))
    values = torch.tensor([[4.0, 4.0], [0.0, 2.0], [0.0, 2.0], [5.0, 5.0], [1.0, 1.0]])
    mean, sigma = ladn.global_statistics(values.view(1, 5, 1, 2))
    assert mean.flatten().tolist() == [4, 1, 1, 5, 1]
    # Deviations over n, not n - 1: 0 1 1 0 0; floors 1e-6 above 0 0.5 2 1e-5 3.
    expected = torch.tensor([1e-6, 1, 2 + 1e-6, 1.1e-5, 3 + 1e-6])
    torch.testing.assert_close(sigma.flatten(), expected, rtol=1e-5, atol=0)


def test_the_floor_is_never_negative_and_starts_at_its_published_value():
    ladn = LADN(TOY_SETTINGS)
    torch.testing.assert_close(ladn.min_std.detach(), torch.full((1, 5, 1, 1), 1e-5))
    # On a flat map the floor is the sigma, so it has a gradient, and so large a step takes it across zero.
    optimiser = torch.optim.SGD([ladn.raw_min_std], lr=1.0)
    ladn.global_statistics(torch.zeros(1, 5, 3, 3))[1].sum().backward()
    optimiser.step()
    assert (ladn.raw_min_std < -0.5).all()
    assert (ladn.min_std > 0.5).all()


@torch.no_grad()
def test_evaluation_uses_the_stored_statistics():
    ladn = random_mantranet().ladn
    features = _random_features((6, 5), batch=3)
    plain = ladn.adaptation(features)
    mean, var = (s.view(1, -1, 1, 1) for s in (ladn.bnorm.running_mean, ladn.bnorm.running_var))
    torch.testing.assert_close(ladn.adapt(features), (plain - mean) / (var + 1e-3).sqrt())


@torch.no_grad()
def test_training_moves_the_stored_statistics_by_a_hundredth():
    ladn = random_mantranet().ladn.train()
    features = _random_features((6, 5), batch=3)
    before = ladn.bnorm.running_mean.clone()
    ladn.adapt(features)
    expected = 0.99 * before + 0.01 * ladn.adaptation(features).mean(dim=(0, 2, 3))
    torch.testing.assert_close(ladn.bnorm.running_mean, expected)


@torch.no_grad()
def test_stored_statistics_cancel_where_no_floor_acts():
    ladn = random_mantranet().ladn
    ladn.raw_min_std.zero_()
    features = _random_features((16, 40))
    before = ladn(features)
    ladn.bnorm.running_mean.add_(torch.linspace(-0.5, 0.5, 5))
    ladn.bnorm.running_var.mul_(torch.linspace(0.2, 20, 5))
    torch.testing.assert_close(ladn(features), before, rtol=0, atol=3e-5)
    ladn.raw_min_std.fill_(2)
    assert (ladn(features) - before).abs().max() > 1e-2


@torch.no_grad()
def test_a_batch_of_four_equals_four_singles():
    ladn = random_mantranet().ladn
    batch = _random_features((16, 20), batch=4) * torch.tensor([1, 0.1, 3, 0.5]).view(4, 1, 1, 1)
    singles = torch.cat([ladn(features.unsqueeze(0)) for features in batch])
    torch.testing.assert_close(ladn(batch), singles, rtol=0, atol=1e-5)


def _only_corner_taps(ladn: LADN, corner: tuple[int, int]) -> None:
    """Left with one corner tap each, the kernels look as far as they can."""
    for conv in (ladn.clstm.input_conv, ladn.clstm.recurrent_conv, ladn.pred):
        taps = torch.zeros(7, 7)
        taps[corner] = 8
        conv.weight.mul_(taps)


def _error_with_halo(ladn: LADN, halo_px: int) -> float:
    """Largest error inside a 4 x 5 px tile, when the network sees it with so much of its surroundings."""
    adapted = torch.randn(1, 5, 92, 96, generator=torch.Generator().manual_seed(0)).cumsum(2).cumsum(3) / 30
    statistics = ladn.global_statistics(adapted)
    top, left = 43, 46
    crop = adapted[..., top - halo_px : top + 4 + halo_px, left - halo_px : left + 5 + halo_px]
    alone = ladn.anomaly_logits(crop, *statistics)[..., halo_px : halo_px + 4, halo_px : halo_px + 5]
    whole = ladn.anomaly_logits(adapted, *statistics)[..., top : top + 4, left : left + 5]
    return (alone - whole).abs().max().item()


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
@pytest.mark.parametrize(("window_sizes", "halo_px"), [((7, 15, 31), 24), ((7, 15, 31, 63), 40)])
@torch.no_grad()
def test_the_anomaly_halo_is_enough_and_one_less_is_not(
    corner: tuple[int, int], window_sizes: tuple[int, ...], halo_px: int
):
    ladn = random_mantranet().ladn
    ladn.window_sizes = window_sizes
    assert _error_with_halo(ladn, halo_px) < 1e-6
    _only_corner_taps(ladn, corner)
    assert _error_with_halo(ladn, halo_px) < 1e-6
    assert _error_with_halo(ladn, halo_px - 1) > 1e-4


@torch.no_grad()
def test_adaptation_to_z_scores_stay_float32_under_autocast():
    ladn = random_mantranet().ladn
    features = _random_features((16, 18))
    seen = {}
    ladn.clstm.register_forward_hook(lambda _, inputs, __: seen.update(z_scores=inputs[0]))
    ladn.clstm.input_conv.register_forward_hook(lambda _, __, output: seen.update(conv=output))
    ladn(features)
    exact = seen["z_scores"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        adapted = ladn.adapt(features)
        mean, sigma = ladn.global_statistics(adapted)
        logits = ladn(features)
    assert {adapted.dtype, mean.dtype, sigma.dtype, logits.dtype} == {torch.float32}
    assert torch.equal(seen["z_scores"], exact)
    assert seen["conv"].dtype == torch.bfloat16


def test_a_flat_map_has_finite_gradients():
    """The slope of the root is infinite at a deviation of zero, where a flat picture sits."""
    ladn = random_mantranet().ladn
    features = torch.full((1, TOY_SETTINGS.feature_channels, 8, 8), 0.3, requires_grad=True)
    ladn(features).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in ladn.parameters() if p.grad is not None)
