import numpy as np
import torch

from doctored.core.imc_classes import IMC_CLASSES
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.synth.imc385 import Manipulation, Manipulations
from doctored.train.imc import ImcTask, accuracies


def test_accuracies_count_families_types_and_classes_apart():
    box = [c.index for c in IMC_CLASSES if c.type == "BoxBlur"]
    gaussian = next(c.index for c in IMC_CLASSES if c.type == "GaussianBlur")
    noise = next(c.index for c in IMC_CLASSES if c.family == "noise")
    truth = torch.tensor([box[0], box[0], box[0], box[0]])
    guesses = [box[0], box[1], gaussian, noise]  # right; right type; right family; all wrong
    logits = torch.full((4, len(IMC_CLASSES)), -20.0)
    logits[range(4), guesses] = 20.0
    figures = accuracies(logits, truth)
    assert figures["class_accuracy"] == 0.25
    assert figures["type_accuracy"] == 0.5
    assert figures["family_accuracy"] == 0.75


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
    assert set(task.held_out_figures()) == set(figures)
    assert task.description() == {"classes": 388}
