import numpy as np
import torch
from PIL import Image

from doctored.models.mantranet.mantranet import ManTraNet
from doctored.synth.imc385 import Manipulation, Manipulations
from doctored.train.imc import ImcTask
from doctored.train.loop import train


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
