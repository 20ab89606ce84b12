import dataclasses
import json
from importlib import resources

import jsonschema
import numpy as np
import pytest

from doctored.core.errors import ConfigError, ModelError, ShapeError
from doctored.core.inspection import (
    JSON_KEYS,
    AnsweringModel,
    Comparison,
    Inspection,
    PictureFacts,
    Region,
    Timing,
    WitnessFinding,
    failed_json,
)
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture

SCHEMA = json.loads(resources.files("doctored.core").joinpath("inspection.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


COMPARISON = Comparison(np.int64(63), np.int64(0), 0.05, "a" * 64)


def make_map(height=4, width=6, value=0.25):
    return np.full((height, width), value, np.float32)


def make_facts(**changes):
    return dataclasses.replace(PictureFacts.of(Picture.from_array(np.zeros((4, 6, 3), np.uint8))), **changes)


def make_inspection(**changes):
    fields = {
        "picture": make_facts(),
        "model": AnsweringModel("mantranet", "0" * 64, np.float32(-1.5)),
        "localization_map": make_map(),
        "witnesses": (WitnessFinding("mantranet", "0" * 64, np.float32(-1.5), make_map()),),
        "regions": (Region((1, 0, 5, 3), "splicing", np.float32(0.5)),),
        "verdict": "cannot_judge",
        "reason": "There is no calibration yet.",
        "detection_score": None,
        "false_alarm_rate": None,
        "timing": Timing(1.25, None),
        "version": "0.1.0",
    }
    return Inspection(**fields | changes)


def test_json_of_a_full_result_word_for_word():
    inspection = make_inspection(
        verdict="manipulated",
        reason="It scores high.",
        detection_score=np.float64(0.75),
        false_alarm_rate=1 / 64,
        timing=Timing(1.25, 512.0),
        comparison=COMPARISON,
    )
    facts = inspection.picture
    assert inspection.to_json(path="a/b.jpg", outputs={"map": "out/b.map.png"}) == {
        "path": "a/b.jpg",
        "error": None,
        "verdict": "manipulated",
        "reason": "It scores high.",
        "detection_score": 0.75,
        "false_alarm_rate": 0.015625,
        "regions": [
            {
                "box_xyxy": [1, 0, 5, 3],
                "technique": "splicing",
                "score": 0.5,
                "witnesses": [],
                "family": None,
                "family_score": None,
                "twin_box_xyxy": None,
                "jpeg_grid_xy": None,
            }
        ],
        "witnesses": [{"name": "mantranet", "sha256": "0" * 64, "raw_score": -1.5, "scale": 1.0}],
        "picture": {
            "width": 6,
            "height": 4,
            "stored_width": 6,
            "stored_height": 4,
            "format": "array",
            "sha256": facts.sha256,
            "file_bytes": 72,
            "orientation": 1,
            "bit_depth": 8,
            "mode": "RGB",
            "jpeg": None,
        },
        "outputs": {"map": "out/b.map.png"},
        "timing": {"seconds": 1.25, "peak_memory_mb": 512.0},
        "version": "0.1.0",
        "calibration": {
            "sha256": "a" * 64,
            "pictures": 63,
            "as_high": 0,
            "operating_point": 0.05,
            "smaller": False,
        },
        "model": {"name": "mantranet", "sha256": "0" * 64, "raw_score": -1.5},
    }


JPEG = JpegFacts(((1,) * 64, (2,) * 64), ((2, 2), (1, 1)), "4:2:0", False)


@pytest.mark.parametrize(
    "result",
    [
        make_inspection().to_json(path="a.png"),
        make_inspection(
            verdict="no_signs",
            reason="It scores low.",
            detection_score=0.1,
            false_alarm_rate=1.0,
            comparison=COMPARISON,
        ).to_json(path="a.png", outputs={"overlay": "a.overlay.png"}),
        make_inspection(picture=make_facts(format="JPEG", jpeg=JPEG), regions=(), witnesses=()).to_json(
            path="a.jpg"
        ),
        failed_json("missing.jpg", "missing.jpg cannot be opened."),
    ],
    ids=["no calibration", "calibrated", "JPEG", "failed"],
)
def test_every_result_has_all_keys_and_fits_the_published_schema(result):
    assert tuple(result) == JSON_KEYS
    VALIDATOR.validate(result)
    # Strict JSON: no NaN, and NumPy numbers have become plain ones.
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "guilty"},
        {"verdict": None},
        {"regions": None},
        {"detection_score": 1.5},
        {"false_alarm_rate": 0},
        {"error": "broken"},
        {"witnesses": [{"name": "mantranet", "sha256": "xyz", "raw_score": 0}]},
        {"outputs": {"map": 7}},
        {"calibration": {"sha256": "a" * 64, "pictures": 9, "as_high": 0}},
        {"calibration": COMPARISON.to_json() | {"operating_point": 1}},
    ],
)
def test_schema_refuses_what_the_contract_does_not_allow(changes):
    VALIDATOR.check_schema(SCHEMA)
    assert not VALIDATOR.is_valid(make_inspection().to_json(path="a.png") | changes)


