"""The model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest

from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.predict import Detector
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.detector import EMBEDDED
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


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_lower_precisions_give_nearly_the_same_map(precision, crop, exact_map):
    if precision == "bf16" and "bf16" not in fast_arithmetic():
        pytest.skip("this CPU has no bfloat16 instructions")
    difference = np.abs(localization_map(precision, crop) - exact_map)
    assert 0 < difference.mean() < 0.01


def test_the_map_says_something(exact_map):
    assert exact_map.max() - exact_map.min() > 0.1
