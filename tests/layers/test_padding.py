import numpy as np
import pytest
import torch

from doctored.layers.padding import symmetric_pad
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import as_batch, as_map


def test_repeats_the_edge_pixel():
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    assert symmetric_pad(row, 2)[0, 0, 0].tolist() == [2, 1, 1, 2, 3, 3, 2]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (2, 2), (3, 2), (5, 6)])
@pytest.mark.parametrize("pad_px", [0, 1, 2, 5])
def test_equals_a_loop_that_bounces_at_the_ends(size_hw: tuple[int, int], pad_px: int):
    image = np.random.default_rng(0).random((*size_hw, 3), dtype=np.float32)
    padded = as_map(symmetric_pad(as_batch(image), pad_px))
    np.testing.assert_array_equal(padded, reference.symmetric_pad(image, pad_px).astype(np.float32))


def test_gradient_counts_how_often_each_pixel_is_repeated():
    row = torch.zeros(1, 1, 1, 3, requires_grad=True)
    symmetric_pad(row, 2).sum().backward()
    # Across: 2 1 1 2 3 3 2. Down: the one row five times.
    assert row.grad is not None
    assert row.grad[0, 0, 0].tolist() == [10, 15, 10]
