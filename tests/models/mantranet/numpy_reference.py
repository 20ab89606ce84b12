"""ManTra-Net written a second time, slowly, in NumPy alone: what the tests hold the network against.

Nothing is shared with the package. Pictures and maps are float64 with the channels last, (H, W, C); kernels are
(K, K, in, out); weights go by the names and layouts of the released weight files ("b2c1/kernel", "cLSTM/bias").
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]

FEATURE_LAYERS = (
    "b1c2",
    "b2c1",
    "b2c2",
    "b3c1",
    "b3c2",
    "b3c3",
    "b4c1",
    "b4c2",
    "b4c3",
    "b5c1",
    "b5c2",
    "transform",
)


def hard_sigmoid(x: Array) -> Array:
    """0 up to -2.5, 1 from 2.5, and a straight line between them."""
    return np.interp(x, [-2.5, 2.5], [0.0, 1.0])


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def convolve(padded: Array, kernel: Array, bias: Array | float = 0.0) -> Array:
    """Cross-correlation without padding, tap by tap."""
    size = kernel.shape[0]
    height, width = padded.shape[0] - size + 1, padded.shape[1] - size + 1
    result = np.zeros((height, width, kernel.shape[3])) + bias
    for dy in range(size):
        for dx in range(size):
            result += np.tensordot(padded[dy : dy + height, dx : dx + width], kernel[dy, dx], axes=1)
    return result


def zero_pad(x: Array, pad: int) -> Array:
    padded = np.zeros((x.shape[0] + 2 * pad, x.shape[1] + 2 * pad, x.shape[2]))
    padded[pad : pad + x.shape[0], pad : pad + x.shape[1]] = x
    return padded


def mirrored(position: int, length: int) -> int:
    """Where a position outside 0..length - 1 lands when the ends are mirrors that repeat the end itself."""
    while not 0 <= position < length:
        position = -1 - position if position < 0 else 2 * length - 1 - position
    return position


def symmetric_pad(x: Array, pad: int) -> Array:
    height, width, channels = x.shape
    padded = np.empty((height + 2 * pad, width + 2 * pad, channels))
    for row in range(height + 2 * pad):
        for column in range(width + 2 * pad):
            padded[row, column] = x[mirrored(row - pad, height), mirrored(column - pad, width)]
    return padded


def srm_stack() -> Array:
    """(5, 5, 3, 9): each of three base kernels on red, green and blue alone, nine outputs in this order."""
    second_difference = np.array([0.0, 1.0, -2.0, 1.0, 0.0])
    # All three are symmetric; of the 5 x 5 one the upper left quarter says everything.
    quarter = np.array([[-1.0, 2.0, -2.0], [2.0, -6.0, 8.0], [-2.0, 8.0, -12.0]])
    half = np.hstack([quarter, quarter[:, 1::-1]])
    bases = (
        -np.outer(second_difference, second_difference) / 4,
        np.vstack([half, half[1::-1]]) / 12,
        np.outer([0, 0, 1, 0, 0], second_difference) / 2,
    )
    stack = np.zeros((5, 5, 3, 9))
    for k, base in enumerate(bases):
        for channel in range(3):
            stack[:, :, channel, 3 * k + channel] = base
    return stack


def bayar_projection(kernel: Array) -> Array:
    """What the release does to each 5 x 5 slice after an update: neighbours sum to 1, the centre is -1."""
    size, _, n_in, n_out = kernel.shape
    projected = kernel.copy()
    for i in range(n_in):
        for o in range(n_out):
            piece = projected[:, :, i, o]
            piece[size // 2, size // 2] = 0
            piece /= piece.sum() + 1e-7
            piece[size // 2, size // 2] = -1
    return projected


def unit_norm(kernel: Array) -> Array:
    return kernel / np.sqrt((kernel**2).sum(axis=2, keepdims=True))


def l2_normalise(x: Array) -> Array:
    """Per pixel, with TensorFlow's floor: 1e-12 under the squared norm."""
    return x / np.sqrt(np.maximum((x**2).sum(axis=2, keepdims=True), 1e-12))


