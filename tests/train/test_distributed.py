"""Two processes that share a step learn what one process learns from the joint batch."""

import os
import runpy
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

PROGRAM = """
import sys
from pathlib import Path
import numpy as np, torch
from doctored.core.forgery import Source
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.imc import ImcTask
from doctored.train.loop import train
from doctored.train.mantranet import MantranetTask
from doctored.train.settings import ImcSettings, MantranetSettings

stage, folder, devices = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
rng = np.random.default_rng(0)
photographs = [rng.integers(0, 256, (200, 200, 3)).astype(np.uint8) for _ in range(3)]
shape = ManTraNetSettings(13, (4, 4, 4, 4, 4), 8, False, 4, (7, 15, 31), 2)
common = dict(
    steps=3, batch_size=4 // devices, held_out_crops=2, warmup_steps=0,
    learning_rate=1e-3, log_steps=1, workers=0, clip_norm=1e-3, ema_decay=0.0,
)
if stage == "imc":
    settings = ImcSettings(crop_px=32, work_px=40, regions=4, **common)
    task = ImcTask(settings, photographs[:2], photographs[2:], None, {}, shape)
else:
    sources = [Source(str(number), "", pixels) for number, pixels in enumerate(photographs)]
    settings = MantranetSettings(crop_px=64, extractor="full", **common)
    task = MantranetTask(settings, sources, sources, None, {}, shape)
if devices == 2:
    torch.manual_seed(1)  # what a process draws apart from its task must not matter
train(task, settings, folder, accelerator="cpu", devices=devices)
"""


def program(folder):
    path = folder / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return str(path)


def weights(run):
    return load_file(run / "checkpoints" / "step-000000003" / "weights.safetensors")


def alone(stage, folder, monkeypatch):
    run = folder / "alone"
    monkeypatch.setattr(sys, "argv", ["program.py", stage, str(run), "1"])
    runpy.run_path(program(folder))
    return weights(run)


def together(stage, folder):
    run = folder / "together"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    done = subprocess.run(
        [sys.executable, program(folder), stage, str(run), "2"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return weights(run)


@pytest.mark.skipif(
    sys.platform != "linux", reason="gloo over the loopback device is only sure to work on Linux"
)
@pytest.mark.parametrize("stage", ["imc", "mantranet"])
def test_two_processes_learn_what_one_does_from_the_joint_batch(stage, tmp_path, monkeypatch):
    one, two = alone(stage, tmp_path, monkeypatch), together(stage, tmp_path)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)
    log = (tmp_path / "together" / "log.csv").read_text("utf-8")
    assert log.count("train,loss") == 3
    assert "12,train,loss" in log  # samples of both processes
