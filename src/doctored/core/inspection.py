"""What an inspection found, and its JSON form.

The JSON form is a promise to other programs: `inspection.schema.json` beside this file describes it, keys are
only ever added, and everything but ``timing`` is the same from run to run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ModelError, ShapeError
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture

Verdict = Literal["manipulated", "no_signs", "cannot_judge"]

JSON_KEYS = (
    "path",
    "error",
    "verdict",
    "reason",
    "detection_score",
    "false_alarm_rate",
    "regions",
    "witnesses",
    "picture",
    "outputs",
    "timing",
    "version",
    "calibration",
    "model",
)
"""Keys of every JSON result, also of a failed one, in this order."""


def _check_finite(name: str, number: float) -> None:
    if not math.isfinite(number):
        raise ModelError(f"{name} is {number}, not a finite number; the model or its input is damaged")


def _check_map(name: str, localization_map: NDArray[np.float32]) -> None:
    if localization_map.ndim != 2 or localization_map.dtype != np.float32 or not localization_map.size:
        raise ShapeError(
            f"{name} must be float32 of shape (H, W), at least 1 x 1; "
            f"got {localization_map.dtype} of shape {localization_map.shape}"
        )
    # Minimum and maximum carry a NaN along, and need no second array of the size of a large picture.
    lowest, highest = float(localization_map.min()), float(localization_map.max())
    if not (lowest >= 0 and highest <= 1):
        raise ModelError(f"{name} must lie in 0..1; got {lowest:g}..{highest:g}, so the model is damaged")


@dataclass(frozen=True)
class PictureFacts:
    """What is known of a picture besides its pixels; a result keeps this and lets the pixels go.

    Args:
        size_hw: Height and width in pixels as analysed, that is upright.
        stored_size_hw: Height and width in the file, before the orientation was applied.
        format: Of the file, for instance "JPEG"; "array" if it never was a file.
        sha256: Of the file, lower-case hexadecimal; of the pixels for an array.
        file_bytes: Length of the file; of the pixels for an array.
        orientation: EXIF orientation that was applied, 1..8; 1 is upright.
        bit_depth: Bits per channel in the file.
        mode: Colour layout in the file, in Pillow's words.
        jpeg: Compression facts of a JPEG file; None for every other format.
    """

    size_hw: tuple[int, int]
    stored_size_hw: tuple[int, int]
    format: str
    sha256: str
    file_bytes: int
    orientation: int
    bit_depth: int
    mode: str
    jpeg: JpegFacts | None

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """The facts of a picture that was read."""
        return cls(**{field.name: getattr(picture, field.name) for field in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """The value of the key ``picture``."""
        jpeg = self.jpeg and {
            "quantization_tables": [[int(step) for step in table] for table in self.jpeg.quantization_tables],
            "subsampling": self.jpeg.subsampling,
            "progressive": self.jpeg.progressive,
        }
        return {
            "width": int(self.size_hw[1]),
            "height": int(self.size_hw[0]),
            "stored_width": int(self.stored_size_hw[1]),
            "stored_height": int(self.stored_size_hw[0]),
            "format": self.format,
            "sha256": self.sha256,
            "file_bytes": int(self.file_bytes),
            "orientation": int(self.orientation),
            "bit_depth": int(self.bit_depth),
            "mode": self.mode,
            "jpeg": jpeg,
        }


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture that looks manipulated.

    Args:
        box_xyxy: Left, top, right and bottom in pixels, ``0 <= x1 < x2 <= W`` and ``0 <= y1 < y2 <= H``;
            right and bottom are just outside the region.
        technique: "splicing", "copy_move", "removal" or "enhancement"; None if the model does not tell them
            apart.
        score: How sure the witness is, in [0, 1]; higher is more likely manipulated.
        mask: (y2 - y1, x2 - x1) bool, True where manipulated; None if the witness gives a box only.
        witnesses: Names of those who see it, if several looked.
        family: The manipulation that its pixels look like most, one of `IMC_FAMILIES`; None if nobody was asked.
        family_score: How sure that is, in [0, 1]; None if nobody was asked.
        twin_box_xyxy: Of the place in the same picture that shows the same content, of which one is a copy of the
            other; None if none was found.
        jpeg_grid_xy: Column and row of the first pixel of a JPEG block there, 0..7 each, if it was compressed on
            another block grid than the rest; else None.

    Raises:
        ShapeError: the box is empty or starts below 0, or the mask does not have its size.
        ModelError: score is not in [0, 1].
    """

    box_xyxy: tuple[int, int, int, int]
    technique: str | None
    score: float
    mask: NDArray[np.bool_] | None = None
    witnesses: tuple[str, ...] = ()
    family: str | None = None
    family_score: float | None = None
    twin_box_xyxy: tuple[int, int, int, int] | None = None
    jpeg_grid_xy: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        x1, y1, x2, y2 = self.box_xyxy
        if not (0 <= x1 < x2 and 0 <= y1 < y2):
            raise ShapeError(f"box_xyxy must have 0 <= x1 < x2 and 0 <= y1 < y2; got {self.box_xyxy}")
        if self.mask is not None and (self.mask.shape != (y2 - y1, x2 - x1) or self.mask.dtype != np.bool_):
            raise ShapeError(
                f"mask of box {self.box_xyxy} must be bool of shape {(y2 - y1, x2 - x1)}; "
                f"got {self.mask.dtype} of shape {self.mask.shape}"
            )
        if not 0 <= self.score <= 1:
            raise ModelError(f"score of a region must lie in 0..1; got {self.score}")

    def to_json(self) -> dict[str, Any]:
        """One entry of the list ``regions``."""
        return {
            "box_xyxy": [int(edge) for edge in self.box_xyxy],
            "technique": self.technique,
            "score": float(self.score),
            "witnesses": list(self.witnesses),
            "family": self.family,
            "family_score": None if self.family_score is None else float(self.family_score),
            "twin_box_xyxy": None
            if self.twin_box_xyxy is None
            else [int(edge) for edge in self.twin_box_xyxy],
            "jpeg_grid_xy": None
            if self.jpeg_grid_xy is None
            else [int(start) for start in self.jpeg_grid_xy],
        }


