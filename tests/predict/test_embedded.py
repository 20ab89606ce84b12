"""The model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest

from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.predict import Detector
from doctored.predict.calibration import CALIBRATION_FILE, FEWEST_LIKE, read_calibration
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.detector import EMBEDDED, load_witness
from doctored.predict.weights import read_exported

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "splicing.jpg"


@pytest.fixture(scope="module")
def crop():
    return Picture.from_array(read_image(PICTURE).pixels[:200, 420:620])


def localization_map(precision, picture):
    return Detector.from_name("mantranet", precision=precision).inspect(picture).localization_map


@pytest.fixture(scope="module")
def exact_map(crop):
    return localization_map("fp32", crop)


def test_it_is_complete_and_as_exported():
    exported = read_exported(EMBEDDED / "mantranet")
    assert exported.name == "mantranet"
    assert exported.precisions == ("int8", "bf16", "fp32")
    assert exported.training


def test_its_calibration_was_made_for_it():
    calibration = read_calibration(EMBEDDED / "mantranet" / CALIBRATION_FILE)
    witness = load_witness("mantranet")
    calibration.check_model(witness.name, witness.sha256, witness.score_rule.name)
    assert len({photograph.group for photograph in calibration.photographs}) >= 8


@pytest.mark.parametrize(
    "size_hw", [(64, 64), (200, 300), (256, 384), (600, 800), (1080, 1920), (3000, 4000)]
)
@pytest.mark.parametrize("compression", ["lossless", 75.0, 85.0, 92.0])
def test_its_calibration_judges_pictures_of_ordinary_size_and_compression(size_hw, compression):
    calibration = read_calibration(EMBEDDED / "mantranet" / CALIBRATION_FILE)
    assert len(calibration.like(size_hw, compression).scores) >= FEWEST_LIKE


def test_a_verdict_comes_with_the_package(crop):
    inspection = Detector.from_name("mantranet").inspect(crop)
    assert inspection.verdict in ("manipulated", "no_signs")
    comparison = inspection.comparison
    assert inspection.false_alarm_rate == (comparison.as_high + 1) / (comparison.pictures + 1)


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_lower_precisions_give_nearly_the_same_map(precision, crop, exact_map):
    if precision == "bf16" and "bf16" not in fast_arithmetic():
        pytest.skip("this CPU has no bfloat16 instructions")
    difference = np.abs(localization_map(precision, crop) - exact_map)
    assert 0 < difference.mean() < 0.01


def test_the_map_says_something(exact_map):
    assert exact_map.max() - exact_map.min() > 0.1


@pytest.mark.parametrize(
    "model", [path.parent for path in EMBEDDED.glob("*/manifest.json")], ids=lambda path: path.name
)
def test_weights_that_come_with_the_package_say_what_they_were_learned_from(model):
    """A new export takes the place of the folder, and the note must come along."""
    assert (model / "LICENCE.txt").is_file(), (
        f"describe the licences of {model.name}'s photographs in LICENCE.txt"
    )
    assert "photographs: " in (model / "LICENCE.txt").read_text(encoding="utf-8")
