import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import doctored
from doctored.core.errors import ConfigError, ModelError
from doctored.core.picture import Picture
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.predict import Detector, detector, inspect, trace_features
from doctored.predict.calibration import CALIBRATION_FILE
from doctored.predict.weights import MANIFEST_FILE, ExportedModel, run_sha256
from models.constrained_rcnn.toys import TOY_COMPAT, overfitted_toy, tiny_pictures, write_rcnn_run
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
from models.mantranet.toys import TOY_SETTINGS, as_batch, as_map, random_mantranet, random_picture
from predict.calibrations import make_calibration

PIXELS = (random_picture(70, 90) * 255).astype(np.uint8)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a training run."""
    (tmp_path / "model.json").write_text(json.dumps({"model": "mantranet", "settings": asdict(TOY_SETTINGS)}))
    save_file(random_mantranet().state_dict(), tmp_path / "weights.safetensors")
    return tmp_path


@torch.no_grad()
def _whole_map() -> np.ndarray:
    logits = random_mantranet()(as_batch(PIXELS.astype(np.float32) / 255))
    return as_map(torch.sigmoid(logits))[..., 0]


def test_an_exported_model_inspects(exported_toy: ExportedModel):
    inspection = Detector.from_name(exported_toy.folder, precision="fp32").inspect(Picture.from_array(PIXELS))
    np.testing.assert_allclose(inspection.localization_map, _whole_map(), rtol=0, atol=1e-4)
    (witness,) = inspection.witnesses
    assert witness.name == "mantranet"
    assert witness.sha256 == exported_toy.sha256
    assert witness.localization_map is inspection.localization_map
    assert inspection.verdict == "cannot_judge"
    assert "not calibrated yet" in inspection.reason
    assert inspection.detection_score is None
    assert inspection.false_alarm_rate is None
    assert inspection.regions == ()
    assert inspection.timing.seconds > 0
    assert inspection.version == doctored.__version__
    json.dumps(inspection.to_json(path="x"), allow_nan=False)


@pytest.mark.parametrize("method", ["inspect", "raw_score", "trace_features", "estimate_seconds"])
def test_threads_may_share_a_detector(exported_toy: ExportedModel, method: str):
    """One thread's picture let go of the network that another's was being computed on."""
    shared = Detector.from_name(exported_toy.folder, precision="fp32", threads=1)
    pictures = [Picture.from_array(PIXELS[: 30 + 10 * number]) for number in range(4)]

    def ask(picture: Picture) -> Any:
        answer = getattr(shared, method)(picture.pixels if method == "raw_score" else picture)
        return answer.localization_map if method == "inspect" else answer

    alone = [ask(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(ask, pictures * 5))
    for number, answer in enumerate(together):
        np.testing.assert_allclose(answer, alone[number % 4], rtol=1e-5, atol=1e-6)


def test_threads_may_inspect_at_once(exported_toy: ExportedModel):
    sizes = [(40, 50), (64, 31), (25, 90)] * 3
    with ThreadPoolExecutor(3) as threads:
        found = threads.map(lambda size: inspect(PIXELS[: size[0], : size[1]], exported_toy.folder), sizes)
        assert [one.localization_map.shape for one in found] == [(height, width) for height, width in sizes]


def test_on_progress_may_ask_the_detector(exported_toy: ExportedModel):
    shared = Detector.from_name(exported_toy.folder, precision="fp32")
    picture, told = Picture.from_array(PIXELS), []
    shared.inspect(picture, on_progress=lambda done, total: told.append(shared.estimate_seconds(picture)))
    assert told


def test_a_training_run_inspects(run: Path):
    found = Detector.from_name(run, device="cpu", precision="fp32", tile=30)
    inspection = found.inspect(Picture.from_array(PIXELS))
    np.testing.assert_allclose(inspection.localization_map, _whole_map(), rtol=0, atol=1e-4)
    assert found.name == "mantranet"


def test_yardsticks_inspect():
    for name in ("centre", "sharpness"):
        inspection = Detector.from_name(name).inspect(Picture.from_array(PIXELS))
        assert inspection.witnesses[0].name == name


def test_a_calibration_in_the_folder_of_the_model_is_used(toy_copy: Path):
    picture = Picture.from_array(PIXELS)
    uncalibrated = Detector.from_name(toy_copy).inspect(picture)
    raw = uncalibrated.witnesses[0].raw_score
    sha256 = uncalibrated.witnesses[0].sha256
    # Of 99 authentic pictures four score as high, so the rate is 5 in 100.
    rows = [(80, "lossless", raw + (1 if number < 4 else -1) * (number + 1)) for number in range(99)]
    make_calibration(rows, model_sha256=sha256).save(toy_copy / CALIBRATION_FILE)
    inspection = Detector.from_name(toy_copy).inspect(picture)
    assert inspection.verdict == "manipulated"
    assert inspection.false_alarm_rate == 0.05
    assert inspection.detection_score > 0.5
    assert (inspection.comparison.pictures, inspection.comparison.as_high) == (99, 4)
    kept = Detector.from_name(toy_copy).judge(raw, picture.size_hw, "lossless")
    assert (kept.verdict, kept.detection_score) == (inspection.verdict, inspection.detection_score)
    stricter = Detector.from_name(toy_copy, fpr=0.04).inspect(picture)
    assert stricter.verdict == "no_signs"
    assert stricter.detection_score < 0.5
    # One that is named wins over it.
    make_calibration(rows[4:], model_sha256=sha256).save(toy_copy / "other.json")
    named = Detector.from_name(toy_copy, calibration=toy_copy / "other.json").inspect(picture)
    assert named.false_alarm_rate == pytest.approx(1 / 96)


def test_a_calibration_in_the_folder_of_a_run_is_used(run: Path):
    make_calibration(
        [(80, "lossless", 1e9)] * 60, model_sha256=detector.load_witness(str(run), device="cpu").sha256
    ).save(run / CALIBRATION_FILE)
    inspection = Detector.from_name(run, device="cpu").inspect(Picture.from_array(PIXELS))
    assert inspection.verdict == "no_signs"
    assert inspection.false_alarm_rate == 1


def test_a_calibration_of_another_model_is_refused(toy_copy: Path):
    make_calibration([(80, "lossless", 0.0)]).save(toy_copy / CALIBRATION_FILE)
    with pytest.raises(ModelError, match="the calibration belongs to mantranet with SHA-256 abab"):
        Detector.from_name(toy_copy)
    with pytest.raises(ModelError, match=r"none\.json cannot be read"):
        Detector.from_name("sharpness", calibration="none.json")
    with pytest.raises(ConfigError, match="accepted false-alarm rate is 5; give a number between 0 and 1"):
        Detector.from_name("sharpness", fpr=5)


def test_the_raw_score_needs_no_map(exported_toy: ExportedModel):
    found = Detector.from_name(exported_toy.folder, precision="fp32")
    assert found.raw_score(PIXELS) == found.inspect(Picture.from_array(PIXELS)).witnesses[0].raw_score
    assert found.precision == "fp32"
    assert found.sha256 == exported_toy.sha256


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 63)])
def test_tiny_pictures_are_analysed_and_not_judged(exported_toy: ExportedModel, size_hw: tuple[int, int]):
    picture = Picture.from_array(np.full((*size_hw, 3), 90, np.uint8))
    inspection = Detector.from_name(exported_toy.folder).inspect(picture)
    assert inspection.localization_map.shape == size_hw
    assert inspection.verdict == "cannot_judge"
    assert f"{size_hw[1]} x {size_hw[0]} pixels" in inspection.reason


def test_tile_memory_and_threads_do_not_change_the_result(exported_toy: ExportedModel):
    picture = Picture.from_array(np.tile(PIXELS, (2, 2, 1)))
    maps = [
        Detector.from_name(exported_toy.folder, precision="fp32", **settings)
        .inspect(picture)
        .localization_map
        for settings in ({}, {"tile": 17}, {"memory_mb": 0.08}, {"threads": 1})
    ]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=0, atol=1e-4)


def test_progress_ends_at_the_total(exported_toy: ExportedModel):
    seen = []
    found = Detector.from_name(exported_toy.folder, tile=20)
    found.inspect(Picture.from_array(PIXELS), on_progress=lambda *numbers: seen.append(numbers))
    assert len(seen) > 5
    assert seen[-1] == (len(seen), len(seen))
    assert found.estimate_seconds(Picture.from_array(PIXELS)) > 0


def test_what_cannot_be_loaded_is_a_sentence(tmp_path: Path, exported_toy: ExportedModel, run: Path):
    with pytest.raises(
        ModelError,
        match="no model 'nothing': it is neither one of both, mantranet, constrained-rcnn, copy-search",
    ):
        Detector.from_name("nothing")
    with pytest.raises(
        ModelError, match=r"nor a folder with manifest.json .*, model.json .* or combination.json"
    ):
        Detector.from_name(tmp_path / "empty")
    with pytest.raises(ConfigError, match="run on the CPU, not on cuda"):
        Detector.from_name(exported_toy.folder, device="cuda")
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        Detector.from_name(exported_toy.folder, device="tpu")
    with pytest.raises(ConfigError, match="was exported without int8"):
        Detector.from_name(exported_toy.folder, precision="int8")
    with pytest.raises(ConfigError, match="int8 needs an exported model"):
        Detector.from_name(run, device="cpu", precision="int8")
    with pytest.raises(ConfigError, match="tile size is 0 px"):
        Detector.from_name(exported_toy.folder, tile=0)
    with pytest.raises(ConfigError, match=r"memory budget is 0\.001 MB"):
        Detector.from_name(exported_toy.folder, memory_mb=0.001)
    with pytest.raises(ConfigError, match="number of threads is 0; give 1 or more"):
        Detector.from_name(exported_toy.folder, threads=0)


@pytest.mark.parametrize("name", ["centre", "copy-search", "grid-search"])
def test_impossible_settings_are_refused_of_models_that_need_none(name: str, monkeypatch: pytest.MonkeyPatch):
    """Yardsticks and searches took any, without a word."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for options, words in (
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"tile": 0}, "tile size is 0 px"),
        ({"device": "cuda"}, "no cuda device"),
    ):
        with pytest.raises(ConfigError, match=words):
            Detector.from_name(name, **options)
    assert Detector.from_name(name, precision="int8", tile=512, device="cpu").name == name
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Detector.from_name(name, device="cuda").name == name, "beside a run on that device"


