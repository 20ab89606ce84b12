import math
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from doctored.core.forgery import Source
from doctored.synth.forge import make_forgery
from doctored.train.loop import train
from doctored.train.mantranet import MantranetTask, ManTraNetTraining, picture_losses
from doctored.train.settings import MantranetSettings


def nll(logit, manipulated):
    return math.log(1 + math.exp(-logit if manipulated else logit))


def test_the_loss_of_a_forged_picture_balances_the_classes_by_hand():
    logits = torch.tensor([[[2.0, -1.0, 0.5, 3.0]]])
    gt_mask = torch.tensor([[[True, False, False, False]]])
    ignore = torch.tensor([[[False, False, False, True]]])
    expected = 0.5 * nll(2.0, True) + 0.5 * (nll(-1.0, False) + nll(0.5, False)) / 2
    assert picture_losses(logits, gt_mask, ignore).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_an_authentic_picture_is_the_plain_mean_by_hand():
    logits = torch.tensor([[[2.0, -1.0]]])
    nothing = torch.zeros(1, 1, 2, dtype=torch.bool)
    expected = (nll(2.0, False) + nll(-1.0, False)) / 2
    assert picture_losses(logits, nothing, nothing).item() == pytest.approx(expected, abs=1e-6)


def test_every_picture_of_a_batch_counts_the_same():
    logits = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    gt_mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    gt_mask[0, :2, :2] = True
    nothing = torch.zeros_like(gt_mask)
    singles = [picture_losses(logits[i : i + 1], gt_mask[i : i + 1], nothing[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(picture_losses(logits, gt_mask, nothing), torch.cat(singles))


@pytest.fixture
def mantranet_task(toy_settings):
    rng = np.random.default_rng(1)
    large = [
        np.clip(
            np.kron(rng.uniform(20, 235, (30, 30, 3)), np.ones((32, 32, 1)))
            + rng.normal(0, 4, (960, 960, 3)),
            0,
            255,
        )
        for _ in range(3)
    ]
    photographs = [Source(str(number), "", picture.astype(np.uint8)) for number, picture in enumerate(large)]

    def make(start=None, **changes):
        values = {
            "steps": 1,
            "batch_size": 2,
            "crop_px": 64,
            "extractor": "frozen",
            "workers": 0,
            "log_steps": 1,
            "warmup_steps": 0,
            "learning_rate": 1e-3,
            **changes,
        }
        settings = MantranetSettings(**values)
        return MantranetTask(settings, photographs, photographs, start, {}, toy_settings), settings

    return make


@pytest.mark.parametrize(
    ("extractor", "moving"),
    [("frozen", ()), ("low_rate", ("imtfe.b4c2", "imtfe.transform")), ("full", ("imtfe.b1c1", "imtfe.b4c2"))],
)
def test_only_the_chosen_parts_learn(mantranet_task, tmp_path, extractor, moving):
    task, settings = mantranet_task(extractor=extractor)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    train(task, settings, tmp_path / "run", accelerator="cpu")
    after = task.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("ladn.") for name in changed)
    for part in ("imtfe.b1c1", "imtfe.b4c1", "imtfe.b4c2", "imtfe.transform"):
        expected = part in moving or (extractor == "full" and part.startswith("imtfe."))
        assert any(name.startswith(part) for name in changed) == expected, part


def test_the_constraints_hold_after_every_step(mantranet_task, toy_settings, tmp_path):
    task, settings = mantranet_task(extractor="full", steps=3, learning_rate=0.05)

    def check(_, network=task.network):
        kernel = network.imtfe.b1c1.constrained.kernel
        torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.zeros(3, 3), atol=1e-4, rtol=0)
        assert torch.equal(kernel[..., 2, 2], -torch.ones(3, 3))
        norms = network.ladn.adaptation.kernel.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert (network.ladn.min_std >= 0).all()

    train(task, settings, tmp_path / "run", accelerator="cpu", on_progress=check)
    exported = ManTraNetTraining(toy_settings)
    exported.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    check(None, exported)


def test_stage_one_hands_its_extractor_over(mantranet_task, imc_task, tmp_path):
    task, settings = imc_task(steps=1)
    train(task, settings, tmp_path / "imc", accelerator="cpu")
    start = load_file(tmp_path / "imc" / "weights.safetensors")
    stage_two, _ = mantranet_task(start=start)
    own = stage_two.network.state_dict()
    shared = [name for name in start if name.startswith("imtfe.")]
    assert shared
    assert all(torch.equal(own[name], start[name]) for name in shared)


def test_the_source_of_a_copy_move_is_ignored(mantranet_task):
    task, _ = mantranet_task()
    for number in range(60):
        _, gt_mask, ignore = task.samples[number]
        assert not (gt_mask & ignore).any()
        if ignore.any():
            return
    pytest.fail("no copy-move among 60 samples")


def test_it_learns_from_the_chosen_kinds_only(mantranet_task):
    task, _ = mantranet_task(kinds=("authentic",))
    assert not any(task.samples[number][1].any() for number in range(20))


@pytest.mark.parametrize("curriculum", [False, True])
def test_it_learns_from_the_chosen_domains_only(mantranet_task, monkeypatch, curriculum):
    drawn = []

    def noted(recipe, host, donor):
        drawn.append(recipe.domain)
        return make_forgery(recipe, host, donor)

    monkeypatch.setattr("doctored.data.forgery_stream.make_forgery", noted)
    task, _ = mantranet_task(domains=("chain", "lossless"), curriculum=curriculum)
    for samples in (task.samples, task.held_out_samples):
        drawn.clear()
        for number in range(30):
            samples[number]
        assert set(drawn) == {"chain", "lossless"}


def test_a_shifted_crop_gives_a_shifted_map(toy_settings):
    """No network may know where in the picture it looks: the same content elsewhere gets the same answer.

    Away from the borders a map moves with its content to within 0.01; the rest is the mean and deviation of the
    whole crop, which are not quite the same any more.
    """
    torch.manual_seed(0)
    network = ManTraNetTraining(toy_settings).eval()
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.uniform(20, 235, (30, 30, 3)), np.ones((8, 8, 1)))
    picture = np.clip(blocks + rng.normal(0, 4, blocks.shape), 0, 255).astype(np.uint8)
    border = toy_settings.feature_halo_px + toy_settings.anomaly_halo_px
    with torch.inference_mode():
        maps = [
            network.logits(torch.as_tensor(picture[first : first + 208, first : first + 208])[None])[
                0
            ].sigmoid()
            for first in (0, 16)
        ]
    inside = slice(16 + border, 208 - border)
    shifted = slice(border, 208 - 16 - border)
    here, there = maps[0][inside, inside], maps[1][shifted, shifted]
    assert (here - there).abs().max() < 0.01
    assert (here - maps[1][inside, inside]).abs().max() > 0.1  # the map is not simply the same everywhere


