"""Constrained R-CNN against its original's graph in TF-slim, part by part.

`parity/constrained_rcnn_golden.py` wrote the files: a checkpoint as TensorFlow saves it, and what the graph computes.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.convert import from_tensorflow
from doctored.models.constrained_rcnn.pixels import network_pixels
from doctored.models.constrained_rcnn.roi import crop_rois
from doctored.models.constrained_rcnn.scaling import scaling_for
from doctored.predict.tensorflow_bundle import TensorBundle

GOLDEN = Path(__file__).parent / "golden"
KEPT_EVERY = {"noise": 7, "conv1": 4, "conv_1x": 2}


def expected_parts() -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN / "released.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def network() -> ConstrainedRCNN:
    bundle = TensorBundle(GOLDEN / "released")
    settings, state = from_tensorflow(bundle.read(bundle.names))
    # The picture is small already, so that the files are.
    network = ConstrainedRCNN(replace(settings, short_side_px=None, long_side_px=None)).eval()
    network.load_state_dict({name: torch.as_tensor(array.copy()) for name, array in state.items()})
    return network


@torch.no_grad()
def parts_of(
    network: ConstrainedRCNN, pixels: NDArray[np.uint8], given: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Every part, the later ones from the RoIs that the original found, so that each is compared on its own."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    scaling = scaling_for(pixels.shape[:2], network.settings)
    residual = network.residual(network_pixels(image, scaling, compat=True))
    backbone = network.backbone
    stem = torch.relu(backbone.conv1(residual))
    pooled = torch.nn.functional.max_pool2d(stem, 3, stride=2, padding=1)
    features = network.features(network_pixels(image, scaling, compat=True))
    rois, boxes = torch.from_numpy(given["proposals"]), torch.from_numpy(given["boxes"])
    crops = crop_rois(features.conv_4x, [rois], compat=True)
    logits, deltas = network.box_head(crops)
    fused = network.mask_stage.fusion(features.conv_3x, features.attended)
    found = network(image)[0]
    maps = {
        "noise": residual,
        "conv1": stem,
        "conv_1x": pooled,
        "conv_2x": backbone.block1(pooled),
        "conv_3x": features.conv_3x,
        "conv_4x": features.conv_4x,
        "attended": features.attended,
        "fused": fused,
    }
    parts = {name: batch[0].permute(1, 2, 0) for name, batch in maps.items()}
    parts |= {name: parts[name][::every, ::every] for name, every in KEPT_EVERY.items()}
    parts |= {
        "rpn_probability": features.logits[0].softmax(dim=1)[:, 1],
        "proposals": network._proposals(features, scaling, training=False)[0],
        "roi_crops": crops.permute(0, 2, 3, 1),
        "vector": network.box_head.block4(crops).mean(dim=(2, 3)),
        "cls_score": logits,
        "bbox_pred": deltas.flatten(1),
        "mask_logits": network.mask_stage.head(crop_rois(fused, [boxes], compat=True)).permute(0, 2, 3, 1),
        "boxes": found.boxes_xyxy,
        "scores": found.scores,
        "labels": found.labels,
        "map": found.localization_map,
    }
    return {name: part.numpy() for name, part in parts.items()}


def relative_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_every_part_computes_what_the_original_does(network: ConstrainedRCNN):
    expected = expected_parts()
    found = parts_of(network, expected.pop("pixels"), expected)
    assert found.keys() == expected.keys()
    for name, part in expected.items():
        assert found[name].shape == part.shape, name
        assert relative_error(found[name], part) < 1e-4, name


def test_the_paper_s_attention_is_told_apart(network: ConstrainedRCNN):
    expected = expected_parts()
    other = ConstrainedRCNN(network.settings).eval()
    other.load_state_dict(network.state_dict())
    other.rpn.cbam.variant = "paper"
    found = parts_of(other, expected.pop("pixels"), expected)
    assert relative_error(found["conv_4x"], expected["conv_4x"]) < 1e-4
    assert relative_error(found["attended"], expected["attended"]) > 1e-2


def test_other_anchors_are_told_apart(network: ConstrainedRCNN):
    expected = expected_parts()
    other = ConstrainedRCNN(replace(network.settings, anchor_scales=(2, 4, 8, 16))).eval()
    other.load_state_dict(network.state_dict())
    found = parts_of(other, expected.pop("pixels"), expected)
    assert relative_error(found["proposals"], expected["proposals"]) > 1e-2
