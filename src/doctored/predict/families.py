"""Which kind of manipulation a region looks like, by what the trace features were trained to tell apart."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DoctoredError, ModelError
from doctored.core.imc_classes import IMC_CLASSES, IMC_FAMILIES, level_groups
from doctored.core.inspection import Region

IMC_HEAD_FILE = "imc_head.npz"

_FAMILY_LEVEL = 7

WINDOW_PX = 128
"""Of a larger region so much is looked at, around its middle: families need 64 px, and features take time."""

_LARGEST_BYTES = 16_000_000  # forty times the head of the published network


@dataclass(frozen=True, eq=False)
class ImcHead:
    """A linear layer from the mean trace feature of a region to the 385 manipulation classes, without PyTorch.

    Args:
        weight: (385, C) float32, the feature scale of the network's head multiplied in.
        bias: (385,) float32.

    Raises:
        ModelError: The shapes are others, or a number is not finite.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        classes = len(IMC_CLASSES)
        if self.weight.ndim != 2 or len(self.weight) != classes or self.bias.shape != (classes,):
            raise ModelError(
                f"a head has weights ({classes}, channels) and biases ({classes},); got {self.weight.shape} and "
                f"{self.bias.shape}"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ModelError(
                "the head that names manipulations holds NaN or infinity; its weights are damaged"
            )

    def family(self, mean_feature: NDArray[np.float32]) -> tuple[str, float]:
        """The likeliest of `IMC_FAMILIES` and its probability.

        Args:
            mean_feature: (C,), the mean of the features over a region.
        """
        logits = (self.weight @ mean_feature + self.bias).astype(np.float64)
        shares = np.exp(logits - logits.max())
        families = np.bincount(level_groups(_FAMILY_LEVEL), shares / shares.sum())
        return IMC_FAMILIES[families.argmax()], float(min(1.0, families.max()))

    def to_bytes(self) -> bytes:
        """The content of its file."""
        file = io.BytesIO()
        np.savez(file, weight=self.weight, bias=self.bias)
        return file.getvalue()


def read_imc_head(path: Path) -> ImcHead:
    """The head that a file holds.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > _LARGEST_BYTES:
                raise ValueError(f"it unpacks to more than {_LARGEST_BYTES // 10**6} MB")
            return ImcHead(arrays["weight"].astype(np.float32), arrays["bias"].astype(np.float32))
    except DoctoredError:
        raise
    except Exception as error:  # a damaged file can make NumPy raise anything
        raise ModelError(
            f"{path} is no head that names manipulations ({error}); export the model again"
        ) from error


def window_of(region: Region, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the picture to look at: `WINDOW_PX` each, as far as there are, around the region's middle.

    Always as many, so that a network that is compiled for a shape is compiled once for a picture.
    """
    left, top, right, bottom = region.box_xyxy
    middle_y, middle_x = (top + bottom) // 2, (left + right) // 2
    if region.mask is not None and region.mask.any():
        rows, columns = np.nonzero(region.mask)
        middle_y, middle_x = top + int(np.median(rows)), left + int(np.median(columns))
    return _around(middle_y, size_hw[0]), _around(middle_x, size_hw[1])


def _around(middle: int, length: int) -> slice:
    first = max(0, min(middle - WINDOW_PX // 2, length - WINDOW_PX))
    return slice(first, min(length, first + WINDOW_PX))


def mean_feature_of(
    region: Region, window: tuple[slice, slice], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean feature (C,) of the region's pixels in a window; of its box where its mask has none there.

    Args:
        region: With a mask, or a box that is all of it.
        window: As from `window_of`.
        features: (h, w, C) of the window.
    """
    rows, columns = window
    left, top, right, bottom = region.box_xyxy
    shown = (
        slice(max(top, rows.start), min(bottom, rows.stop)),
        slice(max(left, columns.start), min(right, columns.stop)),
    )
    of_box = features[_counted_from(shown, rows.start, columns.start)]
    inside = np.ones(of_box.shape[:2], bool)
    if region.mask is not None:
        mask = region.mask[_counted_from(shown, top, left)]
        inside = mask if mask.any() else inside
    mean: NDArray[np.float32] = of_box[inside].mean(axis=0)
    return mean


def _counted_from(part: tuple[slice, slice], row: int, column: int) -> tuple[slice, slice]:
    rows, columns = part
    return slice(rows.start - row, rows.stop - row), slice(columns.start - column, columns.stop - column)
