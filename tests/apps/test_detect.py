import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps.cli import app
from doctored.apps.detect import summary
from doctored.apps.markings import FAMILIES_IN_WORDS
from doctored.core.imc_classes import IMC_FAMILIES

SCHEMA = json.loads(resources.files("doctored.core").joinpath("inspection.schema.json").read_text("utf-8"))


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save("photo.jpg", quality=90)
    return "photo.jpg"


def detect(model, *arguments):
    result = CliRunner().invoke(app, ["detect", "--json", "--model", str(model), *arguments])
    return result, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_real_network_runs_from_file_to_files(photo, toy_model):
    result, (found,) = detect(toy_model, photo, "--output", "out", "--precision", "fp32")
    assert result.exit_code == 0, result.stderr
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["verdict"] == "cannot_judge"
    assert "not calibrated" in found["reason"]
    assert found["detection_score"] is None
    assert found["picture"]["jpeg"]["subsampling"] == "4:2:0"
    assert [witness["name"] for witness in found["witnesses"]] == ["mantranet"]
    with Image.open(found["outputs"]["map"]) as image:
        stored = np.asarray(image)
    assert stored.shape == (70, 90)
    assert stored.std() > 0
    witness = Path(found["outputs"]["mantranet_map"])
    assert witness.read_bytes() == Path(found["outputs"]["map"]).read_bytes()


def test_results_are_the_same_from_run_to_run_and_for_any_tile(photo, toy_model):
    found = [
        detect(toy_model, photo, "--precision", "fp32", "--output", name, *options)[1][0]
        for name, options in (("a", []), ("b", []), ("c", ["--tile", "17"]))
    ]
    for one in found:
        one.pop("timing")
    maps = []
    for one in found:
        with Image.open(one["outputs"]["map"]) as image:
            maps.append(np.asarray(image).astype(int))
        one.pop("outputs")
    assert found[0] == found[1]
    assert np.array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() <= 7  # 1e-4 of 65535
    assert abs(found[0]["witnesses"][0]["raw_score"] - found[2]["witnesses"][0]["raw_score"]) < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (63, 90)])
