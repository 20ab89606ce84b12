import numpy as np
import torch
import torch.nn.functional as F

from doctored.layers.srm import srm_kernels
from models.mantranet import numpy_reference as reference


def _responses(image: torch.Tensor) -> torch.Tensor:
    return F.conv2d(image, srm_kernels())


def test_equals_the_reference_stack():
    kernels = srm_kernels()
    assert kernels.dtype == torch.float32
    np.testing.assert_array_equal(
        kernels.numpy(), reference.srm_stack().transpose(3, 2, 0, 1).astype(np.float32)
    )


def test_flat_colour_gives_nothing():
    image = torch.tensor([0.9, -0.3, 0.77]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert _responses(image).abs().max() < 1e-6


def test_colours_are_never_mixed():
    image = torch.zeros(1, 3, 5, 5)
    image[:, 1] = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    live = _responses(image)[0, :, 0, 0] != 0
    assert live.nonzero().flatten().tolist() == [1, 4, 7]


def test_the_third_filter_is_half_the_second_difference_along_a_row():
    columns = torch.arange(7.0)
    across = (columns**2).expand(1, 3, 7, 7)
    # (x + 1)^2 - 2 x^2 + (x - 1)^2 = 2, and half of it is 1.
    torch.testing.assert_close(_responses(across)[0, 6:], torch.ones(3, 3, 3))
    assert _responses(across.transpose(2, 3))[0, 6:].abs().max() == 0


def test_a_single_bright_pixel_shows_the_published_centre_weights():
    image = torch.zeros(1, 3, 5, 5)
    image[:, :, 2, 2] = 1
    centres = _responses(image)[0, :, 0, 0]
    torch.testing.assert_close(centres, torch.tensor([-1.0] * 9))
