from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from doctored.layers import convlstm
from doctored.models.mantranet import imtfe, ladn
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings, released_variant
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import TOY_SETTINGS, as_batch, as_release_arrays, random_mantranet, random_picture


def _localization_map(net: ManTraNet, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        return net(as_batch(picture)).sigmoid()[0, 0].numpy()


def _widths_of_toys(settings: ManTraNetSettings) -> ManTraNetSettings:
    return ManTraNetSettings(
        first_layer_filters=settings.first_layer_filters,
        widths=TOY_SETTINGS.widths,
        feature_channels=TOY_SETTINGS.feature_channels,
        transform_tanh=settings.transform_tanh,
        adapted_channels=TOY_SETTINGS.adapted_channels,
        window_sizes=settings.window_sizes,
        hidden_channels=TOY_SETTINGS.hidden_channels,
    )


@pytest.mark.parametrize(("index", "count"), [(0, 3_810_886), (1, 3_810_886), (2, 3_805_078), (4, 3_805_078)])
def test_the_number_of_weights_is_the_published_one(index: int, count: int):
    net = ManTraNet(released_variant(index))
    trainable = sum(parameter.numel() for parameter in net.parameters())
    stored = sum(
        t.numel() for name, t in net.state_dict().items() if not name.endswith("num_batches_tracked")
    )
    assert trainable == count - 128  # the moving mean and variance of 64 channels
    assert stored == count


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 6), (16, 40), (48, 40)])
def test_the_map_equals_the_reference(size_hw: tuple[int, int]):
    net = random_mantranet()
    picture = random_picture(*size_hw)
    expected = reference.localization_map(picture, as_release_arrays(net))
    found = _localization_map(net, picture)
    assert found.shape == size_hw
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("index", range(5))
def test_every_variant_equals_the_reference(index: int):
    settings = _widths_of_toys(released_variant(index))
    net = random_mantranet(settings, seed=index)
    picture = random_picture(34, 38, seed=index)
    expected = reference.localization_map(
        picture, as_release_arrays(net), settings.window_sizes, settings.transform_tanh
    )
    np.testing.assert_allclose(_localization_map(net, picture), expected, rtol=0, atol=1e-5)


def test_the_map_equals_the_reference_at_full_width():
    net = random_mantranet(ManTraNetSettings())
    picture = random_picture(20, 18)
    arrays = as_release_arrays(net)
    assert sum(array.size for array in arrays.values()) == 3_805_078
    expected = reference.localization_map(picture, arrays)
    np.testing.assert_allclose(_localization_map(net, picture), expected, rtol=0, atol=1e-5)


