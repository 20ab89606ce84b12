import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.models import resnet18

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES, Source
from doctored.core.imc_classes import IMC_CLASSES
from doctored.core.sample import Sample
from doctored.data.forgery_stream import ForgeryStream
from doctored.data.region_samples import Disturbance, GeneratedSamples, RegionSamples
from doctored.models.constrained_rcnn.findings import Findings
from doctored.models.constrained_rcnn.settings import NETWORKS
from doctored.train.constrained_rcnn import (
    ConstrainedRCNNTask,
    ConstrainedRCNNTraining,
    check_regions,
    fitted_start,
)
from doctored.train.imc import ConstrainedRCNNImc
from doctored.train.loop import train
from doctored.train.settings import RcnnSettings, RcnnStage1Settings
from models.constrained_rcnn.toys import TOY_SETTINGS

TOY = dataclasses.replace(TOY_SETTINGS, backbone_norm="frozen")
STAGE_1 = dataclasses.replace(TOY, mask_stage=False)
NO_BOXES = np.zeros((0, 4), np.int64)


def photographs():
    rng = np.random.default_rng(1)
    return [
        Source(str(n), "", np.kron(rng.integers(0, 255, (10, 10, 3)), np.ones((16, 16, 1))).astype(np.uint8))
        for n in range(3)
    ]


class Bright:
    """Noise of two levels: a manipulated square is far noisier than the rest."""

    def __init__(self, forged=(True, False), size_px=64):
        self.forged, self.size_px = forged, size_px

    def __getitem__(self, number):
        rng = np.random.default_rng(number)
        mask = np.zeros((self.size_px, self.size_px), bool)
        forged = self.forged[number % len(self.forged)]
        if forged:
            top, left = rng.integers(0, self.size_px - 32, size=2)
            mask[top : top + 32, left : left + 32] = True
        noise = rng.normal(128, 1, (*mask.shape, 3)) + mask[..., None] * rng.normal(0, 40, (*mask.shape, 3))
        technique = "splicing" if forged else "authentic"
        return Sample(noise.clip(0, 255).astype(np.uint8), mask, None, NO_BOXES, technique, str(number))


@pytest.fixture
def rcnn_task():
    """The same tiny task anew, as a new process would make it."""

    def make(shape=TOY, learn=None, start=None, start_classes=None, kind=RcnnSettings, **changes):
        values = {
            "steps": 4, "batch_size": 2, "crop_px": 64, "held_out_crops": 4, "optimizer": "adamw", "clip_norm": 10.0,
            "learning_rate": 1e-3, "log_steps": 1, "workers": 0, "rpn_batch": 32, "roi_batch": 16, **changes,
        }  # fmt: skip
        settings = kind(**values)
        samples = Bright() if learn is None else learn
        return ConstrainedRCNNTask(settings, samples, samples, start, {}, shape, start_classes), settings

    return make


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_is_the_uninterrupted_one(rcnn_task, tmp_path, optimizer):
    whole, settings = rcnn_task(optimizer=optimizer)
    train(whole, settings, tmp_path / "whole", accelerator="cpu")
    first, _ = rcnn_task(optimizer=optimizer)
    part = dataclasses.replace(settings, steps=2)
    train(first, part, tmp_path / "parts", accelerator="cpu")
    second, _ = rcnn_task(optimizer=optimizer)
    train(second, settings, tmp_path / "parts", accelerator="cpu", resume=True)
    expected = load_file(tmp_path / "whole" / "checkpoints" / "step-000000004" / "weights.safetensors")
    resumed = load_file(tmp_path / "parts" / "checkpoints" / "step-000000004" / "weights.safetensors")
    for name, tensor in expected.items():
        assert torch.equal(resumed[name], tensor), name


