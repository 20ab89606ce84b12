import numpy as np
import pytest
import torch
from scipy import ndimage

from doctored.layers.box_mean import box_mean
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import as_batch, as_map


def test_counts_only_pixels_of_the_image():
    features = torch.arange(9.0).view(1, 1, 3, 3)
    means = box_mean(features, 3)[0, 0]
    assert means[0, 0].item() == pytest.approx((0 + 1 + 3 + 4) / 4)
    assert means[0, 1].item() == pytest.approx((0 + 1 + 2 + 3 + 4 + 5) / 6)
    assert means[1, 1].item() == pytest.approx(4)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (2, 2), (5, 6), (16, 40)])
@pytest.mark.parametrize("window_size", [3, 7, 15, 31, 63])
def test_equals_brute_force(size_hw: tuple[int, int], window_size: int):
    features = np.random.default_rng(0).normal(3, 1, (*size_hw, 2)).astype(np.float32)
    means = as_map(box_mean(as_batch(features), window_size))
    np.testing.assert_allclose(
        means, reference.box_mean(features.astype(np.float64), window_size), rtol=0, atol=2e-6
    )


def test_equals_scipy():
    features = np.random.default_rng(1).normal(size=(50, 44))
    # Sums over inside pixels divided by how many there are; both filters count the outside as zeros.
    sums = ndimage.uniform_filter(features, 15, mode="constant")
    counts = ndimage.uniform_filter(np.ones_like(features), 15, mode="constant")
    means = box_mean(torch.from_numpy(features)[None, None], 15)[0, 0].numpy()
    np.testing.assert_allclose(means, sums / counts, rtol=0, atol=1e-12)


def test_stays_exact_on_a_large_picture_with_an_offset():
    # Here a float32 integral image would be wrong by about 1e-2.
    features = torch.randn(1, 1, 1000, 1000, generator=torch.Generator().manual_seed(0)) + 1
    exact = box_mean(features.double(), 7)
    assert (box_mean(features, 7) - exact).abs().max() < 1e-6