def test_a_picture_too_small_to_judge_is_analysed_and_no_failure(photo, toy_model, size):
    Image.new("RGB", size, (9, 9, 9)).save("small.png")
    result, (found,) = detect(toy_model, "small.png", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert found["verdict"] == "cannot_judge"
    assert f"{size[0]} x {size[1]} pixels" in found["reason"]
    with Image.open(found["outputs"]["map"]) as image:
        assert image.size == size


def test_a_precision_that_the_model_lacks_is_wrong_usage(photo):
    assert detect("mantranet", photo, "--precision", "fp8")[0].exit_code in (1, 2)
    assert detect("sharpness", photo, "--device", "abacus")[0].exit_code == 2


def test_a_model_that_did_not_come_along_is_one_sentence(photo, monkeypatch, tmp_path):
    monkeypatch.setattr("doctored.predict.detector.EMBEDDED", tmp_path)
    result, found = detect("mantranet", photo)
    assert result.exit_code == 1
    assert found == []
    assert result.stderr.startswith("Error: the model mantranet does not come with this installation")
    assert len(result.stderr.splitlines()) == 1


# What opens a connection in Python goes through one of these.
REFUSE_CONNECTIONS = """
import socket, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        if host not in ("localhost", "127.0.0.1", "::1"):
            print("connection to", host, file=sys.stderr)
            raise RuntimeError("connection refused by the test")

sys.addaudithook(refuse)
"""


def run_without_network(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", REFUSE_CONNECTIONS + program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_detect_opens_no_connection(photo, toy_model):
    """The engine's package reports its use when it is imported, unless it is kept from doing so."""
    program = "from doctored.apps.cli import main; main()"
    result = run_without_network(program, "detect", photo, "--model", str(toy_model), "--output", "out")
    assert "connection to" not in result.stderr
    assert result.returncode == 0, result.stderr


def test_the_check_of_connections_sees_one():
    program = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 1)\nexcept RuntimeError: pass"
    assert "connection to 192.0.2.1" in run_without_network(program).stderr


def test_summary_of_a_picture_without_signs():
    result = {
        "path": "a.jpg",
        "verdict": "no_signs",
        "reason": "it scores like authentic pictures",
        "detection_score": 0.125,
        "false_alarm_rate": 0.5,
        "witnesses": [{"name": "mantranet", "raw_score": -2.0, "scale": 1.0}],
        "regions": [
            {
                "box_xyxy": [10, 20, 40, 25],
                "technique": None,
                "score": 0.75,
                "witnesses": [],
                "family": None,
                "family_score": None,
            }
        ],
        "outputs": {},
    }
    assert summary(result).splitlines() == [
        "a.jpg: no signs of manipulation",
        "  it scores like authentic pictures",
        "  score 0.125, false-alarm rate 0.500",
        "  mantranet: raw score -2.000",
        "  manipulated, 30 x 5 px at 10, 20: score 0.75",
    ]


def test_regions_are_told_with_their_technique_and_drawn(photo, tmp_path):
    from models.constrained_rcnn.toys import overfitted_toy, tiny_pictures, write_rcnn_run

    run = write_rcnn_run(tmp_path / "run", overfitted_toy())
    Image.fromarray(tiny_pictures()[0]).save("forged.png")
    options = ("forged.png", "--output", "out", "--device", "cpu", "--precision", "fp32")
    result, (found,) = detect(run, *options)
    assert result.exit_code == 0, result.stderr
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    best = found["regions"][0]
    assert best["technique"] == "splicing"
    assert best["score"] > 0.5
    left, top, right, _ = best["box_xyxy"]
    text = summary(found)
    assert f"  splicing, {right - left} x " in text
    assert text.count("score 0.") <= 1 + sum(region["score"] >= 0.5 for region in found["regions"])
    with Image.open(found["outputs"]["overlay"]) as image:
        overlay = np.asarray(image)
    assert (overlay[top, (left + right) // 2] == (80, 200, 255)).all()
    assert Path(found["outputs"]["constrained-rcnn_map"]).exists()


def test_another_scale_is_told():
    witness = {"name": "constrained-rcnn", "sha256": "00", "raw_score": 1.5, "scale": 0.3}
    result = {"path": "a", "verdict": "cannot_judge", "reason": "r", "detection_score": None, "regions": []}
    text = summary(result | {"witnesses": [witness], "outputs": {}})
    assert "constrained-rcnn: raw score 1.500, on the picture resized to 30% of its sides" in text


def test_family_and_witnesses_of_a_region_are_told():
    region = {
        "box_xyxy": [3, 4, 43, 54],
        "technique": "splicing",
        "score": 0.83,
        "witnesses": ["mantranet", "constrained-rcnn", "copy-search"],
        "family": "blur",
        "family_score": 0.62,
        "twin_box_xyxy": None,
    }
    result = {"path": "a", "verdict": "cannot_judge", "reason": "r", "detection_score": None, "witnesses": []}
    text = summary(result | {"regions": [region], "outputs": {}})
    assert text.splitlines()[2:] == [
        "  splicing, 40 x 50 px at 3, 4: score 0.83, blur-like (0.62), seen by mantranet, constrained-rcnn and "
        "copy-search"
    ]


def test_the_twin_of_a_copied_region_is_told():
    region = {
        "box_xyxy": [3, 4, 43, 54],
        "technique": "copy_move",
        "score": 0.97,
        "witnesses": [],
        "family": None,
        "family_score": None,
        "twin_box_xyxy": [100, 110, 142, 160],
    }
    result = {"path": "a", "verdict": "cannot_judge", "reason": "r", "detection_score": None, "witnesses": []}
    assert summary(result | {"regions": [region], "outputs": {}}).splitlines()[2:] == [
        "  copy-move, 40 x 50 px at 3, 4: score 0.97, the same as 42 x 50 px at 100, 110"
    ]


def test_the_grid_of_a_region_is_told_if_it_is_another():
    region = {
        "box_xyxy": [3, 4, 43, 54],
        "technique": None,
        "score": 0.97,
        "witnesses": ["grid-search"],
        "family": None,
        "family_score": None,
        "jpeg_grid_xy": [5, 3],
    }
    result = {"path": "a", "verdict": "cannot_judge", "reason": "r", "detection_score": None, "witnesses": []}
    assert summary(result | {"regions": [region], "outputs": {}}).splitlines()[2:] == [
        "  manipulated, 40 x 50 px at 3, 4: score 0.97, on another JPEG grid than the rest (blocks start at 5, 3 of "
        "every 8 px), seen by grid-search"
    ]


def test_every_family_has_words():
    assert tuple(sorted(FAMILIES_IN_WORDS)) == tuple(sorted(IMC_FAMILIES))


def test_the_same_picture_gives_the_same_json_in_another_process(tmp_path):
    pixels = np.asarray(Image.open(resources.files("doctored") / "examples" / "splicing.jpg"))
    Image.fromarray(pixels[:160, :200]).save(tmp_path / "photo.jpg", quality=90)
    command = [sys.executable, "-m", "doctored", "detect", "photo.jpg", "--json"]
    first, second = (
        json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout)
        for _ in range(2)
    )
    assert first["witnesses"]
    assert first.pop("timing").keys() == second.pop("timing").keys()
    assert json.dumps(first) == json.dumps(second)
