import numpy as np
import pytest
import torch

from doctored.core.errors import ConfigError
from doctored.layers.constrained_conv import ConstrainedConv2d, UnitNormConv2d, project_prediction_error
from models.mantranet import numpy_reference as reference


def _assert_constrained(kernel: torch.Tensor) -> None:
    assert torch.isfinite(kernel).all()
    centre = kernel.shape[-1] // 2
    assert (kernel[..., centre, centre] == -1).all()
    scale = kernel.abs().sum(dim=(-2, -1)).max().item()
    assert kernel.sum(dim=(-2, -1)).abs().max() < 1e-6 * scale


def test_projection_by_hand():
    kernel = torch.tensor([[0.0, 1.0, 0.0], [2.0, 99.0, 3.0], [0.0, 2.0, 0.0]]).view(1, 1, 3, 3)
    projected = project_prediction_error(kernel)[0, 0]
    expected = [[0, 0.125, 0], [0.25, -1, 0.375], [0, 0.25, 0]]
    torch.testing.assert_close(projected, torch.tensor(expected))


def test_projection_equals_the_reference_slice_by_slice():
    kernel = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(0)) + 0.1
    expected = reference.bayar_projection(kernel.double().numpy().transpose(2, 3, 1, 0))
    np.testing.assert_allclose(
        project_prediction_error(kernel).numpy(), expected.transpose(3, 2, 0, 1), rtol=0, atol=1e-7
    )


def test_projection_of_projected_kernels_changes_nothing():
    once = project_prediction_error(torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(project_prediction_error(once), once)


@pytest.mark.parametrize("total", [0.0, 1e-9, -1e-9, 5e-3, -5e-3, 0.02, -0.02, -0.7])
def test_sums_near_zero_or_below_it_blow_nothing_up(total: float):
    """A division by the raw sum once gave infinite filters, and then NaN features."""
    kernel = torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel[..., 2, 2] = 0
    kernel += (total - kernel.sum()) / 24
    kernel.requires_grad_()
    projected = project_prediction_error(kernel)
    _assert_constrained(projected.detach())
    assert projected.abs().max() < 200 * kernel.abs().max()
    projected.square().sum().backward()
    assert kernel.grad is not None
    assert torch.isfinite(kernel.grad).all()


def test_gradients_pass_through_the_projection():
    kernel = torch.rand(2, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    with torch.no_grad():
        kernel[1] *= 1e-4  # this slice is shifted, the other one divided
    assert torch.autograd.gradcheck(project_prediction_error, (kernel.requires_grad_(),))


def test_start_is_constrained_and_tame():
    torch.manual_seed(0)
    kernel = ConstrainedConv2d(3, 3, kernel_size=5).kernel
    _assert_constrained(kernel.detach())
    off_centre = kernel.flatten(2).index_select(2, torch.tensor([i for i in range(25) if i != 12]))
    assert off_centre.min() > 0.4 / 24
    assert off_centre.max() < 2 / 24


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_flat_image_gives_no_residual(kernel_size: int):
    conv = ConstrainedConv2d(3, 4, kernel_size)
    image = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(2, 3, 9, 7)
    residual = conv(image)
    assert residual.shape == (2, 4, 9 - kernel_size + 1, 7 - kernel_size + 1)
    assert residual.abs().max() < 1e-6


@pytest.mark.parametrize("kernel_size", [1, 4, 0])
def test_a_kernel_without_neighbours_around_a_centre_is_refused(kernel_size: int):
    with pytest.raises(ConfigError, match=f"kernel_size is {kernel_size}"):
        ConstrainedConv2d(3, 3, kernel_size)


def test_the_constraint_outlives_optimiser_steps():
    torch.manual_seed(0)
    conv = ConstrainedConv2d(3, 2, kernel_size=5)
    optimiser = torch.optim.SGD(conv.parameters(), lr=1.0)
    before = conv.kernel.detach().clone()
    for _ in range(5):
        optimiser.zero_grad()
        (conv(torch.rand(2, 3, 12, 12)) - torch.rand(2, 2, 8, 8)).square().mean().backward()
        optimiser.step()
    assert (conv.kernel - before).abs().max() > 1e-2
    _assert_constrained(conv.kernel.detach())


def test_unit_norm_filters_stay_of_norm_one():
    torch.manual_seed(0)
    conv = UnitNormConv2d(6, 4)
    optimiser = torch.optim.SGD(conv.parameters(), lr=10.0)
    before = conv.kernel.detach().clone()
    for _ in range(5):
        optimiser.zero_grad()
        conv(torch.randn(2, 6, 5, 5)).square().mean().backward()
        optimiser.step()
    assert (conv.kernel - before).abs().max() > 1e-2
    torch.testing.assert_close(conv.kernel.square().sum(dim=1), torch.ones(4, 1, 1))


def test_unit_norm_by_hand():
    conv = UnitNormConv2d(2, 1)
    with torch.no_grad():
        conv.raw_kernel.copy_(torch.tensor([3.0, -4.0]).view(1, 2, 1, 1))
    features = torch.tensor([10.0, 5.0]).view(1, 2, 1, 1)
    assert conv(features).item() == pytest.approx(0.6 * 10 - 0.8 * 5)
