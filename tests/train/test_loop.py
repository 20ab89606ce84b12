import csv
import json
import multiprocessing
import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file

from doctored.core.errors import CheckpointError, ConfigError, DoctoredError
from doctored.train import checkpoint, loop
from doctored.train.loop import _set_rate, train
from doctored.train.settings import LoopSettings

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


def losses(run):
    with (run / "log.csv").open() as file:
        return {
            int(row["step"]): float(row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"
        }


def weights(run):
    return load_file(run / "weights.safetensors")


def stop_at(step):
    def on_progress(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_progress


def test_a_stopped_and_resumed_run_is_the_uninterrupted_run(imc_task, tmp_path):
    train(*imc_task(), tmp_path / "whole", accelerator="cpu")

    task, settings = imc_task()
    train(task, settings, tmp_path / "halves", accelerator="cpu", on_progress=stop_at(3))
    assert max(losses(tmp_path / "halves")) == 3
    torch.manual_seed(99)  # a new process would be in any state
    train(*imc_task(), tmp_path / "halves", resume=True, accelerator="cpu")

    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    whole, halves = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_worker_processes_change_nothing(imc_task, tmp_path):
    train(*imc_task(steps=2), tmp_path / "alone", accelerator="cpu")
    train(*imc_task(steps=2, workers=1), tmp_path / "helped", accelerator="cpu")
    assert losses(tmp_path / "alone") == losses(tmp_path / "helped")


def test_the_loss_falls_on_samples_seen_again_and_again(imc_task, tmp_path):
    task, settings = imc_task(steps=40, learning_rate=1e-2)
    one_batch = [task.samples[n] for n in range(2)]
    task.samples = _Repeating(one_batch)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    seen = losses(tmp_path / "run")
    assert seen[40] < 0.8 * seen[1]


class _Repeating:
    def __init__(self, samples):
        self.samples = samples

    def __getitem__(self, number):
        return self.samples[number % len(self.samples)]


def test_the_exported_weights_are_the_moving_average(imc_task, tmp_path):
    task, settings = imc_task(steps=3, ema_decay=0.5)
    expected = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    after = []

    def average(progress):
        # The decay of a young average: min(0.5, (1 + step) / (10 + step)).
        decay = min(0.5, (1 + progress.step) / (10 + progress.step))
        for name, tensor in task.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
        after.append(progress.step)

    train(task, settings, tmp_path / "run", accelerator="cpu", on_progress=average)
    assert after == [1, 2, 3]
    for name, tensor in weights(tmp_path / "run").items():
        torch.testing.assert_close(tensor, expected[name])


def test_a_folder_that_holds_something_is_left_alone(imc_task, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="--resume"):
        train(*imc_task(), tmp_path, accelerator="cpu")
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_resuming_nothing_is_refused(imc_task, tmp_path):
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(*imc_task(), tmp_path, resume=True, accelerator="cpu")


def test_resuming_another_task_is_refused(imc_task, tmp_path):
    task, settings = imc_task(steps=1)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    task, settings = imc_task(steps=1)
    task.name = "mantranet"
    with pytest.raises(ConfigError, match="train imc"):
        train(task, settings, tmp_path / "run", resume=True, accelerator="cpu")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(imc_task, tmp_path):
    task, settings = imc_task(steps=2)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    task, settings = imc_task(steps=5)
    real = task.network.forward

    def broken(*batch):
        loss, figures = real(*batch)
        return loss * float("nan"), figures

    task.network.forward = broken
    with pytest.raises(DoctoredError, match="nan at step 2"):
        train(task, settings, tmp_path / "run", resume=True, accelerator="cpu")
    assert [folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000002"]


def test_a_full_disk_keeps_the_last_good_checkpoint(imc_task, tmp_path, monkeypatch):
    task, settings = imc_task(steps=2)
    train(task, settings, tmp_path / "run", accelerator="cpu")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    task, settings = imc_task(steps=4)
    with pytest.raises(CheckpointError, match="No space left"):
        train(task, settings, tmp_path / "run", resume=True, accelerator="cpu")
    monkeypatch.undo()
    train(*imc_task(steps=4), tmp_path / "run", resume=True, accelerator="cpu")
    assert max(losses(tmp_path / "run")) == 4


def test_a_damaged_checkpoint_is_named(imc_task, tmp_path):
    train(*imc_task(steps=1), tmp_path / "run", accelerator="cpu")
    damaged = tmp_path / "run" / "checkpoints" / "step-000000001" / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="step-000000001"):
        train(*imc_task(steps=2), tmp_path / "run", resume=True, accelerator="cpu")


def test_the_run_describes_itself(imc_task, tmp_path):
    task, settings = imc_task(steps=1)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["task"] == "imc"
    assert run["photographs"] == 2
    assert run["settings"] == settings.to_json()
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert model["settings"]["feature_channels"] == 8


def test_a_refused_resume_leaves_the_description_as_it_was(imc_task, tmp_path):
    train(*imc_task(steps=1), tmp_path / "run", accelerator="cpu")
    names = ("run.json", "model.json")
    before = [(tmp_path / "run" / name).read_bytes() for name in names]
    (tmp_path / "run" / "checkpoints" / "step-000000001" / "ema.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="does not fit this run or is damaged"):
        train(*imc_task(steps=2), tmp_path / "run", resume=True, accelerator="cpu")
    assert [(tmp_path / "run" / name).read_bytes() for name in names] == before


def test_only_the_two_newest_checkpoints_are_kept(imc_task, tmp_path):
    task, settings = imc_task(steps=4, checkpoint_minutes=1e-9)
    train(task, settings, tmp_path / "run", accelerator="cpu")
    kept = sorted(folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-000000003", "step-000000004"]


def test_the_rate_warms_up_and_falls_as_a_cosine(imc_task):
    _, settings = imc_task(steps=102, warmup_steps=2, final_rate_share=0.1, learning_rate=1.0)

    class Optimizer:
        param_groups = [{}, {"rate_share": 0.1}]  # noqa: RUF012

    def rate(step):
        loop._set_rate(Optimizer, settings, step)
        return Optimizer.param_groups[0]["lr"]

    assert rate(0) == pytest.approx(0.5)
    assert rate(2) == pytest.approx(1.0)
    assert rate(52) == pytest.approx(0.55)
    assert rate(102) == pytest.approx(0.1)
    assert Optimizer.param_groups[1]["lr"] == pytest.approx(0.01)


class _Failing:
    """Samples of which one cannot be made."""

    def __init__(self, samples):
        self.samples = samples

    def __getitem__(self, number):
        if number == 5:
            raise ZeroDivisionError("no such sample")
        return self.samples[number]


def test_an_error_in_a_worker_leaves_no_worker_behind(imc_task, tmp_path):
    """They ignore requests to stop, so the program would wait for them at its end without end."""
    task, settings = imc_task(workers=1)
    task.samples = _Failing(task.samples)
    before = set(multiprocessing.active_children())
    with pytest.raises(ZeroDivisionError, match="no such sample") as held:
        train(task, settings, tmp_path / "run", accelerator="cpu")
    assert held.value.__traceback__ is not None  # what keeps the loader alive
    assert set(multiprocessing.active_children()) <= before


def test_rates_fall_where_they_are_told_to():
    settings = LoopSettings(steps=100, warmup_steps=2, learning_rate=1.0, rate_drops=(10, 20))
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "rate_share": 0.5}], lr=9.0)
    rates = []
    for step in (0, 1, 9, 10, 19, 20, 99):
        _set_rate(optimizer, settings, step)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.25, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.5}, r"learning_rate was 0.001, is 0.5\)"),
        ({"batch_size": 1, "seed": 3}, r"batch_size was 2, is 1, seed was 0, is 3\)"),
        ({"regions": 1}, r"regions was 4, is 1\)"),
    ],
)
def test_a_run_is_resumed_with_the_settings_it_began_with(imc_task, tmp_path, changes, words):
    """It took any, and wrote them into the description as if all steps had been made with them."""
    train(*imc_task(steps=1), tmp_path / "run", accelerator="cpu")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="begun with other settings .*" + words):
        train(*imc_task(steps=2, **changes), tmp_path / "run", resume=True, accelerator="cpu")
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    others = {"checkpoint_minutes": 1.0, "log_steps": 2, "held_out_crops": 0, "workers": 1}
    train(*imc_task(steps=2, **others), tmp_path / "run", resume=True, accelerator="cpu")


