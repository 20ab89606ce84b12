"""Mean and standard deviation of each channel of a map that comes in pieces."""

import numpy as np
from numpy.typing import NDArray

_CHUNK_PX = 4096


class ChannelStatistics:
    """Accumulates per-channel statistics in float64, pieces in any order.

    Each chunk of pixels contributes its own mean and squared deviations from it, which are then merged; sums of
    squares of raw values would cancel where a channel's mean is large beside its deviation.

    Args:
        channels: C, the number of channels.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, piece: NDArray[np.float32]) -> None:
        """Count each pixel of a piece (H, W, C) once."""
        rows_per_chunk = max(1, _CHUNK_PX // max(1, piece.shape[1]))
        for top in range(0, piece.shape[0], rows_per_chunk):
            self._add_chunk(piece[top : top + rows_per_chunk].reshape(-1, piece.shape[-1]).astype(np.float64))

    def _add_chunk(self, pixels: NDArray[np.float64]) -> None:
        mean = pixels.mean(axis=0)
        pixels -= mean
        step = mean - self._mean
        total = self.count + len(pixels)
        self._squares += np.einsum("ij,ij->j", pixels, pixels)
        self._squares += step**2 * (self.count * len(pixels) / total)
        self._mean += step * (len(pixels) / total)
        self.count = total

    @property
    def mean(self) -> NDArray[np.float32]:
        """(C,)."""
        return self._mean.astype(np.float32)

    @property
    def std(self) -> NDArray[np.float32]:
        """(C,), the population standard deviation."""
        return np.sqrt(self._squares / max(1, self.count)).astype(np.float32)