def test_a_name_too_long_for_the_disk_is_no_model():
    with pytest.raises(ModelError, match="there is no model"):
        Detector.from_name("m" * 300)


@pytest.mark.parametrize(
    ("setting", "value"), [("adapted_channels", 6), ("feature_channels", 10), ("adapted_channels", 1)]
)
def test_a_manifest_that_does_not_fit_its_network_is_a_sentence(toy_copy: Path, setting: str, value: int):
    """NumPy could not broadcast what came out of the network."""
    manifest = json.loads((toy_copy / MANIFEST_FILE).read_text())
    manifest["settings"][setting] = value
    (toy_copy / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=rf"does not fit its network \({setting}: {value} in the one, "):
        Detector.from_name(toy_copy)


def test_classes_that_a_manifest_does_not_name_are_a_sentence(overfitted_rcnn: ExportedModel, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(overfitted_rcnn.folder, folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["settings"]["classes"] = manifest["settings"]["classes"][:2]
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    found = Detector.from_name(folder, precision="fp32")

    def inspect_all():
        for pixels in tiny_pictures():
            found.inspect(Picture.from_array(pixels))

    with pytest.raises(ModelError, match=r"does not fit its network \(classes: 2 in the one"):
        inspect_all()


def test_a_catalogued_network_that_was_not_shipped_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(detector, "EMBEDDED", tmp_path)
    with pytest.raises(ModelError, match="mantranet does not come with this installation; name a folder"):
        Detector.from_name("mantranet")


@pytest.fixture
def embedded_toy(exported_toy: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the toy the default model."""
    os.symlink(exported_toy.folder, tmp_path / "mantranet")
    monkeypatch.setattr(detector, "EMBEDDED", tmp_path)
    monkeypatch.setattr(detector, "DEFAULT_MODEL", "mantranet")
    detector._kept_detector.cache_clear()
    yield
    detector._kept_detector.cache_clear()


def test_inspect_takes_a_path_or_an_array(embedded_toy: None, tmp_path: Path, exported_toy: ExportedModel):
    from PIL import Image

    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    of_file, of_array = inspect(tmp_path / "photo.png"), doctored.inspect(PIXELS)
    assert np.array_equal(of_file.localization_map, of_array.localization_map)
    assert of_file.picture.format == "PNG"
    assert inspect(PIXELS, model="centre").witnesses[0].name == "centre"
    assert inspect(PIXELS, model=exported_toy.folder).witnesses[0].sha256 == exported_toy.sha256


@torch.no_grad()
def test_trace_features(embedded_toy: None):
    expected = as_map(random_mantranet().imtfe(as_batch(PIXELS.astype(np.float32) / 255)))
    # On a CPU with bfloat16 instructions these are rounded ones.
    for source in (PIXELS, Picture.from_array(PIXELS)):
        features = trace_features(source)
        assert features.shape == (70, 90, TOY_SETTINGS.feature_channels)
        assert features.dtype == np.float32
        assert np.abs(features - expected).mean() < 0.01
    assert np.array_equal(doctored.trace_features(PIXELS), features)


def test_features_that_would_not_fit_are_refused(exported_toy: ExportedModel):
    found = Detector.from_name(exported_toy.folder)
    with pytest.raises(
        ConfigError, match=r"features of 90 x 70 pixels take 0 MB, more than the limit of 0\.1 MB"
    ):
        found.trace_features(Picture.from_array(PIXELS), memory_mb=0.1)
    with pytest.raises(ConfigError, match="the model centre has no trace features; give mantranet"):
        Detector.from_name("centre").trace_features(Picture.from_array(PIXELS))


@pytest.fixture
def rcnn_run(tmp_path: Path) -> Path:
    """The folder of a training run of a Constrained R-CNN."""
    return write_rcnn_run(tmp_path / "rcnn", overfitted_toy())


def test_regions_of_a_run_are_the_answers_regions(rcnn_run: Path, overfitted_rcnn: ExportedModel):
    picture = Picture.from_array(tiny_pictures()[0])
    of_run = Detector.from_name(rcnn_run, device="cpu", precision="fp32").inspect(picture)
    of_export = Detector.from_name(overfitted_rcnn.folder, precision="fp32").inspect(picture)
    for inspection in (of_run, of_export):
        (witness,) = inspection.witnesses
        assert witness.name == "constrained-rcnn"
        assert inspection.regions == witness.regions
        assert inspection.localization_map is witness.localization_map
        best = inspection.to_json(path="x")["regions"][0]
        assert best["technique"] == "splicing"
        assert best["score"] > 0.5
    assert of_run.witnesses[0].sha256 == run_sha256(rcnn_run)
    for ours, theirs in zip(of_run.regions, of_export.regions, strict=False):
        if ours.score > 0.5:
            assert ours.technique == theirs.technique
            assert ours.score == pytest.approx(theirs.score, abs=0.01)
            assert np.abs(np.subtract(ours.box_xyxy, theirs.box_xyxy)).max() <= 1


def test_a_calibration_of_regions_is_one_of_their_rule(rcnn_run: Path):
    picture = Picture.from_array(tiny_pictures()[0])
    found = Detector.from_name(rcnn_run, device="cpu", precision="fp32")
    score = found.inspect(picture).witnesses[0].raw_score
    assert found.raw_score(picture.pixels) == score
    rows = [(96, "lossless", score - 1 - number) for number in range(99)]
    make_calibration(rows, model_sha256=found.sha256, raw_score=found.raw_score_rule).save(
        rcnn_run / CALIBRATION_FILE
    )
    judged = Detector.from_name(rcnn_run, device="cpu", precision="fp32").inspect(picture)
    assert judged.verdict == "manipulated"
    assert judged.false_alarm_rate == pytest.approx(0.01)
    make_calibration(rows, model_sha256=found.sha256).save(rcnn_run / CALIBRATION_FILE)
    with pytest.raises(
        ModelError, match=r"made with the raw score 'largest region .*'logarithm of the votes"
    ):
        Detector.from_name(rcnn_run, device="cpu")


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 63)])
def test_slivers_have_regions_within_them(rcnn_run: Path, size_hw: tuple[int, int]):
    picture = Picture.from_array(np.full((*size_hw, 3), 90, np.uint8))
    inspection = Detector.from_name(rcnn_run, device="cpu", precision="fp32").inspect(picture)
    assert inspection.localization_map.shape == size_hw
    assert inspection.verdict == "cannot_judge"


def test_the_originals_scale_is_in_the_result(tmp_path: Path):
    torch.manual_seed(0)
    settings = replace(TOY_COMPAT, short_side_px=48, long_side_px=90)
    run = write_rcnn_run(tmp_path / "compat", ConstrainedRCNN(settings).eval())
    inspection = Detector.from_name(run, device="cpu", precision="fp32").inspect(
        Picture.from_array(np.full((96, 120, 3), 90, np.uint8))
    )
    assert inspection.to_json(path="x")["witnesses"][0]["scale"] == 0.5


def test_what_a_region_network_cannot_do_is_a_sentence(rcnn_run: Path, exported_rcnn: ExportedModel):
    with pytest.raises(ConfigError, match="was exported without int8"):
        Detector.from_name(exported_rcnn.folder, precision="int8")
    with pytest.raises(ConfigError, match="int8 needs an exported model"):
        Detector.from_name(rcnn_run, device="cpu", precision="int8")
    with pytest.raises(ConfigError, match="run on the CPU, not on cuda"):
        Detector.from_name(exported_rcnn.folder, device="cuda")
    with pytest.raises(ConfigError, match="the tile size is 100 px; constrained-rcnn needs 512"):
        Detector.from_name(exported_rcnn.folder, tile=100)
    with pytest.raises(ConfigError, match="the model constrained-rcnn has no trace features; give mantranet"):
        Detector.from_name(rcnn_run, device="cpu").trace_features(Picture.from_array(PIXELS))


def test_weights_with_nan_are_a_sentence(tmp_path: Path):
    network = ConstrainedRCNN(TOY_RCNN).eval()
    torch.nn.init.constant_(network.box_head.cls_score.bias, float("nan"))
    run = write_rcnn_run(tmp_path / "damaged", network)
    with pytest.raises(ModelError, match="its weights are damaged"):
        Detector.from_name(run, device="cpu", precision="fp32").inspect(Picture.from_array(PIXELS))


def test_an_embedded_region_model_is_picked_up(
    exported_rcnn: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    os.symlink(exported_rcnn.folder, tmp_path / "constrained-rcnn")
    monkeypatch.setattr(detector, "EMBEDDED", tmp_path)
    found = Detector.from_name("constrained-rcnn", precision="fp32")
    assert found.sha256 == exported_rcnn.sha256
