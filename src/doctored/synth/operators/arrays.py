"""The two kinds of picture that operators take and return, both (H, W, 3) in RGB order and grey levels."""

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""A stored picture, 0..255."""

UnroundedRgb = NDArray[np.float32]
"""Computed grey levels that nobody has rounded or clipped yet."""
