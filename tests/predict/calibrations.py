"""Calibrations for tests, made of rows instead of pictures."""

from collections.abc import Sequence

from doctored.predict.calibration import Calibration, CalibrationPhotograph, Compression, Entry
from doctored.predict.raw_score import LARGEST_REGION


def make_calibration(
    rows: Sequence[tuple[int, Compression, float]],
    *,
    photographs: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
    model: str = "mantranet",
    model_sha256: str = "ab" * 32,
    raw_score: str = LARGEST_REGION.name,
) -> Calibration:
    """A calibration of square pictures.

    Args:
        rows: Side, compression and raw score of each version.
        photographs: Number of the photograph of each version; None for one each.
        groups: Of each photograph; None for one each.
        model: Its name.
        model_sha256: Its hash.
        raw_score: The rule from map to score.
    """
    numbers = list(range(len(rows))) if photographs is None else photographs
    count = max(numbers, default=-1) + 1
    names = [str(number) for number in range(count)] if groups is None else groups
    return Calibration(
        model=model,
        model_sha256=model_sha256,
        raw_score=raw_score,
        precision="fp32",
        versions="as they are",
        photographs=tuple(CalibrationPhotograph(f"{number:064x}", names[number]) for number in range(count)),
        entries=tuple(
            Entry(number, (side, side), compression, score)
            for number, (side, compression, score) in zip(numbers, rows, strict=True)
        ),
        left_out={},
    )