@dataclass(frozen=True, eq=False)
class WitnessFinding:
    """What one network says, on its own.

    Args:
        name: Catalogue name of the model, for instance "mantranet".
        sha256: Of the model's weights, lower-case hexadecimal; of its code for a model without weights.
        raw_score: The model's own score of the whole picture, not calibrated; higher is more likely
            manipulated.
        localization_map: (H, W) float32 in [0, 1], at the size of the picture.
        regions: Parts that look manipulated; empty for a witness that only gives a map.
        scale: Pixels of what the network saw for one of the picture, along a side; 1 for native resolution.

    Raises:
        ShapeError: localization_map is not float32 (H, W), or a region leaves it.
        ModelError: a number is not finite or out of range.
    """

    name: str
    sha256: str
    raw_score: float
    localization_map: NDArray[np.float32]
    regions: tuple[Region, ...] = ()
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_finite(f"raw_score of {self.name}", self.raw_score)
        _check_map(f"localization_map of {self.name}", self.localization_map)
        _check_regions(self.regions, self.localization_map.shape)

    def to_json(self) -> dict[str, Any]:
        """One entry of the list ``witnesses``."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "raw_score": float(self.raw_score),
            "scale": float(self.scale),
        }


def _check_regions(regions: tuple[Region, ...], size_hw: tuple[int, ...]) -> None:
    for region in regions:
        if region.box_xyxy[2] > size_hw[1] or region.box_xyxy[3] > size_hw[0]:
            raise ShapeError(
                f"box_xyxy {region.box_xyxy} leaves the picture of {size_hw[1]} x {size_hw[0]} px"
            )


@dataclass(frozen=True)
class AnsweringModel:
    """Whose answer it is: one model's, or that of several together.

    Args:
        name: Catalogue name of the model or of the combination.
        sha256: Of the model's weights, or of the rule that combines them, lower-case hexadecimal.
        raw_score: Its score of the whole picture, not calibrated; higher is more likely manipulated.

    Raises:
        ModelError: raw_score is not finite.
    """

    name: str
    sha256: str
    raw_score: float

    def __post_init__(self) -> None:
        _check_finite(f"raw_score of {self.name}", self.raw_score)

    def to_json(self) -> dict[str, Any]:
        """The value of the key ``model``."""
        return {"name": self.name, "sha256": self.sha256, "raw_score": float(self.raw_score)}


@dataclass(frozen=True)
class Timing:
    """What an inspection cost.

    Args:
        seconds: Wall-clock time.
        peak_memory_mb: Largest resident memory of the process so far, in millions of bytes; None where the
            system does not say.
    """

    seconds: float
    peak_memory_mb: float | None

    def to_json(self) -> dict[str, Any]:
        """The value of the key ``timing``."""
        peak_mb = None if self.peak_memory_mb is None else float(self.peak_memory_mb)
        return {"seconds": float(self.seconds), "peak_memory_mb": peak_mb}


@dataclass(frozen=True)
class Comparison:
    """What a false-alarm rate rests on.

    Args:
        pictures: Number of authentic pictures of like size and compression, n.
        as_high: How many of them score at least as high, k; the rate is (k + 1) / (n + 1).
        operating_point: The accepted false-alarm rate, in (0, 1).
        sha256: Of the calibration file, lower-case hexadecimal.
        smaller: Whether those pictures are smaller than this one, because there are too few of its size.
    """

    pictures: int
    as_high: int
    operating_point: float
    sha256: str
    smaller: bool = False

    def to_json(self) -> dict[str, Any]:
        """The value of the key ``calibration``."""
        return {
            "sha256": self.sha256,
            "pictures": int(self.pictures),
            "as_high": int(self.as_high),
            "operating_point": float(self.operating_point),
            "smaller": self.smaller,
        }


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in one picture.

    Args:
        picture: Facts about the picture.
        model: Whose answer it is.
        localization_map: (H, W) float32 in [0, 1] at the size of the picture, higher is more likely
            manipulated. The combination of the witnesses, or the one witness that ran.
        witnesses: What each of them says on its own, in the order in which they ran.
        regions: The regions of the answer.
        verdict: "manipulated", "no_signs" or "cannot_judge".
        reason: One sentence for the verdict.
        detection_score: In [0, 1], 0.5 at the operating point; None as long as there is no calibration.
        false_alarm_rate: Share of authentic pictures like this one that score at least as high, in (0, 1];
            None as long as there is no calibration.
        timing: What it cost.
        version: Of doctored.
        comparison: What the two numbers rest on; None as long as there is no calibration.

    Raises:
        ShapeError: a map is not float32 of the picture's size, or a region leaves the picture.
        ModelError: a number is not finite or out of range.
        ConfigError: the verdict is unknown, or is passed without the calibrated numbers that it needs.
    """

    picture: PictureFacts
    model: AnsweringModel
    localization_map: NDArray[np.float32]
    witnesses: tuple[WitnessFinding, ...]
    regions: tuple[Region, ...]
    verdict: Verdict
    reason: str
    detection_score: float | None
    false_alarm_rate: float | None
    timing: Timing
    version: str
    comparison: Comparison | None = None

    def __post_init__(self) -> None:
        size_hw = tuple(self.picture.size_hw)
        _check_map("localization_map", self.localization_map)
        maps = {"localization_map": self.localization_map}
        maps |= {f"localization_map of {w.name}": w.localization_map for w in self.witnesses}
        for name, array in maps.items():
            if array.shape != size_hw:
                raise ShapeError(
                    f"{name} is {array.shape} but the picture is {size_hw}; maps have the picture's size"
                )
        _check_regions(self.regions, size_hw)
        if self.detection_score is not None and not 0 <= self.detection_score <= 1:
            raise ModelError(f"detection_score must lie in 0..1; got {self.detection_score}")
        if self.false_alarm_rate is not None and not 0 < self.false_alarm_rate <= 1:
            raise ModelError(f"false_alarm_rate must be above 0 and at most 1; got {self.false_alarm_rate}")
        if self.verdict not in get_args(Verdict):
            raise ConfigError(f"verdict must be one of {', '.join(get_args(Verdict))}; got {self.verdict!r}")
        if self.verdict != "cannot_judge" and (self.detection_score is None or self.false_alarm_rate is None):
            raise ConfigError(
                f"verdict {self.verdict!r} needs a detection_score and a false_alarm_rate; "
                "without a calibration the verdict is 'cannot_judge'"
            )

    def to_json(self, *, path: str, outputs: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The result as plain dicts, lists, strings and finite numbers.

        Args:
            path: Of the picture, as the caller gave it.
            outputs: Paths of the files written, by kind ("overlay", "map", "json", "<model>_map").
        """
        values = (
            path,
            None,
            self.verdict,
            self.reason,
            None if self.detection_score is None else float(self.detection_score),
            None if self.false_alarm_rate is None else float(self.false_alarm_rate),
            [region.to_json() for region in self.regions],
            [witness.to_json() for witness in self.witnesses],
            self.picture.to_json(),
            dict(outputs or {}),
            self.timing.to_json(),
            self.version,
            None if self.comparison is None else self.comparison.to_json(),
            self.model.to_json(),
        )
        return dict(zip(JSON_KEYS, values, strict=True))


def failed_json(path: str, error: str) -> dict[str, Any]:
    """The JSON form of an input that could not be inspected: every key but two is null.

    Args:
        path: Of the picture, as the caller gave it.
        error: One sentence.
    """
    return dict.fromkeys(JSON_KEYS) | {"path": path, "error": error}
