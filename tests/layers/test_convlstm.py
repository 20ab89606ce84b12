from math import tanh

import numpy as np
import pytest
import torch

from doctored.core.errors import ShapeError
from doctored.layers.convlstm import ConvLSTM2d, hard_sigmoid
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import as_map


def test_hard_sigmoid_is_the_steeper_one():
    x = torch.tensor([-9.0, -2.5, -1.0, 0.0, 1.0, 2.5, 9.0])
    torch.testing.assert_close(hard_sigmoid(x), torch.tensor([0, 0, 0.3, 0.5, 0.7, 1, 1]))
    np.testing.assert_allclose(hard_sigmoid(x).numpy(), reference.hard_sigmoid(x.numpy()), atol=1e-7)


def test_two_steps_by_hand():
    lstm = ConvLSTM2d(1, 1, kernel_size=1)
    with torch.no_grad():
        # Gates: input, forget, candidate, output.
        lstm.input_conv.weight.copy_(torch.tensor([1.0, 0.5, 2.0, -1.0]).view(4, 1, 1, 1))
        lstm.input_conv.bias.copy_(torch.tensor([0.1, 1.0, -0.2, 0.3]))
        lstm.recurrent_conv.weight.copy_(torch.tensor([0.5, -1.0, 1.5, 2.0]).view(4, 1, 1, 1))

    # First step, x = 0.5: sums 0.6, 1.25, 0.8, -0.2.
    cell = (0.2 * 0.6 + 0.5) * tanh(0.8)
    hidden = (0.2 * -0.2 + 0.5) * tanh(cell)
    # Second step, x = 1: sums 1.1, 1.5, 1.8, -0.7 before the state's part; the bias is not added again.
    cell = (0.2 * (1.5 - hidden) + 0.5) * cell + (0.2 * (1.1 + 0.5 * hidden) + 0.5) * tanh(1.8 + 1.5 * hidden)
    hidden = (0.2 * (-0.7 + 2 * hidden) + 0.5) * tanh(cell)

    result = lstm(torch.tensor([0.5, 1.0]).view(1, 2, 1, 1, 1))
    assert result.item() == pytest.approx(hidden, abs=1e-6)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (9, 11)])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_equals_the_reference(size_hw: tuple[int, int], steps: int):
    torch.manual_seed(0)
    lstm = ConvLSTM2d(4, 3, kernel_size=7)
    with torch.no_grad():
        lstm.input_conv.bias.add_(torch.randn(12))
        sequence = torch.randn(1, steps, 4, *size_hw)
        hidden = as_map(lstm(sequence))
    expected = reference.conv_lstm(
        [as_map(sequence[:, t]).astype(np.float64) for t in range(steps)],
        lstm.input_conv.weight.detach().numpy().transpose(2, 3, 1, 0),
        lstm.recurrent_conv.weight.detach().numpy().transpose(2, 3, 1, 0),
        lstm.input_conv.bias.detach().numpy(),
    )
    np.testing.assert_allclose(hidden, expected, rtol=0, atol=2e-6)


def test_sequences_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    lstm = ConvLSTM2d(2, 3, kernel_size=3)
    batch = torch.randn(4, 3, 2, 6, 5)
    singles = torch.cat([lstm(sequence.unsqueeze(0)) for sequence in batch])
    torch.testing.assert_close(lstm(batch), singles, rtol=0, atol=1e-6)


def test_start_forgets_nothing_much_and_has_an_orthogonal_state():
    lstm = ConvLSTM2d(5, 3, kernel_size=7)
    assert lstm.input_conv.bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6
    assert lstm.recurrent_conv.bias is None
    rows = lstm.recurrent_conv.weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(12), rtol=0, atol=1e-5)


def test_a_sequence_without_steps_is_refused():
    with pytest.raises(ShapeError, match="at least one step"):
        ConvLSTM2d(2, 3, kernel_size=3)(torch.zeros(1, 0, 2, 6, 5))