def box_mean(x: Array, window_size: int) -> Array:
    half = window_size // 2
    result = np.empty_like(x)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            inside = x[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
            result[row, column] = inside.reshape(-1, x.shape[2]).mean(axis=0)
    return result


def floored_std(adapted: Array, min_std: Array) -> Array:
    """Population standard deviation of each channel over the picture, (C,)."""
    deviations = adapted - adapted.mean(axis=(0, 1))
    return np.maximum(np.sqrt((deviations**2).mean(axis=(0, 1))), 1e-6 + min_std)


def z_scores(adapted: Array, window_sizes: tuple[int, ...], min_std: Array) -> list[Array]:
    """One map per window, small to large, then the one against the global mean."""
    sigma = floored_std(adapted, min_std)
    means = [box_mean(adapted, size) for size in window_sizes]
    means.append(np.zeros_like(adapted) + adapted.mean(axis=(0, 1)))
    return [np.abs((mean - adapted) / sigma) for mean in means]


def conv_lstm(
    sequence: list[Array],
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array,
    gate: Callable[[Array], Array] = hard_sigmoid,
) -> Array:
    """The last hidden state; the gates lie in the order input, forget, candidate, output."""
    pad, hidden_channels = kernel.shape[0] // 2, recurrent_kernel.shape[2]
    hidden = np.zeros((*sequence[0].shape[:2], hidden_channels))
    cell = np.zeros_like(hidden)
    for x in sequence:
        sums = convolve(zero_pad(x, pad), kernel, bias) + convolve(zero_pad(hidden, pad), recurrent_kernel)
        i, f, c, o = (sums[..., g * hidden_channels : (g + 1) * hidden_channels] for g in range(4))
        cell = gate(f) * cell + gate(i) * np.tanh(c)
        hidden = gate(o) * np.tanh(cell)
    return hidden


def residuals(image: Array, arrays: Arrays) -> Array:
    """The first layer of a picture (H, W, 3) in [0, 1], after the ReLU."""
    kernel = np.concatenate([arrays["b1c1/regular_kernel"], srm_stack(), arrays["b1c1/bayar_kernel"]], axis=3)
    return np.maximum(convolve(symmetric_pad(image * 2 - 1, 2), kernel), 0)


def trace_features(image: Array, arrays: Arrays, transform_tanh: bool = False) -> Array:
    x = residuals(image, arrays)
    for name in FEATURE_LAYERS:
        x = convolve(symmetric_pad(x, 1), arrays[f"{name}/kernel"], arrays[f"{name}/bias"])
        if name != "transform":
            x = np.maximum(x, 0)
    return l2_normalise(np.tanh(x) if transform_tanh else x)


def adapt(features: Array, arrays: Arrays) -> Array:
    adapted = convolve(features, arrays["outlierTrans/kernel"])
    return (adapted - arrays["bnorm/moving_mean"]) / np.sqrt(arrays["bnorm/moving_variance"] + 1e-3)


def anomaly_logits(features: Array, arrays: Arrays, window_sizes: tuple[int, ...]) -> Array:
    """(H, W)."""
    sequence = z_scores(adapt(features, arrays), window_sizes, arrays["glbStd/min_std"].reshape(-1))
    hidden = conv_lstm(
        sequence, arrays["cLSTM/kernel"], arrays["cLSTM/recurrent_kernel"], arrays["cLSTM/bias"]
    )
    return convolve(zero_pad(hidden, 3), arrays["pred/kernel"], arrays["pred/bias"])[..., 0]


def localization_map(
    image: Array, arrays: Arrays, window_sizes: tuple[int, ...] = (7, 15, 31), transform_tanh: bool = False
) -> Array:
    """The whole network: a picture (H, W, 3) in [0, 1] to one likelihood per pixel, (H, W)."""
    return sigmoid(anomaly_logits(trace_features(image, arrays, transform_tanh), arrays, window_sizes))


def release_arrays(state: Mapping[str, NDArray[np.float32]]) -> dict[str, Array]:
    """The package's state dict, as NumPy arrays, in the names and layouts of the released files.

    Raw weights are given the constraints here that the release gives them after an update.
    """
    state = {name: array.astype(np.float64) for name, array in state.items()}

    def kernel(name: str) -> Array:
        return state[name].transpose(2, 3, 1, 0)

    arrays = {
        "b1c1/regular_kernel": kernel("imtfe.b1c1.plain_kernel"),
        "b1c1/bayar_kernel": bayar_projection(kernel("imtfe.b1c1.constrained.raw_kernel")),
        "outlierTrans/kernel": unit_norm(kernel("ladn.adaptation.raw_kernel")),
        "bnorm/moving_mean": state["ladn.bnorm.running_mean"],
        "bnorm/moving_variance": state["ladn.bnorm.running_var"],
        "glbStd/min_std": state["ladn.raw_min_std"].transpose(0, 2, 3, 1),
        "cLSTM/kernel": kernel("ladn.clstm.input_conv.weight"),
        "cLSTM/recurrent_kernel": kernel("ladn.clstm.recurrent_conv.weight"),
        "cLSTM/bias": state["ladn.clstm.input_conv.bias"],
        "pred/kernel": kernel("ladn.pred.weight"),
        "pred/bias": state["ladn.pred.bias"],
    }
    for name in FEATURE_LAYERS:
        arrays[f"{name}/kernel"] = kernel(f"imtfe.{name}.weight")
        arrays[f"{name}/bias"] = state[f"imtfe.{name}.bias"]
    return arrays
