"""Quantisation tables of JPEG files: the standard's, scaled and bent, and those that real cameras write."""

import json
from functools import cache
from importlib import resources

import numpy as np

TABLE_FAMILIES = {"standard": 1.0, "flat": 0.75, "steep": 1.12}
"""Exponent on the steps of the standard tables: "flat" ones, as some editors use, spare high frequencies."""


def scaled_tables(quality: int, family: str) -> list[list[int]]:
    """Luma and chroma steps, 64 each in natural order, for a quality of 1..100 and a family of tables."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    exponent = TABLE_FAMILIES[family]
    tables = []
    for standard in (_LUMA, _CHROMA):
        bent = np.array(standard) ** exponent
        # The mean step stays that of the standard table, so that a quality means about the same file size.
        scaled = bent * (np.mean(standard) / bent.mean()) * percent / 100
        tables.append(np.clip(np.floor(scaled + 0.5), 1, 255).astype(int).tolist())
    return tables


@cache
def camera_tables() -> dict[str, list[list[int]]]:
    """Luma and chroma steps, 64 each in natural order, by the camera or phone whose files carry them."""
    file = resources.files("doctored.synth") / "jpeg_tables.json"
    tables: dict[str, list[list[int]]] = json.loads(file.read_text(encoding="utf-8"))
    return tables


@cache
def camera_qualities() -> dict[str, int]:
    """The quality at which the standard luma table has about the same mean step, by camera."""
    means = {quality: np.mean(scaled_tables(quality, "standard")[0]) for quality in range(1, 101)}
    return {
        name: min(means, key=lambda quality: abs(means[quality] - np.mean(luma)))
        for name, (luma, _) in camera_tables().items()
    }


# Example tables of ITU-T T.81 annex K, which nearly every encoder scales.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)  # fmt: skip
