import dataclasses
import math
import re

import numpy as np
import pytest

from doctored.core.errors import ConfigError
from doctored.core.inspection import PictureFacts
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture
from doctored.predict.calibration import Calibration, compression_of
from doctored.predict.verdict import check_operating_point, in_words, judge, judge_stored
from predict.calibrations import make_calibration

FACTS = PictureFacts.of(Picture.from_array(np.zeros((128, 128, 3), np.uint8)))
CALIBRATION = make_calibration([(128, "lossless", float(score)) for score in range(1, 100)])


def facts(width: int, height: int, jpeg_step: int | None = None) -> PictureFacts:
    jpeg = jpeg_step and JpegFacts(((jpeg_step,) * 64,), ((1, 1),), "grey", False)
    return dataclasses.replace(FACTS, size_hw=(height, width), jpeg=jpeg or None)


def test_manipulated_at_the_operating_point():
    # Of 99 scores 1..99, four are at least 96, so the rate is 5 in 100; at 95 it is 6.
    judgement = judge(math.nextafter(95, 96), FACTS, CALIBRATION, 0.05)
    assert judgement.verdict == "manipulated"
    assert 0.5 <= judgement.detection_score < 0.5 + 1e-9
    assert judgement.false_alarm_rate == 0.05
    assert judgement.reason == (
        "of authentic pictures like this one, 5 in 100 score this high "
        "(compared with 99 of like size and compression; the limit is 5 in 100)"
    )
    assert (judgement.comparison.pictures, judgement.comparison.as_high) == (99, 4)
    assert judgement.comparison.operating_point == 0.05


@pytest.mark.parametrize("picture", [FACTS, facts(90, 300, jpeg_step=7), facts(20, 20)])
@pytest.mark.parametrize("calibration", [CALIBRATION, None])
def test_what_was_stored_is_judged_as_the_picture_was(picture: PictureFacts, calibration: Calibration | None):
    stored = judge_stored(97.0, picture.size_hw, compression_of(picture), calibration, 0.05)
    assert stored == judge(97.0, picture, calibration, 0.05)


def test_no_signs_below_it():
    judgement = judge(95, FACTS, CALIBRATION, 0.05)
    assert judgement.verdict == "no_signs"
    assert judgement.detection_score < 0.5
    assert judgement.false_alarm_rate == 0.06
    assert judgement.reason == (
        "of authentic pictures like this one, 6 in 100 score this high "
        "(compared with 99 of like size and compression), which is no proof that it is genuine"
    )


def test_a_large_picture_that_is_compared_with_smaller_ones_says_so():
    rows = [(32 * 2**step, "lossless", float(score - step)) for score in range(1, 100) for step in range(3)]
    photographs = [number for number in range(99) for _ in range(3)]
    calibration = make_calibration(rows, photographs=photographs)
    judgement = judge(97.5, facts(4000, 3000), calibration, 0.05)
    assert judgement.verdict == "manipulated"
    assert judgement.comparison.smaller
    assert (
        "compared with 99 of like compression that are smaller; larger ones score lower" in judgement.reason
    )


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_tiny_picture_is_not_judged(calibrated: bool):
    judgement = judge(1e6, facts(200, 63), CALIBRATION if calibrated else None, 0.05)
    assert judgement.verdict == "cannot_judge"
    assert "200 x 63 pixels; with a side below 64" in judgement.reason
    assert (judgement.detection_score is not None) == calibrated
    assert (judgement.comparison is not None) == calibrated


def test_without_a_calibration_there_are_no_numbers():
    judgement = judge(1e6, FACTS, None, 0.05)
    assert judgement.verdict == "cannot_judge"
    assert "not calibrated yet" in judgement.reason
    assert judgement.detection_score is judgement.false_alarm_rate is judgement.comparison is None


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (facts(4000, 3000), "4000 x 3000 pixels are too many"),
        (
            facts(128, 128, jpeg_step=8),
            r"too few of its files are compressed like this one \(JPEG quality 93\)",
        ),
        (dataclasses.replace(FACTS, format="WEBP"), "it holds too few WEBP files"),
    ],
)
def test_outside_the_calibration_there_is_a_score_and_no_verdict(picture: PictureFacts, reason: str):
    low, high = (judge(raw, picture, CALIBRATION, 0.05) for raw in (3.0, 500.0))
    for judgement in (low, high):
        assert judgement.verdict == "cannot_judge"
        assert "holds 0 authentic pictures of like size and compression and needs 50" in judgement.reason
        assert judgement.false_alarm_rate == 1
        assert judgement.comparison.pictures == 0
    assert re.search(reason, low.reason)
    assert 0 < low.detection_score < high.detection_score < 1


def test_too_small_for_the_calibration():
    large = make_calibration([(1000, "lossless", float(score)) for score in range(99)])
    assert "128 x 128 pixels are too few" in judge(1.0, FACTS, large, 0.05).reason


def test_a_limit_that_needs_more_pictures():
    judgement = judge(1e6, FACTS, CALIBRATION, 0.001)
    assert judgement.verdict == "cannot_judge"
    assert judgement.reason == (
        "the calibration holds 99 authentic pictures like this one, and a limit of 1 in 1000 false alarms needs 999; "
        "accept more with --fpr, or calibrate on more pictures"
    )
    assert judgement.false_alarm_rate == 0.01
    assert judge(1e6, FACTS, CALIBRATION, 0.01).verdict == "manipulated"


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1.0, "100 in 100"),
        (0.05, "5 in 100"),
        (6 / 100, "6 in 100"),
        (3 / 85, "4 in 100"),
        (0.01, "1 in 100"),
        (1 / 201, "5 in 1000"),
        (0.00012, "2 in 10000"),
        (1e-6, "fewer than 1 in 10000"),
    ],
)
def test_rates_in_words_are_rounded_up(rate: float, words: str):
    assert in_words(rate) == words


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5, float("nan")])
def test_an_impossible_operating_point_is_refused(rate: float):
    with pytest.raises(ConfigError, match=r"between 0 and 1, such as 0\.05"):
        check_operating_point(rate)