def _with_hard_sigmoid_of_torch(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(convlstm, "hard_sigmoid", F.hardsigmoid)


def _with_true_sigmoid(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(convlstm, "hard_sigmoid", torch.sigmoid)


def _with_gates_in_another_order(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    lstm = net.ladn.clstm
    for weights in (lstm.input_conv.weight, lstm.input_conv.bias, lstm.recurrent_conv.weight):
        i, f, c, o = weights.data.chunk(4)
        weights.data = torch.cat([i, f, o, c])


def _with_the_bias_added_twice(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    net.ladn.clstm.recurrent_conv.bias = net.ladn.clstm.input_conv.bias


def _with_padded_cells_counted(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ladn, "box_mean", lambda x, size: F.avg_pool2d(x, size, stride=1, padding=size // 2))


def _with_windows_far_to_near(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    z_scores = net.ladn.z_scores
    patch.setattr(net.ladn, "z_scores", lambda *args: z_scores(*args).flip(1))


def _with_a_deviation_per_window(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    def z_scores(adapted: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        centred = [ladn.box_mean(adapted, size) - adapted for size in net.ladn.window_sizes] + [
            mean - adapted
        ]
        return torch.stack(
            [(d / net.ladn.sigma(d.std(dim=(2, 3), keepdim=True))).abs() for d in centred], dim=1
        )

    patch.setattr(net.ladn, "z_scores", z_scores)


def _with_signed_z_scores(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.Tensor, "abs", lambda x: x)


def _without_a_floor(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    net.ladn.raw_min_std.data.zero_()


def _pad_3x3_layers(net: ManTraNet, mode: str) -> None:
    for layer in net.imtfe.children():
        if isinstance(layer, torch.nn.Conv2d):
            layer.padding_mode = mode


def _with_reflect_padding(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(imtfe, "symmetric_pad", lambda x, pad: F.pad(x, (pad,) * 4, mode="reflect"))
    _pad_3x3_layers(net, "reflect")


def _with_zero_padding(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(imtfe, "symmetric_pad", lambda x, pad: F.pad(x, (pad,) * 4))
    _pad_3x3_layers(net, "zeros")


def _with_repeated_edges_in_the_first_layer(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(imtfe, "symmetric_pad", lambda x, pad: F.pad(x, (pad,) * 4, mode="replicate"))


def _with_first_layer_in_another_order(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    plain = TOY_SETTINGS.first_layer_filters - 12
    net.imtfe.b1c1.register_forward_hook(
        lambda _, __, x: torch.cat([x[:, plain + 9 :], x[:, plain : plain + 9], x[:, :plain]], dim=1)
    )


def _with_blue_first(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    net.register_forward_pre_hook(lambda _, args: (args[0].flip(1),))


def _with_an_unscaled_picture(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    net.register_forward_pre_hook(lambda _, args: (args[0] / 2 + 0.5,))


def _with_the_norm_of_the_whole_tensor(net: ManTraNet, patch: pytest.MonkeyPatch) -> None:
    def forward(image: torch.Tensor) -> torch.Tensor:
        features = net.imtfe.raw_features(net.imtfe.residuals(image))
        # The same overall size as unit vectors have, so that only the distribution over pixels is wrong.
        return features / features.norm() * (image.shape[2] * image.shape[3]) ** 0.5

    patch.setattr(net.imtfe, "forward", forward)


MISTAKES = (
    _with_hard_sigmoid_of_torch,
    _with_true_sigmoid,
    _with_gates_in_another_order,
    _with_the_bias_added_twice,
    _with_padded_cells_counted,
    _with_windows_far_to_near,
    _with_a_deviation_per_window,
    _with_signed_z_scores,
    _without_a_floor,
    _with_reflect_padding,
    _with_zero_padding,
    _with_repeated_edges_in_the_first_layer,
    _with_first_layer_in_another_order,
    _with_blue_first,
    _with_an_unscaled_picture,
    _with_the_norm_of_the_whole_tensor,
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_choice_changes_the_map(
    mistake: Callable[[ManTraNet, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
):
    """Each was found in some port of the network; none may pass for agreement with the reference."""
    net = random_mantranet()
    picture = random_picture(48, 40)
    expected = reference.localization_map(picture, as_release_arrays(net))
    assert np.abs(_localization_map(net, picture) - expected).max() < 1e-5
    with monkeypatch.context() as patch:
        mistake(net, patch)
        wrong = _localization_map(net, picture)
    assert np.abs(wrong - expected).max() > 1e-2


@torch.no_grad()
def test_a_batch_of_four_equals_four_singles():
    net = random_mantranet()
    batch = as_batch(*(random_picture(24, 28, seed) for seed in range(4)))
    singles = torch.cat([net(image.unsqueeze(0)) for image in batch])
    torch.testing.assert_close(net(batch), singles, rtol=0, atol=5e-5)


@torch.no_grad()
def test_logits_are_float32_under_autocast():
    net = random_mantranet()
    image = as_batch(random_picture(24, 28))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(image)
    assert logits.dtype == torch.float32
    assert 0 < (logits.sigmoid() - net(image).sigmoid()).abs().max() < 0.2


def _forgeries() -> tuple[torch.Tensor, torch.Tensor]:
    """Four noisy pictures, each smoothed within a rectangle, and masks of the rectangles."""
    pictures = [random_picture(32, 32, seed) for seed in range(4)]
    gt_masks = torch.zeros(4, 1, 32, 32)
    gt_masks[..., 16:, 16:] = 1
    return as_batch(*pictures), gt_masks


def _training_losses(steps: int, seed: int) -> Iterator[tuple[float, ManTraNet]]:
    torch.manual_seed(seed)
    net = ManTraNet(TOY_SETTINGS)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    images, gt_masks = _forgeries()
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(net(images), gt_masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item(), net


def test_it_learns_one_batch_by_heart():
    losses = [loss for loss, _ in _training_losses(steps=40, seed=0)]
    assert losses[0] > 0.4
    assert losses[-1] < 0.1 * losses[0]


def test_constraints_hold_after_training_steps():
    *_, (_, net) = _training_losses(steps=5, seed=0)
    kernels = net.imtfe.b1c1.constrained.kernel.detach()
    assert (kernels[..., 2, 2] == -1).all()
    assert kernels.sum(dim=(-2, -1)).abs().max() < 1e-6
    norms = net.ladn.adaptation.kernel.detach().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    assert (net.ladn.min_std >= 0).all()


def test_a_seed_gives_the_same_run_twice():
    first, second, other = (
        [(loss, net.ladn.pred.bias.item()) for loss, net in _training_losses(steps=3, seed=seed)]
        for seed in (7, 7, 8)
    )
    assert first == second
    assert first != other
