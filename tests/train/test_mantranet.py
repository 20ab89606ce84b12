import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from doctored.core.forgery import Source
from doctored.train.loop import train
from doctored.train.mantranet import MantranetTask, localization_loss
from doctored.train.settings import MantranetSettings


def nll(logit, manipulated):
    return math.log(1 + math.exp(-logit if manipulated else logit))


def test_the_loss_of_a_forged_picture_balances_the_classes_by_hand():
    logits = torch.tensor([[[2.0, -1.0, 0.5, 3.0]]])
    gt_mask = torch.tensor([[[True, False, False, False]]])
    ignore = torch.tensor([[[False, False, False, True]]])
    expected = 0.5 * nll(2.0, True) + 0.5 * (nll(-1.0, False) + nll(0.5, False)) / 2
    assert localization_loss(logits, gt_mask, ignore).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_an_authentic_picture_is_the_plain_mean_by_hand():
    logits = torch.tensor([[[2.0, -1.0]]])
    nothing = torch.zeros(1, 1, 2, dtype=torch.bool)
    expected = (nll(2.0, False) + nll(-1.0, False)) / 2
    assert localization_loss(logits, nothing, nothing).item() == pytest.approx(expected, abs=1e-6)


def test_every_picture_of_a_batch_counts_the_same():
    logits = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    gt_mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    gt_mask[0, :2, :2] = True
    nothing = torch.zeros_like(gt_mask)
    singles = [localization_loss(logits[i : i + 1], gt_mask[i : i + 1], nothing[i : i + 1]) for i in range(2)]
    assert localization_loss(logits, gt_mask, nothing).item() == pytest.approx(sum(singles).item() / 2)


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


def test_the_constraints_hold_after_every_step(mantranet_task, tmp_path):
    task, settings = mantranet_task(extractor="full", steps=3, learning_rate=0.05)

    def check(_):
        kernel = task.network.imtfe.b1c1.constrained.kernel
        torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.zeros(3, 3), atol=1e-4, rtol=0)
        assert torch.equal(kernel[..., 2, 2], -torch.ones(3, 3))
        norms = task.network.ladn.adaptation.kernel.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert (task.network.ladn.min_std >= 0).all()

    train(task, settings, tmp_path / "run", accelerator="cpu", on_progress=check)


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
