from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.boxes import iou
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.predict import openvino_engine
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.engine import ManTraNetEngine, Precision
from doctored.predict.export import export_mantranet
from doctored.predict.localize import localization_logits, plan_localization
from doctored.predict.openvino_engine import OpenVINOEngine, OpenVINORCNNEngine, with_mirrored_frame
from doctored.predict.torch_engine import TorchRCNNEngine
from doctored.predict.weights import ExportedModel
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
from models.constrained_rcnn.toys import overfitted_toy, tiny_pictures
from models.mantranet.toys import TOY_SETTINGS, as_batch, as_map, random_mantranet, random_picture

needs_bf16 = pytest.mark.skipif(
    "bf16" not in fast_arithmetic(), reason="this CPU has no bfloat16 instructions"
)


def _pixels(height: int, width: int) -> NDArray[np.uint8]:
    return (random_picture(height, width) * 255).astype(np.uint8)


def _logits(engine: ManTraNetEngine, pixels: NDArray[np.uint8], tile_px: int) -> NDArray[np.float32]:
    size_hw = (pixels.shape[0], pixels.shape[1])
    return localization_logits(engine, pixels, plan_localization(engine.settings, size_hw, tile_px))


@torch.no_grad()
def _whole(network: ManTraNet, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return as_map(network(as_batch(pixels.astype(np.float32) / 255)))[..., 0]


def _map(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 2), (1, 90), (90, 3), (41, 64), (97, 70)])
def test_equals_the_whole_network_on_pytorch(exported_toy: ExportedModel, size_hw: tuple[int, int]):
    pixels = _pixels(*size_hw)
    logits = _logits(OpenVINOEngine(exported_toy, TOY_SETTINGS, "fp32"), pixels, tile_px=30)
    np.testing.assert_allclose(logits, _whole(random_mantranet(), pixels), rtol=0, atol=1e-4)


def test_the_other_variants_layers_are_exported_too(tmp_path: Path):
    settings = ManTraNetSettings(
        first_layer_filters=15,
        widths=(4, 5, 6, 7, 8),
        feature_channels=9,
        transform_tanh=True,
        adapted_channels=4,
        window_sizes=(7, 15, 31, 63),
        hidden_channels=2,
    )
    network = random_mantranet(settings)
    exported = export_mantranet(network, tmp_path / "variant", half_weights=False)
    pixels = _pixels(80, 75)
    engine = OpenVINOEngine(exported, settings, "fp32")
    np.testing.assert_allclose(_logits(engine, pixels, 30), _whole(network, pixels), rtol=0, atol=1e-4)
    with torch.no_grad():
        features = as_map(network.imtfe(as_batch(pixels.astype(np.float32) / 255)))
    np.testing.assert_allclose(engine.trace_features(pixels), features, rtol=0, atol=1e-6)


@torch.no_grad()
def test_features_equal_those_on_pytorch(exported_toy: ExportedModel):
    pixels = _pixels(33, 47)
    features = OpenVINOEngine(exported_toy, TOY_SETTINGS, "fp32").trace_features(pixels)
    expected = as_map(random_mantranet().imtfe(as_batch(pixels.astype(np.float32) / 255)))
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(features, axis=2), 1, atol=1e-5)


@needs_bf16
def test_bf16_stays_near_fp32(exported_toy: ExportedModel):
    pixels = _pixels(80, 90)
    exact, lowered = (
        _logits(OpenVINOEngine(exported_toy, TOY_SETTINGS, p), pixels, 64) for p in ("fp32", "bf16")
    )
    assert 0 < np.abs(_map(exact) - _map(lowered)).mean() < 0.01


def test_int8_stays_near_fp32(quantised_toy: ExportedModel):
    pixels = _pixels(80, 90)
    exact, lowered = (
        _logits(OpenVINOEngine(quantised_toy, TOY_SETTINGS, p), pixels, 64) for p in ("fp32", "int8")
    )
    # A network of six to twelve channels averages rounding errors over far fewer terms than a real one.
    assert 0 < np.abs(_map(exact) - _map(lowered)).mean() < 0.03
    assert np.corrcoef(exact.ravel(), lowered.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("instructions", "same_as"),
    [({"int8"}, "fp32"), pytest.param({"int8", "bf16"}, "bf16", marks=needs_bf16)],
)
def test_beside_int8_anomalies_are_in_the_best_float_there_is(
    quantised_toy: ExportedModel, monkeypatch: pytest.MonkeyPatch, instructions: set[str], same_as: Precision
):
    monkeypatch.setattr(openvino_engine, "fast_arithmetic", lambda: frozenset(instructions))
    adapted = np.random.default_rng(0).normal(0, 1, (40, 50, 5)).astype(np.float32)
    mean, std = np.zeros(5, np.float32), np.ones(5, np.float32)
    int8, other = (
        OpenVINOEngine(quantised_toy, TOY_SETTINGS, p, threads=1).anomaly_logits(adapted, mean, std).copy()
        for p in ("int8", same_as)
    )
    assert np.array_equal(int8, other)


