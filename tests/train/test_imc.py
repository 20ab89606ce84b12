import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.synth.imc385 import Manipulation, Manipulations
from doctored.train.checkpoint import start_from
from doctored.train.imc import ImcTask
from doctored.train.loop import train
from doctored.train.settings import RcnnImcSettings
from models.constrained_rcnn.toys import TOY_SETTINGS

TOY = dataclasses.replace(TOY_SETTINGS, backbone_norm="frozen")


def test_held_out_questions_are_the_same_every_time(imc_task):
    first, _ = imc_task(seed=1)
    second, _ = imc_task(seed=2)
    for a, b in zip(first.held_out_samples[3], second.held_out_samples[3], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_seed_gives_the_same_start_weights(imc_task):
    first, _ = imc_task(seed=5)
    torch.rand(7)
    second, _ = imc_task(seed=5)
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_goes_on_from_a_whole_mantranet(imc_task, toy_settings, photographs):
    torch.manual_seed(3)
    start = ManTraNet(toy_settings).state_dict()
    _, settings = imc_task()
    task = ImcTask(settings, photographs[:2], photographs[2:], start, {}, toy_settings)
    own = task.network.state_dict()
    shared = [name for name in start if name.startswith("imtfe.")]
    assert shared
    assert all(torch.equal(own[name], start[name]) for name in shared)


def test_a_frozen_extractor_keeps_its_weights_while_the_head_learns(imc_task, tmp_path):
    task, settings = imc_task(extractor="frozen", steps=2)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    train(task, settings, tmp_path / "run", accelerator="cpu")
    after = task.network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "imc_head.linear.weight",
        "imc_head.linear.bias",
    }


def test_a_backbone_with_batch_norm_cannot_be_frozen(rcnn_task):
    with pytest.raises(ConfigError, match="extractor=frozen is for ManTra-Net"):
        rcnn_task(extractor="frozen")


def darken(image, levels, rng):
    return np.maximum(image.astype(np.int16) - levels, 0).astype(np.uint8)


def test_added_manipulations_are_learned_from_the_weights_that_know_the_385(
    imc_task, toy_settings, photographs
):
    old, settings = imc_task()
    start = old.network.state_dict()
    added = Manipulations([Manipulation("Darken", "tone", darken, parameters=(5, 10, 20))])
    task = ImcTask(settings, photographs[:2], photographs[2:], start, {}, toy_settings, added)
    head, old_head = task.network.imc_head.linear, old.network.imc_head.linear
    assert torch.equal(head.weight[:385], old_head.weight)
    for index in (385, 386, 387):
        torch.testing.assert_close(head.weight[index], old_head.weight.mean(dim=0))
    image, regions, _ = task.samples[0]
    batch = torch.as_tensor(image)[None], torch.as_tensor(regions)[None]
    loss, figures = task.network(*batch, torch.tensor([[387, 385, 0, 200]]))
    loss.backward()
    assert head.weight.grad[385:].abs().sum() > 0
    assert set(figures) == {"family_accuracy", "type_accuracy", "class_accuracy"}
    assert set(figures) < set(task.held_out().figures)
    assert task.description() == {"classes": 388}


def test_a_manipulation_for_forgeries_only_has_no_output(imc_task, toy_settings, photographs):
    _, settings = imc_task()
    added = Manipulations([Manipulation("Darken", "tone", darken, (5, 10), uses=("forgeries",))])
    task = ImcTask(settings, photographs[:2], photographs[2:], None, {}, toy_settings, added)
    assert task.network.imc_head.linear.out_features == 385


def test_the_balance_is_that_of_training_only(imc_task):
    by_class, _ = imc_task()
    by_family, _ = imc_task(balance="families")
    assert by_family.samples.balance == "families"
    np.testing.assert_array_equal(by_family.held_out_samples[0][0], by_class.held_out_samples[0][0])
    assert any(not np.array_equal(by_family.samples[n][2], by_class.samples[n][2]) for n in range(3))


def test_a_checkpoint_draws_who_is_taken_for_whom(imc_task, tmp_path):
    task, settings = imc_task(steps=1)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    for name in ("families", "types"):
        with Image.open(tmp_path / "run" / f"confusion-{name}" / "step-000000001.png") as picture:
            assert picture.mode == "RGB"
            assert min(picture.size) > 200
    log = (tmp_path / "run" / "log.csv").read_text("utf-8")
    assert "held_out,class_top5_accuracy," in log


@pytest.fixture
def rcnn_task(photographs):
    """The same tiny task for Constrained R-CNN's backbone."""

    def make(start=None, shape=TOY, **changes):
        values = {
            "steps": 4, "batch_size": 2, "crop_px": 32, "work_px": 48, "held_out_crops": 4, "learning_rate": 1e-3,
            "warmup_steps": 2, "log_steps": 1, "workers": 0, **changes,
        }  # fmt: skip
        settings = RcnnImcSettings(**values)
        return ImcTask(settings, photographs[:2], photographs[2:], start, {}, shape), settings

    return make


def test_the_backbone_of_constrained_rcnn_learns_and_fits_into_the_detector(rcnn_task, tmp_path):
    task, settings = rcnn_task(steps=1)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    model = json.loads((tmp_path / "run" / "model.json").read_text("utf-8"))
    assert model["model"] == "constrained-rcnn-imc"
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    detector = ConstrainedRCNN(TOY)
    start_from(detector, weights)
    task.network.load_state_dict(weights)
    task.network.eval()
    image = torch.rand(1, 3, 32, 48)
    learned = task.network.trace_features(image)
    _, frozen = detector.backbone(detector.residual(image * 2 - 1))
    assert frozen.std() > 0
    torch.testing.assert_close(frozen, learned, rtol=1e-4, atol=1e-5)


def test_batch_norm_is_learned_and_the_filters_stay_constrained(rcnn_task, tmp_path):
    task, settings = rcnn_task()
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    train(task, settings, tmp_path / "run", accelerator="cpu")
    after = task.network.state_dict()
    for name in (
        "backbone.conv1.norm.running_mean",
        "backbone.conv1.norm.weight",
        "constrained_conv.raw_kernel",
    ):
        assert not torch.equal(before[name], after[name]), name
    kernel = task.network.constrained_conv.kernel.detach()
    torch.testing.assert_close(kernel.sum(dim=(2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(kernel[:, :, 2, 2], -torch.ones(3, 3))


def test_quarters_are_told_apart_by_the_cells_inside_them(rcnn_task):
    task, _ = rcnn_task(regions=4, crop_px=64, work_px=64)
    image, regions, truth = task.samples[0]
    loss, _ = task.network(*(torch.as_tensor(array)[None] for array in (image, regions, truth)))
    assert truth.shape == (4,)
    assert torch.isfinite(loss)


def test_a_start_of_another_width_is_one_sentence(rcnn_task):
    other = ConstrainedRCNN(dataclasses.replace(TOY, stem_width=TOY.stem_width * 2)).state_dict()
    with pytest.raises(ConfigError, match="choose the --network"):
        rcnn_task(start=other)


def test_a_crop_is_whole_cells(rcnn_task):
    with pytest.raises(ConfigError, match="multiple of 16"):
        rcnn_task(crop_px=40)
