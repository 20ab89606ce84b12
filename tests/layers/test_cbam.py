import numpy as np
import pytest
import torch
from scipy.special import expit

from doctored.core.errors import ConfigError
from doctored.layers.cbam import CBAM


def _random_cbam(variant, seed: int = 0) -> CBAM:
    torch.manual_seed(seed)
    cbam = CBAM(6, 3, variant)
    for parameter in cbam.parameters():
        torch.nn.init.normal_(parameter)
    return cbam


def _reference(x: np.ndarray, cbam: CBAM) -> np.ndarray:
    """One picture (C, H, W), by loops over places."""
    released = cbam.variant == "released"
    w = {name: parameter.detach().double().numpy() for name, parameter in cbam.named_parameters()}
    channels, height, width = x.shape

    def perceptron(vector):
        hidden = np.maximum(w["mlp_1.weight"] @ vector + w["mlp_1.bias"], 0)
        out = w["mlp_2.weight"] @ hidden + w["mlp_2.bias"]
        return np.maximum(out, 0) if released else out

    flat = x.reshape(channels, -1)
    scale = expit(perceptron(flat.max(axis=1)) + perceptron(flat.mean(axis=1)))
    refined = x * scale[:, None, None]
    source = x if released else refined
    pooled = np.zeros((2, height + 6, width + 6))
    pooled[0, 3:-3, 3:-3], pooled[1, 3:-3, 3:-3] = source.max(axis=0), source.mean(axis=0)
    result = np.empty_like(x)
    for row in range(height):
        for column in range(width):
            window = pooled[:, row : row + 7, column : column + 7]
            score = (window * w["spatial_conv.weight"][0]).sum() + w["spatial_conv.bias"][0]
            result[:, row, column] = refined[:, row, column] * expit(score)
    return result


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("size_hw", [(1, 1), (5, 4), (9, 12)])
def test_both_variants_equal_a_slow_loop(variant, size_hw):
    cbam = _random_cbam(variant)
    features = torch.randn(2, 6, *size_hw, generator=torch.Generator().manual_seed(1))
    result = cbam(features).detach().numpy()
    for index in range(2):
        expected = _reference(features[index].double().numpy(), cbam)
        np.testing.assert_allclose(result[index], expected, rtol=1e-4, atol=1e-6)


def test_the_released_variant_never_halves_a_channel_by_more_than_half():
    features = torch.randn(3, 6, 5, 5, generator=torch.Generator().manual_seed(2))
    released, paper = (_random_cbam(variant).channel_map(features) for variant in ("released", "paper"))
    assert released.min() >= 0.5
    assert paper.min() < 0.5


def test_parameters_of_the_original():
    """512 to 256 and back, and a 7 x 7 convolution of two maps."""
    count = sum(parameter.numel() for parameter in CBAM(512, 256).parameters())
    assert count == 512 * 256 + 256 + 256 * 512 + 512 + 2 * 49 + 1


def test_another_variant_is_refused():
    with pytest.raises(ConfigError, match="'paper' or 'released'"):
        CBAM(6, 3, "other")
