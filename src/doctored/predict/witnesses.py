"""The models as the detector sees them: pixels in, a map and a raw score out."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.predict.engine import ManTraNetEngine
from doctored.predict.localize import LocalizationPlan, ProgressCallback, localization_logits
from doctored.predict.raw_score import raw_score

_PROBE_PX = 96


class Witness(Protocol):
    """One model that looks at pictures.

    Attributes:
        name: Catalogue name.
        sha256: Of its weights, lower-case hexadecimal.
        precision: What it computes in.
    """

    name: str
    sha256: str
    precision: str

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        """What the raw score is a function of, (H, W) float32: logits before any temperature, if it has such."""
        ...

    def look(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> tuple[NDArray[np.float32], float]:
        """Localization map (H, W) float32 in [0, 1] and raw score of a picture (H, W, 3) uint8."""
        ...

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        """About how long `look` takes on a picture of that size."""
        ...


class ManTraNetWitness:
    """ManTra-Net on any engine.

    Args:
        name: Catalogue name.
        sha256: Of the weights.
        engine: Runs the network.
        temperature: What logits are divided by before the sigmoid. The raw score is that of the logits before.
        plan: From a picture's size to how it is cut up.
    """

    def __init__(
        self,
        name: str,
        sha256: str,
        engine: ManTraNetEngine,
        temperature: float,
        plan: Callable[[tuple[int, int]], LocalizationPlan],
    ) -> None:
        self.name, self.sha256 = name, sha256
        self.engine, self.temperature, self.plan = engine, temperature, plan
        self.precision: str = engine.precision
        self._seconds_per_px: tuple[float, float] | None = None

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        plan = self.plan((pixels.shape[0], pixels.shape[1]))
        return localization_logits(self.engine, pixels, plan, on_progress)

    def look(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> tuple[NDArray[np.float32], float]:
        logits = self.scored_map(pixels, on_progress)
        score = raw_score(logits)
        return sigmoid_in_place(logits, self.temperature), score

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        if self._seconds_per_px is None:
            self._seconds_per_px = self._time_one_tile()
        plan = self.plan(size_hw)
        return sum(
            seconds * sum(tile.seen_px for tile in tiles)
            for seconds, tiles in zip(self._seconds_per_px, (plan.first_pass, plan.second_pass), strict=True)
        )

    def _time_one_tile(self) -> tuple[float, float]:
        """Seconds per pixel of the two passes; the first run of each, which compiles, does not count."""
        image = np.random.default_rng(0).integers(0, 256, (_PROBE_PX, _PROBE_PX, 3), np.uint8)
        adapted = self.engine.adapted(image).copy()
        unit = np.ones(adapted.shape[-1], np.float32)
        self.engine.anomaly_logits(adapted, 0 * unit, unit)
        start = time.perf_counter()
        self.engine.adapted(image)
        middle = time.perf_counter()
        self.engine.anomaly_logits(adapted, 0 * unit, unit)
        return (middle - start) / _PROBE_PX**2, (time.perf_counter() - middle) / _PROBE_PX**2


def sigmoid_in_place(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """1 / (1 + exp(-logits / temperature)), in the memory of the logits: maps of large pictures are large."""
    # The sigmoid through tanh cannot overflow.
    np.multiply(logits, 0.5 / temperature, out=logits)
    np.tanh(logits, out=logits)
    np.multiply(logits, 0.5, out=logits)
    np.add(logits, 0.5, out=logits)
    return logits


class YardstickWitness:
    """A plain function from pixels to a map.

    Args:
        name: Catalogue name.
        function: From (H, W, 3) uint8 to (H, W) float32 in [0, 1].
    """

    def __init__(self, name: str, function: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> None:
        self.name, self.function, self.precision = name, function, "fp32"
        # It has no weights; what decides its answers is its code.
        self.sha256 = hashlib.sha256(Path(function.__code__.co_filename).read_bytes()).hexdigest()

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        localization_map = self.function(pixels)
        if on_progress is not None:
            on_progress(1, 1)
        return localization_map

    def look(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> tuple[NDArray[np.float32], float]:
        localization_map = self.scored_map(pixels, on_progress)
        return localization_map, raw_score(localization_map)

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return 1e-7 * size_hw[0] * size_hw[1]
