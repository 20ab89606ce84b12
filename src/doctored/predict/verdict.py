"""From a raw score and a calibration to a verdict, in words that can be quoted."""

import math
from dataclasses import dataclass

from doctored.core.errors import ConfigError
from doctored.core.inspection import Comparison, PictureFacts, Verdict
from doctored.predict.calibration import (
    FEWEST_LIKE,
    Calibration,
    Compression,
    compression_of,
    describe_compression,
)
from doctored.predict.conformal import detection_score, false_alarm_rate

SMALLEST_SIDE_PX = 64
"""Below this, a picture has too few surroundings to compare a pixel with."""

DEFAULT_OPERATING_POINT = 0.05


@dataclass(frozen=True)
class Judgement:
    """What a raw score means; the fields are those of `Inspection`.

    Args:
        verdict: "manipulated", "no_signs" or "cannot_judge".
        reason: One sentence for the verdict.
        detection_score: In (0, 1), 0.5 at the operating point; None without a calibration.
        false_alarm_rate: In (0, 1]; None without a calibration.
        comparison: What they rest on; None without a calibration.
    """

    verdict: Verdict
    reason: str
    detection_score: float | None = None
    false_alarm_rate: float | None = None
    comparison: Comparison | None = None


def check_operating_point(operating_point: float) -> None:
    """Refuse what is no accepted rate of false alarms.

    Raises:
        ConfigError: It does not lie between 0 and 1.
    """
    if not 0 < operating_point < 1:
        raise ConfigError(
            f"the accepted false-alarm rate is {operating_point:g}; give a number between 0 and 1, such as 0.05"
        )


def judge(
    raw_score: float, picture: PictureFacts, calibration: Calibration | None, operating_point: float
) -> Judgement:
    """Say what a raw score means for a picture of this size and compression.

    Args:
        raw_score: What the model made of the picture.
        picture: Its size and compression.
        calibration: Of that model; None if it has none.
        operating_point: The accepted false-alarm rate, in (0, 1).
    """
    return judge_stored(raw_score, picture.size_hw, compression_of(picture), calibration, operating_point)


def judge_stored(
    raw_score: float,
    size_hw: tuple[int, int],
    compression: Compression,
    calibration: Calibration | None,
    operating_point: float,
) -> Judgement:
    """The same from the few facts that decide, for a picture that is not at hand any more."""
    too_small = _too_small(size_hw)
    if calibration is None:
        return Judgement("cannot_judge", too_small or _NOT_CALIBRATED)
    like = calibration.like(size_hw, compression)
    count = len(like.scores)
    rate = false_alarm_rate(raw_score, like.scores)
    score = detection_score(raw_score, like.nearest, operating_point)
    as_high = int((like.scores >= raw_score).sum())
    numbers = score, rate, Comparison(count, as_high, operating_point, calibration.sha256, like.smaller)
    if too_small:
        return Judgement("cannot_judge", too_small, *numbers)
    if count < FEWEST_LIKE:
        return Judgement("cannot_judge", _outside(size_hw, compression, calibration, count), *numbers)
    if 1 / (count + 1) > operating_point:
        return Judgement("cannot_judge", _too_few(operating_point, count), *numbers)
    sentence = f"of authentic pictures like this one, {in_words(rate)} score this high"
    base = f"compared with {count} of like size and compression"
    if like.smaller:
        base = f"compared with {count} of like compression that are smaller; larger ones score lower"
    if rate <= operating_point:
        return Judgement(
            "manipulated", f"{sentence} ({base}; the limit is {in_words(operating_point)})", *numbers
        )
    return Judgement("no_signs", f"{sentence} ({base}), which is no proof that it is genuine", *numbers)


def in_words(rate: float) -> str:
    """A rate as people say it, rounded up, for instance "3 in 100" or "4 in 1000"."""
    for base in (100, 1000, 10_000):
        # The last digits of a float must not turn 5 in 100 into 6.
        count = math.ceil(round(rate * base, 6))
        if rate * base >= 1:
            return f"{count} in {base}"
    return f"fewer than 1 in {base}"


_NOT_CALIBRATED = "the model is not calibrated yet, so its score means nothing by itself; look at the map"


def _too_small(size_hw: tuple[int, int]) -> str | None:
    height, width = size_hw
    if min(height, width) >= SMALLEST_SIDE_PX:
        return None
    return (
        f"the picture is {width} x {height} pixels; with a side below {SMALLEST_SIDE_PX} there is too little "
        "around each pixel to compare it with"
    )


def _too_few(operating_point: float, count: int) -> str:
    needed = math.ceil(1 / operating_point - 1e-9) - 1
    return (
        f"the calibration holds {count} authentic pictures like this one, and a limit of {in_words(operating_point)} "
        f"false alarms needs {needed}; accept more with --fpr, or calibrate on more pictures"
    )


def _outside(size_hw: tuple[int, int], compression: Compression, calibration: Calibration, count: int) -> str:
    near, smaller, larger = calibration.counts_near(size_hw)
    height, width = size_hw
    if near < FEWEST_LIKE:
        cause = f"{width} x {height} pixels are too {'many' if smaller >= larger else 'few'}"
    elif isinstance(compression, str):
        cause = f"it holds too few {describe_compression(compression)} files"
    else:
        cause = f"too few of its files are compressed like this one ({describe_compression(compression)})"
    return (
        f"the calibration holds {count} authentic pictures of like size and compression and needs {FEWEST_LIKE}: "
        f"{cause}; look at the map, or calibrate on pictures like this one"
    )