def test_a_run_of_a_version_with_fewer_settings_is_resumed(imc_task, tmp_path):
    train(*imc_task(steps=1), tmp_path / "run", accelerator="cpu")
    path = tmp_path / "run" / "run.json"
    description = json.loads(path.read_text())
    del description["settings"]["optimizer"]
    path.write_text(json.dumps(description))
    train(*imc_task(steps=2), tmp_path / "run", resume=True, accelerator="cpu")
    assert json.loads(path.read_text())["settings"]["optimizer"] == "adamw"


def test_a_resumed_run_still_says_what_it_was_begun_from(imc_task, tmp_path):
    """Resumed without --start, as the manual says, it said that it had begun from random weights."""
    begun_from = {}

    def run(steps, start, *, resume=True):
        task, settings = imc_task(steps=steps)
        task.source["start"] = start
        train(task, settings, tmp_path / "run", resume=resume, accelerator="cpu")
        begun_from[steps] = json.loads((tmp_path / "run" / "run.json").read_text())["start"]

    run(1, "first", resume=False)
    run(2, None)
    run(3, "first")
    assert begun_from == {1: "first", 2: "first", 3: "first"}
    with pytest.raises(
        ConfigError, match=r"was begun from first, not from second; resume it without --start"
    ):
        run(4, "second")
    for checkpoint_folder in (tmp_path / "run" / "checkpoints").iterdir():
        shutil.rmtree(checkpoint_folder)
    with pytest.raises(ConfigError, match="no checkpoint yet; resume it with the --start first"):
        run(4, None)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"task": "imc"}', b'{"task": 3, "settings": {}}', b"\xff"]
)
def test_a_damaged_description_is_one_sentence(imc_task, tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run\.json is damaged"):
        train(*imc_task(steps=1), tmp_path / "run", resume=True, accelerator="cpu")
