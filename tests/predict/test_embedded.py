"""The models that come with the package."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import ModelError
from doctored.core.imc_classes import IMC_FAMILIES
from doctored.core.inspection import Region
from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.models import catalog
from doctored.models.catalog import COMBINATION
from doctored.predict import Detector, detector
from doctored.predict.calibration import CALIBRATION_FILE, FEWEST_LIKE, read_calibration
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.detector import EMBEDDED, load_panel, load_witness
from doctored.predict.weights import read_exported

NAMES = (COMBINATION, "constrained-rcnn", "mantranet")
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "splicing.jpg"


@pytest.fixture(scope="module")
def crop():
    return Picture.from_array(read_image(PICTURE).pixels[:200, 420:620])


def localization_map(precision, picture):
    return Detector.from_name("mantranet", precision=precision).inspect(picture).localization_map


@pytest.fixture(scope="module")
def exact_map(crop):
    return localization_map("fp32", crop)


@pytest.mark.parametrize(
    ("name", "precisions"),
    [("mantranet", ("int8", "bf16", "fp32")), ("constrained-rcnn", ("bf16", "fp32"))],
)
def test_a_network_is_complete_and_as_exported(name, precisions):
    exported = read_exported(EMBEDDED / name)
    assert exported.name == name
    assert exported.precisions == precisions
    assert exported.training


def _embedded_files():
    return sorted(
        path.relative_to(EMBEDDED).as_posix()
        for path in EMBEDDED.rglob("*")
        if path.suffix not in ("", ".txt")
    )


@pytest.mark.parametrize("name", _embedded_files())
def test_a_changed_file_is_named_and_nothing_runs(name, tmp_path, monkeypatch):
    """One bit of a hashed file; of the JSON files that hash the others, a digit of a hash, and the end missing."""
    shutil.copytree(EMBEDDED, tmp_path / "embedded")
    monkeypatch.setattr(detector, "EMBEDDED", tmp_path / "embedded")
    for engine in ("OpenVINOEngine", "OpenVINORCNNEngine"):
        monkeypatch.setattr(detector, engine, lambda *_, **__: _Unused())
    Detector.from_name("both")
    file = tmp_path / "embedded" / name
    content = file.read_bytes()
    digests = list(re.finditer(rb"[0-9a-f]{64}", content)) if file.suffix == ".json" else []
    place = digests[0].start() if digests else len(content) // 2
    changed = bytearray(content)
    changed[place] = ord("0" if changed[place] != ord("0") else "1") if digests else changed[place] ^ 1
    folder, _, file_name = name.partition("/")
    model = folder if file_name == "calibration.json" else "both"
    for broken in (bytes(changed), content[: len(content) // 2]):
        file.write_bytes(broken)
        with pytest.raises(ModelError) as caught:
            Detector.from_name(model)
        message = str(caught.value)
        assert re.search(r"[0-9a-f]{12}\.\.\.", message) or name in message, message


class _Unused:
    """An engine of which nothing may be asked."""

    precision = "fp32"
    settings = None


def test_the_combination_is_of_the_models_that_come_with_it():
    panel = load_panel(COMBINATION, load_witness)
    assert [one.name for one in panel.witnesses] == [
        "mantranet",
        "constrained-rcnn",
        "copy-search",
        "grid-search",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_calibration_was_made_for_its_model(name):
    calibration = read_calibration(EMBEDDED / name / CALIBRATION_FILE)
    panel = load_panel(name, load_witness)
    calibration.check_model(panel.name, panel.sha256, panel.raw_score_rule)
    assert len({photograph.group for photograph in calibration.photographs}) >= 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size_hw", [(64, 64), (200, 300), (256, 384), (600, 800)])
@pytest.mark.parametrize("compression", ["lossless", 75.0, 85.0, 92.0])
def test_a_calibration_judges_pictures_of_ordinary_size_and_compression(name, size_hw, compression):
    calibration = read_calibration(EMBEDDED / name / CALIBRATION_FILE)
    assert len(calibration.like(size_hw, compression).scores) >= FEWEST_LIKE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size_hw", [(1080, 1920), (3000, 4000)])
@pytest.mark.parametrize("compression", ["lossless", 75.0, 85.0, 92.0])
def test_large_pictures_are_judged_but_by_mantranet_alone(name, size_hw, compression):
    """ManTra-Net's score of large pictures is not known to be lower, and there are few to compare them with."""
    calibration = read_calibration(EMBEDDED / name / CALIBRATION_FILE)
    judged = len(calibration.like(size_hw, compression).scores) >= FEWEST_LIKE
    assert judged == calibration.scores_fall_with_size == (name != "mantranet")


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_comes_with_the_package(name, crop):
    inspection = Detector.from_name(name).inspect(crop)
    assert inspection.verdict in ("manipulated", "no_signs")
    comparison = inspection.comparison
    assert inspection.false_alarm_rate == (comparison.as_high + 1) / (comparison.pictures + 1)


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_lower_precisions_give_nearly_the_same_map(precision, crop, exact_map):
    if precision == "bf16" and "bf16" not in fast_arithmetic():
        pytest.skip("this CPU has no bfloat16 instructions")
    difference = np.abs(localization_map(precision, crop) - exact_map)
    assert 0 < difference.mean() < 0.01


def test_mantranet_names_kinds_of_manipulation(crop):
    family, score = load_witness("mantranet").family_of(crop.pixels, Region((20, 20, 120, 120), None, 1))
    assert family in IMC_FAMILIES
    assert 1 / len(IMC_FAMILIES) <= score <= 1


def test_the_map_says_something(exact_map):
    assert exact_map.max() - exact_map.min() > 0.1


@pytest.mark.parametrize(
    "model", [path.parent for path in EMBEDDED.glob("*/manifest.json")], ids=lambda path: path.name
)
def test_the_card_states_the_hash(model):
    card = Path(catalog.__file__).parent / model.name.replace("-", "_") / "card.md"
    sha256 = read_exported(model).sha256
    assert f"`{sha256}`" in card.read_text(encoding="utf-8"), f"write SHA-256 {sha256} into {card}"


@pytest.mark.parametrize(
    "model", sorted(path for path in EMBEDDED.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_weights_that_come_with_the_package_say_what_they_were_learned_from(model):
    """A new export takes the place of the folder, and the note must come along."""
    assert (model / "LICENCE.txt").is_file(), (
        f"describe the licences of {model.name}'s photographs in LICENCE.txt"
    )
    assert "photographs: " in (model / "LICENCE.txt").read_text(encoding="utf-8")