def test_a_run_says_what_it_is_and_shows_what_it_finds(rcnn_task, tmp_path):
    task, settings = rcnn_task(steps=1)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    model = json.loads((tmp_path / "run" / "model.json").read_text("utf-8"))
    assert model["model"] == "constrained-rcnn"
    assert model["settings"]["classes"] == list(TECHNIQUES)
    log = (tmp_path / "run" / "log.csv").read_text("utf-8")
    for figure in ("held_out,box_ap,", "held_out,image_auc,", "held_out,pixel_auc,", "train,rpn_class,"):
        assert figure in log
    with Image.open(tmp_path / "run" / "samples" / "step-000000001.png") as rows:
        assert rows.size == (3 * 68, 2 * 68)  # two forgeries of four samples
    kernel = task.network.constrained_conv.kernel.detach()
    torch.testing.assert_close(kernel.sum(dim=(2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-5)


def test_it_overfits_one_tiny_batch(rcnn_task, tmp_path):
    class Again:
        def __getitem__(self, number):
            return Bright()[number % 2]

    task, settings = rcnn_task(
        learn=Again(), steps=120, learning_rate=3e-3, noise_share=0.0, ema_decay=0.0, held_out_crops=2
    )
    train(task, settings, tmp_path / "run", accelerator="cpu")
    task.network.eval()
    with torch.inference_mode():
        figures = task.held_out().figures
    assert figures["box_ap"] == 1
    assert figures["technique_accuracy"] == 1
    assert figures["image_auc"] == 1
    assert figures["pixel_auc"] > 0.9


def test_authentic_pictures_alone_give_finite_losses_and_no_positive(rcnn_task):
    task, _ = rcnn_task(learn=Bright((False,)))
    batch = [
        torch.as_tensor(np.stack(arrays)) for arrays in zip(task.samples[0], task.samples[1], strict=True)
    ]
    loss, figures = task.network(*batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert figures["rpn_box"] == figures["roi_box"] == figures["mask"] == 0
    assert figures["rpn_class"] > 0
    assert figures["roi_class"] > 0
    task.network.eval()
    with torch.inference_mode():
        assert task.held_out().figures == {}


def test_what_was_copied_changes_no_loss(rcnn_task):
    """A picture whose every place is ignored but the forgery teaches nothing about the rest."""
    task, _ = rcnn_task(learn=Bright((True,)))
    image, gt_mask, has_mask, _, boxes, labels, ignored = task.samples[0]
    ignored[0] = (0, 0, 64, 64)
    arrays = (image, gt_mask, has_mask, ~gt_mask, boxes, labels, ignored)
    seen = []
    original = task.network._rpn_losses

    def spy(features, truths, true_boxes, scaling):
        seen.extend(truths)
        return original(features, truths, true_boxes, scaling)

    task.network._rpn_losses = spy
    loss, figures = task.network(*(torch.as_tensor(np.asarray(array))[None] for array in arrays))
    assert torch.isfinite(loss)
    assert seen[0].ignored_boxes_xyxy.tolist() == [[0, 0, 64, 64]]
    torch.testing.assert_close(seen[0].ignore_mask, ~seen[0].gt_mask)
    # All RoIs are on the only region, so every one of them has its technique.
    with torch.no_grad():
        task.network.box_head.cls_score.bias[1] = 50
    _, figures = task.network(*(torch.as_tensor(np.asarray(array))[None] for array in arrays))
    assert figures["roi_class"] < 1e-3


def test_generated_forgeries_train_both_stages(rcnn_task, tmp_path):
    learn = GeneratedSamples(ForgeryStream(photographs(), 64, 0))
    first, settings = rcnn_task(STAGE_1, learn, kind=RcnnStage1Settings, steps=1)
    assert first.network.mask_stage is None
    train(first, settings, tmp_path / "stage1", accelerator="cpu")
    start = load_file(tmp_path / "stage1" / "weights.safetensors")
    whole, _ = rcnn_task(TOY, learn, start, TECHNIQUES)
    own = whole.network.state_dict()
    for name, tensor in start.items():
        assert torch.equal(own[name], tensor), name
    block4 = [name for name in start if name.startswith("box_head.block4.")]
    assert block4
    for name in block4:
        assert torch.equal(own[name.replace("box_head.", "mask_stage.head.")], start[name]), name


def test_other_classes_start_anew(rcnn_task):
    old, _ = rcnn_task()
    start = old.network.state_dict()
    two = dataclasses.replace(TOY, classes=("authentic", "manipulated"))
    task, _ = rcnn_task(two, start=start, start_classes=TECHNIQUES)
    assert task.network.box_head.cls_score.out_features == 2
    assert torch.equal(task.network.rpn.conv.weight, old.network.rpn.conv.weight)
    kept = fitted_start(start, TOY, same_classes=True)
    assert kept.keys() == start.keys()
    anew = fitted_start(start, TOY, same_classes=False)
    assert {name for name in start if name not in anew} == {
        f"box_head.{layer}.{part}" for layer in ("cls_score", "bbox_pred") for part in ("weight", "bias")
    }


def test_it_starts_from_a_pre_trained_backbone_and_from_imagenet(rcnn_task):
    torch.manual_seed(3)
    backbone = ConstrainedRCNNImc(TOY, 1, IMC_CLASSES).state_dict()
    task, _ = rcnn_task(start=backbone)
    own = task.network.state_dict()
    shared = [name for name in backbone if name in own]
    assert "backbone.conv1.norm.running_var" in shared
    assert all(torch.equal(own[name], backbone[name]) for name in shared)

    photographs_of_things = resnet18().state_dict()
    small = dataclasses.replace(NETWORKS["constrained-rcnn-small"], rpn_batch=8, roi_batch=4)
    task, _ = rcnn_task(small, start=photographs_of_things)
    torch.testing.assert_close(
        task.network.backbone.block1[0].conv1.conv.weight, photographs_of_things["layer1.0.conv1.weight"]
    )
    with pytest.raises(ConfigError, match="same depth"):
        rcnn_task(NETWORKS["constrained-rcnn-resnet50"], start=photographs_of_things)


def test_two_steps_of_the_full_network(rcnn_task, tmp_path):
    shape = NETWORKS["constrained-rcnn"]
    task, settings = rcnn_task(
        shape, batch_size=1, steps=2, optimizer="sgd", held_out_crops=0, roi_batch=8, learning_rate=1e-3
    )
    before = task.network.backbone.block3[22].conv2.conv.weight.detach().clone()
    train(task, settings, tmp_path / "run", accelerator="cpu")
    assert not torch.equal(task.network.backbone.block3[22].conv2.conv.weight, before)
    assert "train,loss," in (tmp_path / "run" / "log.csv").read_text("utf-8")


def test_figures_by_hand(rcnn_task, monkeypatch):
    """Four pictures: found and named; found under a wrong name; authentic; one whose copied part is pointed at."""
    truth = [
        ("splicing", [8, 8, 40, 40], None),
        ("removal", [8, 8, 40, 40], None),
        ("authentic", None, None),
        ("copy_move", [0, 0, 20, 20], [30, 30, 60, 60]),
    ]
    answers = [
        ([[8, 8, 40, 38]], [0.9], [1]),
        ([[8, 8, 40, 40], [9, 9, 40, 40]], [0.8, 0.7], [1, 3]),
        ([[5, 5, 30, 30]], [0.6], [2]),
        ([[30, 30, 60, 60], [40, 40, 64, 64]], [0.95, 0.3], [2, 2]),
    ]

    class Drawn:
        def __getitem__(self, number):
            technique, box, source = truth[number]
            masks = []
            for square in (box, source):
                mask = np.zeros((64, 64), bool)
                if square:
                    mask[square[1] : square[3], square[0] : square[2]] = True
                masks.append(mask)
            return Sample(np.zeros((64, 64, 3), np.uint8), *masks, NO_BOXES, technique, str(number))

    task, _ = rcnn_task()
    left = iter(answers)

    def find(image):
        boxes, scores, labels = next(left)
        localization_map = torch.zeros(64, 64)
        localization_map[8:40, 8:40] = 1
        return [
            Findings(
                torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores), torch.tensor(labels),
                torch.zeros(len(boxes), 14, 14), torch.zeros(1, 4), torch.zeros(1), localization_map,
            )
        ]  # fmt: skip

    monkeypatch.setattr(task.network, "find", find)
    held_out = check_regions(task.network, RegionSamples(Drawn(), TECHNIQUES, Disturbance(), 0), 4)
    # What was copied and the box half on it do not count. By score: right, right, a second time, wrong.
    assert held_out.figures["box_ap"] == pytest.approx(2 / 3)
    assert held_out.figures["technique_accuracy"] == 0.5
    # The forged pictures score .9, .8 and, what was copied aside, 0; the authentic one .6.
    assert held_out.figures["image_auc"] == pytest.approx(2 / 3)
    corner = 20 * 20
    overlap = 12 * 12
    hit, false = overlap / corner, (32 * 32 - overlap) / (64 * 64 - corner)
    assert held_out.figures["pixel_auc"] == pytest.approx((2 + (1 + hit - false) / 2) / 3)
    assert held_out.pictures["samples"].shape == (3 * 68, 3 * 68, 3)


def test_several_processes_get_a_gradient_of_every_weight(rcnn_task, monkeypatch):
    task, _ = rcnn_task(learn=Bright((False,)))
    batch = [torch.as_tensor(array)[None] for array in map(np.asarray, task.samples[0])]
    alone, _ = task.network(*batch)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    torch.manual_seed(0)
    together, figures = task.network(*batch)
    assert together.item() == pytest.approx(sum(value.item() for value in figures.values()), rel=1e-5)
    alone.backward()
    assert task.network.mask_stage.fusion.conv.weight.grad is None
    together.backward()
    assert all(weight.grad is not None for weight in task.network.parameters() if weight.requires_grad)


def test_there_is_nothing_to_say_of_no_crops(rcnn_task):
    task, _ = rcnn_task(held_out_crops=0)
    assert task.held_out().figures == {}


def test_forward_is_the_sum_of_the_losses(rcnn_task):
    task, _ = rcnn_task()
    batch = [
        torch.as_tensor(np.stack(arrays)) for arrays in zip(task.samples[0], task.samples[1], strict=True)
    ]
    assert isinstance(task.network, ConstrainedRCNNTraining)
    loss, figures = task.network(*batch)
    assert loss.item() == pytest.approx(sum(value.item() for value in figures.values()), rel=1e-5)