def test_a_curriculum_is_resumed_to_the_same_losses(mantranet_task, tmp_path):
    changes = {"curriculum": True, "curriculum_steps": 3, "steps": 8}
    task, settings = mantranet_task(**changes)
    train(task, settings, tmp_path / "whole", accelerator="cpu")
    assert not np.allclose(task.curriculum.shares, mantranet_task(**changes)[0].curriculum.shares)
    # Stopped within a round, and at the end of one.
    for stop in (4, 6):
        run = tmp_path / str(stop)

        def ask_to_stop(progress, stop=stop):
            if progress.step == stop:
                os.kill(os.getpid(), signal.SIGTERM)

        train(*mantranet_task(**changes), run, accelerator="cpu", on_progress=ask_to_stop)
        train(*mantranet_task(**changes), run, resume=True, accelerator="cpu")
        ends = [load_file(path / "weights.safetensors") for path in (run, tmp_path / "whole")]
        assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_checkpoint_shows_what_the_network_makes_of_held_out_forgeries(mantranet_task, tmp_path):
    task, settings = mantranet_task()
    train(task, settings, tmp_path / "run", accelerator="cpu")
    with Image.open(tmp_path / "run" / "samples" / "step-000000001.png") as sheet:
        shown = np.asarray(sheet)
    assert shown.shape == (6 * 68, 3 * 68, 3)
    image, gt_mask, _ = next(
        sample for sample in (task.held_out_samples[n] for n in range(64)) if sample[1].any()
    )
    np.testing.assert_array_equal(shown[:64, :64], image)
    np.testing.assert_array_equal(shown[:64, 68:132, 0] > 127, gt_mask)
    log = (tmp_path / "run" / "log.csv").read_text("utf-8")
    assert "held_out,pixel_auc," in log
