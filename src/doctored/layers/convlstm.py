"""A convolutional LSTM over a short sequence of maps."""

from collections.abc import Sequence

import torch
from torch import nn

from doctored.core.errors import ShapeError


def hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """clip(0.2 * x + 0.5, 0, 1): Keras 2's hard sigmoid, steeper than torch's x / 6 + 0.5."""
    return (0.2 * x + 0.5).clamp(0, 1)


class ConvLSTM2d(nn.Module):
    """A ConvLSTM with hard-sigmoid gates, tanh candidate and output, zero padding, and no peepholes.

    Args:
        in_channels: Channels of each map of the sequence.
        hidden_channels: Channels of the state.
        kernel_size: Odd side of both convolutions, in pixels.

    The four gates lie along the output channels in the order input, forget, candidate, output. The bias
    belongs to the input convolution alone; the forget part of it starts at 1.

    Paper: Shi et al., NIPS 2015, as Keras 2.2's ConvLSTM2D computes it.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        half = kernel_size // 2
        self.hidden_channels = hidden_channels
        self.input_conv = nn.Conv2d(in_channels, 4 * hidden_channels, kernel_size, padding=half)
        self.recurrent_conv = nn.Conv2d(
            hidden_channels, 4 * hidden_channels, kernel_size, padding=half, bias=False
        )
        nn.init.xavier_uniform_(self.input_conv.weight)
        nn.init.orthogonal_(self.recurrent_conv.weight)
        bias = torch.zeros(4 * hidden_channels)
        bias[hidden_channels : 2 * hidden_channels] = 1
        self.input_conv.bias = nn.Parameter(bias)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """The hidden state after the last step.

        Shapes:
            sequence: (B, T, in_channels, H, W).
            result: (B, hidden_channels, H, W).

        Raises:
            ShapeError: the sequence has no steps.
        """
        return self.last_state(sequence.unbind(1))

    def last_state(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """The same for T separate maps (B, in_channels, H, W)."""
        hidden: torch.Tensor | None = None
        cell: torch.Tensor | None = None
        for step in maps:
            # The state starts at zero, so the first step has no recurrent part and nothing to forget.
            gates = self.input_conv(step)
            if hidden is not None:
                gates = gates + self.recurrent_conv(hidden)
            i, f, g, o = gates.float().split(self.hidden_channels, dim=1)
            admitted = hard_sigmoid(i) * torch.tanh(g)
            cell = admitted if cell is None else hard_sigmoid(f) * cell + admitted
            hidden = hard_sigmoid(o) * torch.tanh(cell)
        if hidden is None:
            raise ShapeError("the sequence is empty; a ConvLSTM needs at least one step")
        return hidden
