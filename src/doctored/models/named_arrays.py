"""What every converter of foreign weights does: take arrays by their names, and make sure that they fit a network."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from doctored.core.errors import ModelError

Arrays = Mapping[str, NDArray[Any]]
State = dict[str, NDArray[Any]]
"""A state dict of one of our networks, in NumPy arrays."""

_NAMED_IN_AN_ERROR = 5


def require_names(found: Collection[str], expected: Collection[str], network: str) -> None:
    """Refuse a set of arrays that is not the expected one.

    Raises:
        ModelError: It names what is missing and what is unknown.
    """
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    problems = []
    if missing:
        problems.append(f"{len(missing)} of its {len(expected)} arrays are missing ({_some(missing)})")
    if unknown:
        problems.append(f"{len(unknown)} arrays are unknown ({_some(unknown)})")
    if problems:
        raise ModelError(f"these are not the weights of {network}: {' and '.join(problems)}")


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """A kernel of TensorFlow, (H, W, in, out) or (in, out), as torch has it; a vector as it is.

    Transposed convolutions are (H, W, out, in) there and (in, out, H, W) in torch, so the same order serves them.
    Neither library flips kernels.
    """
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 else array


def require_fit(state: State, sources: Mapping[str, str], network: torch.nn.Module) -> State:
    """The same arrays in float32 and contiguous, if each has the shape and finite values that the network needs.

    Args:
        state: By the names of the network; perhaps a part of it.
        sources: What the file calls each of them.
        network: May lie on the device "meta".

    Raises:
        ModelError: An array has another shape, another kind of values, or some that are not finite.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    fitting: State = {}
    for name, array in state.items():
        source = sources[name]
        if array.dtype.kind != "f":
            raise ModelError(f"{source} holds {array.dtype} values; weights are floating-point numbers")
        if array.shape != shapes[name]:
            raise ModelError(
                f"{source} becomes an array of shape {array.shape}, but the network that the other arrays make needs "
                f"{shapes[name]}; the file is damaged or of another network"
            )
        with np.errstate(over="ignore"):
            fitting[name] = np.array(array, np.float32, order="C")
        if not np.isfinite(fitting[name]).all():
            raise ModelError(f"{source} holds values that are not finite; its training has failed")
    return fitting


def require_prediction_errors(kernels: NDArray[Any], source: str) -> None:
    """Refuse kernels (out, in, K, K) that are not constrained: the centre -1, the sum 0.

    Raises:
        ModelError: One is not; networks here would project it, and answer differently.
    """
    centre = kernels.shape[-1] // 2
    # A kernel that was divided by a small sum has large weights, and rounding errors in proportion.
    excess = np.abs(kernels.sum((2, 3), np.float64)) / np.maximum(np.abs(kernels).sum((2, 3)), 1)
    if np.abs(kernels[..., centre, centre] + 1).max() > 1e-4 or excess.max() > 1e-4:
        raise ModelError(
            f"the filters of {source} do not obey their constraint (centre -1, sum 0); the file is damaged or of "
            "another network"
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMED_IN_AN_ERROR
    return ", ".join(listed[:_NAMED_IN_AN_ERROR]) + (f" and {more} more" if more > 0 else "")
