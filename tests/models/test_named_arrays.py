import numpy as np
import pytest
import torch
from torch import nn

from doctored.core.errors import ModelError
from doctored.models.named_arrays import (
    channels_first,
    require_fit,
    require_names,
    require_prediction_errors,
)


def test_names_that_agree_pass_and_others_are_counted_and_listed():
    require_names(["a", "b"], ("b", "a"), "X")
    with pytest.raises(
        ModelError, match=r"^these are not the weights of X: 1 of its 2 arrays are missing \(b\)$"
    ):
        require_names(["a"], ["a", "b"], "X")
    with pytest.raises(ModelError, match=r"X: 7 arrays are unknown \(c0, c1, c2, c3, c4 and 2 more\)$"):
        require_names(["a", *(f"c{n}" for n in range(7))], ["a"], "X")


def test_axes_are_those_of_torch():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert channels_first(kernel).shape == (5, 4, 2, 3)
    assert channels_first(kernel)[4, 3, 1, 2] == kernel[1, 2, 3, 4]
    assert channels_first(kernel[0, 0]).shape == (5, 4)
    assert channels_first(kernel[0, 0, 0]).shape == (5,)


@torch.no_grad()
def test_what_fits_is_float32_and_a_copy():
    layer = nn.Linear(3, 2)
    weight = np.ones((2, 3))
    weight.flags.writeable = False
    fitting = require_fit({"weight": weight.T.reshape(2, 3)}, {"weight": "w"}, layer)
    assert fitting["weight"].dtype == np.float32
    assert fitting["weight"].flags.writeable
    assert fitting["weight"].flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.ones((3, 2), np.float32), r"w becomes an array of shape \(3, 2\), .* needs \(2, 3\)"),
        (np.ones((2, 3), bool), "w holds bool values"),
        (np.full((2, 3), 1e300), "w holds values that are not finite"),
    ],
)
def test_what_does_not_fit_is_named(array: np.ndarray, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        require_fit({"weight": array}, {"weight": "w"}, nn.Linear(3, 2))


def test_prediction_errors_have_the_centre_minus_one_and_the_sum_zero():
    kernel = np.full((1, 1, 3, 3), 1 / 8)
    kernel[0, 0, 1, 1] = -1
    require_prediction_errors(kernel, "k")
    # Neighbours that nearly cancel are large, and their rounding is too.
    large = kernel.copy()
    large[0, 0, 0] += (3000, -3000, 0.01)
    require_prediction_errors(large.astype(np.float32), "k")
    for place, change in (((0, 0, 1, 1), 0.001), ((0, 0, 0, 0), 0.001)):
        wrong = kernel.copy()
        wrong[place] += change
        with pytest.raises(ModelError, match="k do not obey their constraint"):
            require_prediction_errors(wrong, "k")