def test_float16_weights_change_next_to_nothing(exported_toy: ExportedModel, quantised_toy: ExportedModel):
    pixels = _pixels(80, 90)
    full, half = (
        _logits(OpenVINOEngine(toy, TOY_SETTINGS, "fp32"), pixels, 64)
        for toy in (exported_toy, quantised_toy)
    )
    assert 0 < np.abs(_map(full) - _map(half)).mean() < 0.001


def test_runs_repeat_to_the_bit_whatever_came_between(exported_toy: ExportedModel):
    engine = OpenVINOEngine(exported_toy, TOY_SETTINGS, "fp32", threads=1)
    first = _logits(engine, _pixels(60, 70), 30).copy()
    for size_hw in ((20, 20), (31, 90), (64, 64)):
        _logits(engine, _pixels(*size_hw), 30)
    engine.release_memory()
    assert np.array_equal(_logits(engine, _pixels(60, 70), 30), first)


def test_the_frame_is_numpys_symmetric_one():
    tile = np.arange(2 * 1 * 3, dtype=np.uint8).reshape(2, 1, 3)
    framed = with_mirrored_frame(tile)
    assert framed.shape == (1, 6, 5, 3)
    assert framed[0, :, 0, 0].tolist() == [3, 0, 0, 3, 3, 0]


def test_a_model_that_openvino_cannot_read_is_a_sentence(exported_toy: ExportedModel, toy_copy: Path):
    (toy_copy / "features.fp32.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"OpenVINO cannot read .*features.fp32.xml"):
        OpenVINOEngine(replace(exported_toy, folder=toy_copy), TOY_SETTINGS, "fp32")


def test_settings_come_from_the_manifest(exported_toy: ExportedModel):
    assert OpenVINOEngine(exported_toy, TOY_SETTINGS, "fp32").settings == TOY_SETTINGS


@pytest.mark.parametrize("size_hw", [(96, 96), (65, 200), (301, 222)])
def test_regions_equal_those_on_pytorch(
    exported_rcnn: ExportedModel, random_rcnn: ConstrainedRCNN, size_hw: tuple[int, int]
):
    pixels = _pixels(*size_hw)
    found = OpenVINORCNNEngine(exported_rcnn, TOY_RCNN, "fp32").regions(pixels)
    expected = TorchRCNNEngine(random_rcnn, "cpu", "fp32").regions(pixels)
    assert len(expected.scores) > 1
    assert np.array_equal(found.labels, expected.labels)
    for name in ("boxes_xyxy", "rois"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-2)
    for name in ("scores", "masks", "roi_logits"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 90), (40, 2)])
def test_regions_of_slivers_score_as_on_pytorch(
    exported_rcnn: ExportedModel, random_rcnn: ConstrainedRCNN, size_hw: tuple[int, int]
):
    """Boxes that the picture's border leaves without area tie, and come in any order."""
    found = OpenVINORCNNEngine(exported_rcnn, TOY_RCNN, "fp32").regions(_pixels(*size_hw))
    expected = TorchRCNNEngine(random_rcnn, "cpu", "fp32").regions(_pixels(*size_hw))
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.sort(found.roi_logits), np.sort(expected.roi_logits), rtol=0, atol=1e-5)
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= [size_hw[1], size_hw[0]] * 2).all()


@pytest.mark.parametrize("precision", [pytest.param("bf16", marks=needs_bf16), "int8", "fp32"])
def test_a_trained_network_finds_the_same_in_every_precision(
    overfitted_rcnn: ExportedModel, precision: Precision
):
    reference = TorchRCNNEngine(overfitted_toy(), "cpu", "fp32")
    engine = OpenVINORCNNEngine(overfitted_rcnn, TOY_RCNN, precision)
    for number, pixels in enumerate(tiny_pictures()):
        expected, found = reference.regions(pixels), engine.regions(pixels)
        if number == 2:  # authentic
            assert found.scores[0] < 0.5
            continue
        assert found.labels[0] == expected.labels[0]
        assert found.scores[0] == pytest.approx(expected.scores[0], abs={"fp32": 0.01}.get(precision, 0.1))
        overlap = iou(torch.from_numpy(found.boxes_xyxy[:1]), torch.from_numpy(expected.boxes_xyxy[:1]), 0.0)
        assert overlap.item() > {"fp32": 0.99}.get(precision, 0.9)
        assert np.abs(found.masks[0] - expected.masks[0]).mean() < 0.05
        if precision != "fp32":
            assert not np.array_equal(found.scores, expected.scores)
