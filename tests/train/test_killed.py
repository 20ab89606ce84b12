"""A run that is killed again and again ends where an undisturbed one does."""

import csv
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

# One process loads PyTorch once and forks a trainer for every attempt; loading it eleven times would take minutes.
PROGRAM = """
import json, os, random, signal, sys, time
from pathlib import Path
import numpy as np, torch
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.imc import ImcTask
from doctored.train.loop import train
from doctored.train.settings import ImcSettings

folder = Path(sys.argv[1])
torch.set_num_threads(1)
rng = np.random.default_rng(0)
photographs = [rng.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(3)]
shape = ManTraNetSettings(13, (4, 4, 4, 4, 4), 8, False, 4, (7, 15, 31), 2)
settings = ImcSettings(
    steps=32, batch_size=2, crop_px=32, work_px=40, regions=4, held_out_crops=0, learning_rate=1e-3,
    warmup_steps=2, log_steps=1, workers=0, checkpoint_minutes=1e-9,
)

def attempt(run):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            torch.rand(os.getpid() % 100)  # every process has drawn something else before
            task = ImcTask(settings, photographs[:2], photographs[2:], None, {}, shape)
            train(task, settings, run, resume=(run / "run.json").exists(), accelerator="cpu")
            status = 0
        finally:
            os._exit(status)
    return pid

started = time.monotonic()
assert os.waitpid(attempt(folder / "whole"), 0)[1] == 0
duration = time.monotonic() - started

def newest():
    return max((int(path.name[5:14]) for path in (folder / "killed").glob("checkpoints/step-*")), default=0)

chance = random.Random(7)
ends = []
for _ in range(10):
    wanted = newest() + chance.randint(0, 2)
    pid = attempt(folder / "killed")
    while newest() < wanted:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, duration / settings.steps))
    os.kill(pid, signal.SIGKILL)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
ends.append(os.waitstatus_to_exitcode(os.waitpid(attempt(folder / "killed"), 0)[1]))
print(json.dumps(ends))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")
def test_ten_kills_at_random_change_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9] * 10 + [0], done.stderr
    whole, killed = (load_file(tmp_path / run / "weights.safetensors") for run in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


def losses(run):
    """Rows of the log but for the time; each step stands there once, also where it was done twice."""
    with (run / "log.csv").open(newline="") as file:
        rows = [(row["step"], row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"]
    assert [int(step) for step, _ in rows] == list(range(1, 33))
    return rows
