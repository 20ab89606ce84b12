import numpy as np
import pytest
import torch
from scipy import ndimage

from doctored.models.mantranet.imtfe import IMTFE, CombinedConv2d
from doctored.models.mantranet.settings import ManTraNetSettings, released_variant
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import (
    TOY_SETTINGS,
    as_batch,
    as_map,
    as_release_arrays,
    random_mantranet,
    random_picture,
)

PARAMETERS = {
    "b1c1": 525,
    "b1c2": 4_640,
    "b2c1": 18_496,
    "b2c2": 36_928,
    "b3c1": 73_856,
    "b3c2": 147_584,
    "b3c3": 147_584,
    "b4c1": 295_168,
    "b4c2": 590_080,
    "b4c3": 590_080,
    "b5c1": 590_080,
    "b5c2": 590_080,
    "transform": 590_080,
}
CORNERS = [(0, 0), (0, -1), (-1, 0), (-1, -1)]


def _parameters_per_layer(imtfe: IMTFE) -> dict[str, int]:
    return {
        name: sum(parameter.numel() for parameter in layer.parameters())
        for name, layer in imtfe.named_children()
    }


def test_parameters_per_layer():
    assert _parameters_per_layer(IMTFE(ManTraNetSettings())) == PARAMETERS
    assert sum(PARAMETERS.values()) == 3_675_181


def test_parameters_per_layer_with_32_filters():
    wide = PARAMETERS | {"b1c1": 1_725, "b1c2": 9_248}
    assert _parameters_per_layer(IMTFE(released_variant(0))) == wide


def test_the_srm_filters_are_no_weights():
    layer = CombinedConv2d(16)
    assert set(layer.state_dict()) == {"plain_kernel", "constrained.raw_kernel"}


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (2, 2), (5, 6), (16, 40)])
@pytest.mark.parametrize("transform_tanh", [False, True])
@torch.no_grad()
def test_equals_the_reference(size_hw: tuple[int, int], transform_tanh: bool):
    net = random_mantranet()
    net.imtfe.transform_tanh = transform_tanh
    picture = random_picture(*size_hw)
    expected = reference.trace_features(picture, as_release_arrays(net), transform_tanh)
    features = as_map(net.imtfe(as_batch(picture)))
    np.testing.assert_allclose(features, expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_first_layer_equals_scipy():
    net = random_mantranet()
    picture = random_picture(12, 9)
    arrays = as_release_arrays(net)
    kernels = np.concatenate(
        [arrays["b1c1/regular_kernel"], reference.srm_stack(), arrays["b1c1/bayar_kernel"]], axis=3
    )
    # scipy calls "reflect" what NumPy and TensorFlow call "symmetric".
    channels = [picture[..., c].astype(np.float64) * 2 - 1 for c in range(3)]
    expected = [
        sum(ndimage.correlate(channels[c], kernels[:, :, c, o], mode="reflect") for c in range(3))
        for o in range(TOY_SETTINGS.first_layer_filters)
    ]
    responses = net.imtfe.b1c1(as_batch(picture) * 2 - 1)
    np.testing.assert_allclose(responses[0].numpy(), np.stack(expected), rtol=0, atol=2e-6)


@torch.no_grad()
def test_a_flat_picture_leaves_nothing_in_the_fixed_filters():
    net = random_mantranet()
    image = torch.tensor([0.1, 0.6, 0.95]).view(1, 3, 1, 1).expand(1, 3, 12, 10)
    residuals = net.imtfe.residuals(image)
    plain = TOY_SETTINGS.first_layer_filters - 12
    assert residuals[:, :plain].max() > 0.1
    assert residuals[:, plain:].max() < 2e-6


@torch.no_grad()
def test_features_have_norm_one_and_tiny_ones_are_floored_as_in_tensorflow():
    net = random_mantranet()
    features = net.imtfe(as_batch(random_picture(9, 11)))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1, 9, 11))

    # Below a norm of 1e-6 the divisor stays 1e-6.
    net.imtfe.transform.weight.zero_()
    for norm, expected in [(0.0, 0.0), (1e-7, 0.1), (1e-6, 1.0), (1e-5, 1.0)]:
        net.imtfe.transform.bias.fill_(norm / TOY_SETTINGS.feature_channels**0.5)
        found = net.imtfe(torch.rand(1, 3, 2, 2)).norm(dim=1)
        torch.testing.assert_close(found, torch.full((1, 2, 2), expected))


def test_a_grey_picture_without_any_feature_has_finite_gradients():
    """At zero the slope of a norm is undefined, and a picture of 0.5 is zero all the way through."""
    torch.manual_seed(0)
    imtfe = IMTFE(TOY_SETTINGS)
    features = imtfe(torch.full((1, 3, 6, 6), 0.5))
    assert features.abs().max() == 0
    features.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in imtfe.parameters() if p.grad is not None)


def test_the_receptive_field_is_29_px_square():
    net = random_mantranet()
    with torch.no_grad():
        # With positive weights only, and a bright picture, no path can be closed or cancelled.
        for name, parameter in net.imtfe.named_parameters():
            if "constrained" not in name:
                parameter.abs_()
    image = torch.full((1, 3, 37, 41), 0.9, requires_grad=True)
    net.imtfe.raw_features(net.imtfe.residuals(image))[0, :, 18, 20].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().amax(dim=0) > 0
    expected = torch.zeros(37, 41, dtype=torch.bool)
    expected[18 - 14 : 18 + 15, 20 - 14 : 20 + 15] = True
    assert torch.equal(seen, expected)


def _error_with_halo(imtfe: IMTFE, halo_px: int) -> float:
    """Largest error inside a 6 x 5 px tile, when the network sees it with so much of its surroundings."""
    image = as_batch(random_picture(40, 38))
    top, left = 17, 16
    crop = image[..., top - halo_px : top + 6 + halo_px, left - halo_px : left + 5 + halo_px]
    alone = imtfe(crop)[..., halo_px : halo_px + 6, halo_px : halo_px + 5]
    return (alone - imtfe(image)[..., top : top + 6, left : left + 5]).abs().max().item()


@pytest.mark.parametrize("corner", CORNERS)
@torch.no_grad()
def test_a_halo_of_14_px_is_enough_and_13_is_not(corner: tuple[int, int]):
    imtfe = random_mantranet().imtfe
    assert _error_with_halo(imtfe, 14) < 1e-6
    # Left with one corner tap each, the kernels look as far as they can.
    for name, parameter in imtfe.named_parameters():
        if parameter.dim() == 4 and "constrained" not in name:
            taps = torch.zeros(parameter.shape[2:])
            taps[corner] = 3
            parameter.mul_(taps)
    assert _error_with_halo(imtfe, 14) < 1e-6
    assert _error_with_halo(imtfe, 13) > 1e-3


@torch.no_grad()
def test_the_first_layer_and_the_norm_stay_float32_under_autocast():
    net = random_mantranet()
    image = as_batch(random_picture(16, 18))
    dtypes = {}
    for name, layer in net.imtfe.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: dtypes.update({name: out.dtype}))
    exact = net.imtfe.residuals(image)
    dtypes.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        residuals = net.imtfe.residuals(image)
        features = net.imtfe(image)
    assert torch.equal(residuals, exact)
    assert dtypes == {name: torch.float32 if name == "b1c1" else torch.bfloat16 for name in PARAMETERS}
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1, 16, 18))