def test_schema_requires_every_key():
    for key in JSON_KEYS:
        result = make_inspection().to_json(path="a.png")
        del result[key]
        assert not VALIDATOR.is_valid(result)


def test_failed_result_has_nulls_for_everything_but_path_and_error():
    result = failed_json("a.jpg", "a.jpg is empty.")
    assert {key for key, value in result.items() if value is not None} == {"path", "error"}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"localization_map": make_map(width=5)}, ShapeError, r"\(4, 5\).*\(4, 6\)"),
        ({"localization_map": make_map().astype(np.float64)}, ShapeError, "float64"),
        ({"localization_map": make_map(value=np.nan)}, ModelError, "nan"),
        ({"localization_map": make_map(value=1.01)}, ModelError, r"0\.\.1"),
        ({"localization_map": make_map(value=-0.01)}, ModelError, r"0\.\.1"),
        ({"regions": (Region((0, 0, 7, 1), None, 0.1),)}, ShapeError, "leaves the picture of 6 x 4"),
        ({"regions": (Region((0, 0, 1, 5), None, 0.1),)}, ShapeError, "leaves the picture"),
        ({"detection_score": float("nan")}, ModelError, "detection_score"),
        ({"false_alarm_rate": 0.0}, ModelError, "false_alarm_rate"),
        ({"verdict": "guilty"}, ConfigError, "guilty"),
        ({"verdict": "manipulated"}, ConfigError, "calibration"),
        ({"verdict": "no_signs", "detection_score": 0.1}, ConfigError, "false_alarm_rate"),
    ],
)
def test_inspection_refuses_what_contradicts_itself(changes, error, message):
    with pytest.raises(error, match=message):
        make_inspection(**changes)


def test_witness_of_another_size_is_named():
    witness = WitnessFinding("constrained-rcnn", "0" * 64, 0.0, make_map(3, 6))
    with pytest.raises(ShapeError, match="constrained-rcnn"):
        make_inspection(witnesses=(witness,))


def test_witness_refuses_a_score_that_is_no_number():
    with pytest.raises(ModelError, match="raw_score of mantranet is nan"):
        WitnessFinding("mantranet", "0" * 64, float("nan"), make_map())


@pytest.mark.parametrize("box", [(2, 0, 2, 1), (0, 3, 1, 3), (-1, 0, 1, 1), (3, 0, 2, 1)])
def test_region_refuses_an_empty_or_reversed_box(box):
    with pytest.raises(ShapeError, match="box_xyxy"):
        Region(box, None, 0.5)


def test_region_mask_has_the_size_of_its_box():
    assert Region((1, 1, 4, 3), None, 0.5, np.ones((2, 3), np.bool_)).mask is not None
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        Region((1, 1, 4, 3), None, 0.5, np.ones((3, 2), np.bool_))
    with pytest.raises(ShapeError, match="float64"):
        Region((1, 1, 4, 3), None, 0.5, np.ones((2, 3)))


def test_facts_are_those_of_the_picture():
    picture = Picture.from_array(np.zeros((4, 6), np.uint8))
    facts = PictureFacts.of(picture)
    assert (facts.size_hw, facts.mode, facts.sha256) == ((4, 6), "L", picture.sha256)
