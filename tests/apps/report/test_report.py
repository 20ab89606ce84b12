import json
from importlib import resources

import jsonschema
import pytest

from apps.report.cases import failed, high_map, marked_picture, picture_file, report_of, section_of
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.core.inspection import Region


def schema(package, name):
    return json.loads(resources.files(package).joinpath(name).read_text("utf-8"))


REPORT = schema("doctored.apps.report", "report.schema.json")
INSPECTION = schema("doctored.core", "inspection.schema.json")


def validate(stored):
    validator = jsonschema.Draft202012Validator
    validator.check_schema(REPORT)
    validator(REPORT).validate(stored)
    for picture in stored["pictures"]:
        validator(INSPECTION).validate(picture["inspection"])


def test_json_follows_the_schema(tmp_path):
    thumbnail = jpeg_bytes(scene(160, 120))
    sections = [
        section_of(picture_file(tmp_path)),
        section_of(picture_file(tmp_path, exif=exif_block({271: "x"}, thumbnail=thumbnail))),
        section_of(
            marked_picture(tmp_path),
            maps=[high_map((180, 240))] * 2,
            regions=[Region((0, 0, 9, 9), None, 0.5)],
        ),
        section_of(picture_file(tmp_path), verdict="cannot_judge", rate=None, comparison=False),
        failed(),
    ]
    stored = json.loads(json.dumps(report_of(*sections).to_json(), allow_nan=False))
    validate(stored)
    assert [picture["error"] is None for picture in stored["pictures"]] == [True] * 4 + [False]
    assert stored["pictures"][0]["inspection"]["witnesses"][0]["name"] == "mantranet"
    assert stored["pictures"][1]["file"]["thumbnail"]["width"] == 160
    assert stored["pictures"][2]["agreement"]["both"] == pytest.approx(60 * 60 / (240 * 180))
    assert stored["pictures"][2]["places"] == []
    assert stored["origin"]["models"] == [
        {"name": "mantranet", "sha256": "a" * 64},
        {"name": "constrained-rcnn", "sha256": "b" * 64},
    ]
    assert stored["origin"]["calibrations"] == ["c" * 64]
    assert stored["origin"]["versions"]["doctored"]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda stored: stored.pop("origin"),
        lambda stored: stored["pictures"][0].pop("file"),
        lambda stored: stored["pictures"][0]["file"].update(sha256="short"),
        lambda stored: stored["pictures"][0]["file"]["content_credentials"].update(state="fine"),
    ],
)
def test_the_schema_can_fail(tmp_path, break_it):
    stored = report_of(section_of(picture_file(tmp_path))).to_json()
    break_it(stored)
    with pytest.raises(jsonschema.ValidationError):
        validate(stored)


def test_a_report_of_failures_alone_names_no_model():
    stored = report_of(failed()).to_json()
    validate(stored)
    assert stored["origin"]["models"] == []


def test_file_facts_change_nothing_of_the_result(tmp_path):
    """They are evidence of their own: the same pixels get the same score, whatever the file says."""
    plain = section_of(picture_file(tmp_path)).result
    marked = section_of(marked_picture(tmp_path)).result
    for key in ("detection_score", "false_alarm_rate", "verdict", "reason"):
        assert plain[key] == marked[key]
