"""Whether a JPEG file looks as if its picture had been a JPEG file of lower quality before.

Saving a picture as JPEG rounds each frequency of its 8 x 8 blocks to multiples of a step. Where an earlier save on the
same block grid has rounded it to larger steps, some multiples can hardly be reached and others collect what belongs to
their neighbours: the histogram of a frequency has gaps and peaks at regular distances.

Paper: Lukas and Fridrich, "Estimation of Primary Quantization Matrix in Double Compressed JPEG Images", DFRWS 2003:
    what each candidate for the first step would make of the same picture with its block grid shifted by 4 pixels,
    which no longer shows the rounding, is compared with what is there.
Differs: the coefficients come from the decoded pixels, so that nothing but Pillow reads the file; the match is a
    likelihood, and an earlier save is reported only where it explains the coefficients better than a single one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doctored.core.decoding import as_stored
from doctored.core.jpeg_facts import quality_of_percent
from doctored.core.picture import Picture

# (vertical, horizontal) frequencies: the nine lowest besides the mean. Higher ones are mostly 0, which says nothing.
_FREQUENCIES = tuple((v, diagonal - v) for diagonal in (1, 2, 3) for v in range(diagonal + 1))
# Their steps at quality 50 (ITU-T T.81, table K.1).
_STEPS_AT_50 = (11, 12, 10, 12, 14, 16, 14, 13, 14)
_MOST_BLOCKS = 20_000
_FEWEST_BLOCKS = 400
_FEWEST_COEFFICIENTS = 150
_FEWEST_FREQUENCIES = 3
_SHIFT_PX = 4
_LARGEST_COEFFICIENT = 1024
_FIRST_STEPS = range(2, 61)
# Beyond this multiple of the step there are too few coefficients to compare.
_MULTIPLES = 15
# Between two saves pixels are rounded, which moves a coefficient by this much (standard deviation).
_PIXEL_ROUNDING = 0.4
# The share that it moves beyond a border at -4, -3.5, ... 4; nothing comes from farther away.
_MOST_HALVES = 8
_BEYOND_HALVES = np.array(
    [
        0.5 * math.erfc(halves / 2 / (_PIXEL_ROUNDING * math.sqrt(2)))
        for halves in range(-_MOST_HALVES, _MOST_HALVES + 1)
    ]
)
# The share of every expected histogram that is spread evenly, so that a single odd coefficient cannot decide.
_SPREAD = 0.02
# Coefficients of the file itself lie on multiples of its steps, give or take this share of a step in the mean. A share
# of 0.25 means anywhere: the decoder or the colours were not what was assumed here.
_OFF_GRID = 0.18
_FOUND = 0.1

_DCT = np.array(
    [
        [math.sqrt((1 if k == 0 else 2) / 8) * math.cos(math.pi * (2 * n + 1) * k / 16) for n in range(8)]
        for k in range(8)
    ],
    np.float32,
)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class DoubleCompression:
    """What the luma coefficients of a JPEG file say of an earlier save.

    Attributes:
        gain: How much better an earlier save with other steps explains a coefficient than a single save does:
            log-likelihood ratio in nats per coefficient, mean over the frequencies. About 0 or below for a single
            save; see `found`.
        step_ratio: The earlier step divided by the present one, median over the frequencies. Without meaning
            unless `found`, and so is the next.
        earlier_quality: The libjpeg quality, 1..100, whose steps are about the earlier ones.
        frequencies: Number of frequencies with enough coefficients to compare, 3..9.
    """

    gain: float
    step_ratio: float
    earlier_quality: float
    frequencies: int

    @property
    def found(self) -> bool:
        """Whether an earlier, coarser save has left traces.

        `benchmarks/double_compression.py` measures both sides of this threshold; docs/report.md has its table.
        """
        return self.gain >= _FOUND and self.step_ratio > 1


def double_compression(picture: Picture) -> DoubleCompression | None:
    """Look for traces of an earlier, coarser JPEG save in a JPEG file.

    Only for a save on the same block grid: after cropping, resizing or rotating in between nothing is found, and
    neither is an earlier save of the same or a higher quality.

    Args:
        picture: As it was read from its file. Of a large one a fixed sample of its blocks is looked at.

    Returns:
        None where this cannot be told: no JPEG file, colours that are not Y, Cb and Cr, a table with a step of 0, or
        too few blocks that are neither flat nor saturated.
    """
    if picture.jpeg is None or picture.mode not in ("RGB", "L"):
        return None
    luma = _sampled_luma(as_stored(picture.pixels, picture.orientation))
    if len(luma) < _FEWEST_BLOCKS:
        return None
    steps = picture.jpeg.quantization_tables[0]
    if min(steps) < 1:  # the standard forbids it, and decoders take it
        return None
    stored, shifted = _coefficients(luma, 0), _coefficients(luma, _SHIFT_PX)
    if _share_off_grid(stored, steps) > _OFF_GRID:
        return None
    gains, ratios, percents = [], [], []
    for (v, u), step_at_50 in zip(_FREQUENCIES, _STEPS_AT_50, strict=True):
        step = steps[8 * v + u]
        counts = _count_multiples(stored[:, v, u], step)
        if counts.sum() >= _FEWEST_COEFFICIENTS:
            gain, first_step = _best_first_step(counts, shifted[:, v, u], step)
            gains.append(gain)
            ratios.append(first_step / step)
            percents.append(100 * first_step / step_at_50)
    if len(gains) < _FEWEST_FREQUENCIES:
        return None
    return DoubleCompression(
        gain=float(np.mean(gains)),
        step_ratio=float(np.median(ratios)),
        earlier_quality=quality_of_percent(float(np.median(percents))),
        frequencies=len(gains),
    )


def _sampled_luma(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(N, 12, 12) luma around 0 of blocks that are spread over the picture: 8 x 8 and 4 more to the right and below.

    Blocks with saturated pixels are left out: clipping has moved their coefficients.
    """
    rows = (pixels.shape[0] - _SHIFT_PX) // 8
    columns = (pixels.shape[1] - _SHIFT_PX) // 8
    if rows < 1 or columns < 1:
        return np.empty((0, 12, 12), np.float32)
    chosen = np.linspace(0, rows * columns - 1, min(rows * columns, _MOST_BLOCKS)).astype(np.int64)
    inside = np.arange(8 + _SHIFT_PX)
    y = 8 * (chosen // columns)[:, None, None] + inside[None, :, None]
    x = 8 * (chosen % columns)[:, None, None] + inside[None, None, :]
    blocks = pixels[y, x]
    saturated = ((blocks == 0) | (blocks == 255)).any(axis=(1, 2, 3))
    return np.asarray(blocks[~saturated] @ _LUMA - 128, np.float32)


def _coefficients(luma: npt.NDArray[np.float32], offset_px: int) -> npt.NDArray[np.float32]:
    """(N, 8, 8) cosine transform as JPEG defines it (ITU-T T.81, A.3.3)."""
    blocks = luma[:, offset_px : offset_px + 8, offset_px : offset_px + 8]
    return np.asarray(_DCT @ blocks @ _DCT.T, np.float32)


def _share_off_grid(coefficients: npt.NDArray[np.float32], steps: tuple[int, ...]) -> float:
    """Mean distance to the nearest multiple as a share of the step; 0 where all steps are too small to tell."""
    shares = [
        float(np.abs(multiples - np.rint(multiples)).mean())
        for v, u in _FREQUENCIES
        if (step := steps[8 * v + u]) >= 4
        for multiples in [coefficients[:, v, u] / step]
    ]
    return float(np.mean(shares)) if shares else 0.0


def _count_multiples(coefficients: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float64]:
    """How many coefficients are plus or minus 1, 2, ... 15 steps."""
    multiples = np.abs(np.rint(coefficients / step)).astype(np.int64)
    return np.bincount(multiples, minlength=_MULTIPLES + 1)[1 : _MULTIPLES + 1].astype(np.float64)


def _best_first_step(
    counts: npt.NDArray[np.float64], shifted: npt.NDArray[np.float32], step: int
) -> tuple[float, int]:
    """The first step that explains the counts best, and its gain over a single save in nats per coefficient."""
    whole = np.rint(shifted).astype(np.int64).clip(-_LARGEST_COEFFICIENT, _LARGEST_COEFFICIENT)
    original = np.bincount(whole + _LARGEST_COEFFICIENT, minlength=2 * _LARGEST_COEFFICIENT + 1)

    def mean_log_likelihood(first_step: int) -> float:
        expected = _expected_counts(original.astype(np.float64), first_step, step)
        probabilities = (1 - _SPREAD) * expected / max(expected.sum(), 1e-9) + _SPREAD / _MULTIPLES
        return float((counts * np.log(probabilities)).sum() / counts.sum())

    single = mean_log_likelihood(1)
    return max((mean_log_likelihood(first) - single, first) for first in _FIRST_STEPS if first != step)


def _expected_counts(
    original: npt.NDArray[np.float64], first_step: int, step: int
) -> npt.NDArray[np.float64]:
    """What rounding to the first step, to pixels, and to the present step makes of a histogram.

    Args:
        original: Numbers of coefficients of -1024, -1023, ... 1024.
        first_step: 1 for no earlier save.
        step: The present step.

    Returns:
        Expected numbers of plus or minus 1, 2, ... 15 steps.
    """
    values = np.arange(-_LARGEST_COEFFICIENT, _LARGEST_COEFFICIENT + 1)
    rounded = first_step * np.rint(values / first_step)
    multiples = np.floor(rounded / step + 0.5).astype(np.int64)
    # The rounding of pixels lets some cross the border to the next multiple.
    above = _beyond((multiples + 0.5) * step - rounded)
    below = _beyond(rounded - (multiples - 0.5) * step)
    counts = np.zeros(_MULTIPLES + 1)
    for reached, share in ((multiples, 1 - above - below), (multiples + 1, above), (multiples - 1, below)):
        compared = np.abs(reached) <= _MULTIPLES
        counts += np.bincount(
            np.abs(reached[compared]), weights=(original * share)[compared], minlength=_MULTIPLES + 1
        )
    return counts[1:]


def _beyond(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share that lies beyond a border at these distances, which are multiples of 0.5."""
    return _BEYOND_HALVES[np.clip(2 * distances, -_MOST_HALVES, _MOST_HALVES).astype(np.int64) + _MOST_HALVES]
