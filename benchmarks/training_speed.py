"""Throughput of a network's training stages, against the same network on fixed batches that lie in memory.

    python benchmarks/training_speed.py photos                               # 2 x 40 steps of each, preset cpu
    python benchmarks/training_speed.py photos --network constrained-rcnn-small
    python benchmarks/training_speed.py photos --preset paper --workers 8 --device cuda

Both figures come from the loop that `doctored train` runs; only the samples differ: made on the fly by the loop's
worker processes, or the first ones of them again and again without any worker. They take turns, so that a
neighbour on the same machine slows both; each figure is the median over the rounds, of the second half of the steps.
A share of 1 means that making samples costs nothing.

The share of the peak: the operations of matrix products and convolutions, forward and backward, that the samples from
memory took in a second, over those of a large convolution in the preset's precision on the same device.
"""

import argparse
import dataclasses
import functools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch.utils.data import default_collate
from torch.utils.flop_counter import FlopCounterMode

from doctored.data.forgery_stream import ForgeryStream
from doctored.data.photograph_pool import build_pool
from doctored.data.photographs import list_photographs, read_photographs
from doctored.data.region_samples import GeneratedSamples
from doctored.models.constrained_rcnn import settings as constrained_rcnn
from doctored.models.mantranet import settings as mantranet
from doctored.synth.histories import smallest_side_px
from doctored.train.constrained_rcnn import ConstrainedRCNNTask
from doctored.train.imc import ImcTask
from doctored.train.loop import Progress, Samples, train
from doctored.train.mantranet import MantranetTask
from doctored.train.settings import (
    ImcSettings,
    LoopSettings,
    MantranetSettings,
    RcnnImcSettings,
    RcnnSettings,
    RcnnStage1Settings,
)

PEAK_CHANNELS, PEAK_PX, PEAK_RUNS = 128, 128, 20

NETWORKS = mantranet.NETWORKS | constrained_rcnn.NETWORKS


class Fixed:
    """The first few samples, again and again."""

    def __init__(self, samples: Samples, count: int) -> None:
        self._samples = [samples[number] for number in range(count)]

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        return self._samples[number % len(self._samples)]


def main() -> None:
    options = _options()
    print(f"command: {' '.join([Path(sys.executable).name, *sys.argv])}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"machine: {_processor()}, {cores} of {os.cpu_count()} CPU cores, {torch.get_num_threads()} threads"
    )
    print(f"software: Python {platform.python_version()}, PyTorch {torch.__version__}")
    peaks = {precision: _peak(precision, options.device) for precision in ("fp32", "bf16")}
    print("a large convolution: " + ", ".join(f"{peak / 1e9:.0f} GFLOP/s {p}" for p, peak in peaks.items()))
    print()
    heads = ["stage", "samples/s made on the fly", "from memory", "share", "GFLOP a sample", "share of peak"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    with tempfile.TemporaryDirectory() as temporary:
        for name, make_task in _stages(options, Path(temporary)).items():
            speeds: dict[bool, list[float]] = {True: [], False: []}
            for number in range(options.rounds):
                for fixed in (False, True):
                    run = Path(temporary) / f"{name}-{number}-{fixed}"
                    speeds[fixed].append(_speed(*make_task(), run, fixed, options.device))
            fly, memory = statistics.median(speeds[False]), statistics.median(speeds[True])
            task, settings = make_task()
            flop = _flop_a_sample(task, settings, options.device)
            of_peak = flop * memory / peaks[settings.precision]
            cells = [
                f"{fly:.2f}",
                f"{memory:.2f}",
                f"{fly / memory:.2f}",
                f"{flop / 1e9:.1f}",
                f"{of_peak:.2f}",
            ]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=40, help="how many of the photographs to use")
    parser.add_argument("--network", choices=NETWORKS, default="mantranet", help="shape of the network")
    parser.add_argument("--preset", choices=("paper", "cpu"), default="cpu")
    parser.add_argument("--workers", type=int, help="worker processes, instead of the preset's")
    parser.add_argument("--steps", type=int, default=40, help="optimiser steps of each run")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each kind")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _stages(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], tuple[Any, Any]]]:
    """By name: what makes a new task and its settings."""
    changes: dict[str, Any] = {"steps": options.steps, "log_steps": options.steps // 2, "held_out_crops": 0}
    if options.workers is not None:
        changes["workers"] = options.workers

    def settings(kind: type[Any]) -> Any:
        chosen: LoopSettings = getattr(kind, options.preset)()
        return dataclasses.replace(chosen, **changes)

    shape = NETWORKS[options.network]
    of_mantranet = isinstance(shape, mantranet.ManTraNetSettings)
    imc = settings(ImcSettings if of_mantranet else RcnnImcSettings)
    photographs = list_photographs(options.photos)[: options.count]
    pixels = list(read_photographs(photographs, min_side_px=imc.work_px)[0].values())

    def stage_one() -> tuple[ImcTask, ImcSettings]:
        return ImcTask(imc, pixels, pixels, None, {}, shape), imc

    if of_mantranet:
        whole = settings(MantranetSettings)
        pool, _ = build_pool(photographs, folder / "pool", min_side_px=smallest_side_px(whole.crop_px))

        def stage_two() -> tuple[MantranetTask, MantranetSettings]:
            return MantranetTask(whole, pool, pool, None, {}, shape), whole

        return {"train imc": stage_one, "train mantranet": stage_two}

    detectors = {"1": settings(RcnnStage1Settings), "full": settings(RcnnSettings)}
    size_px = detectors["1"].crop_px
    pool, _ = build_pool(photographs, folder / "pool", min_side_px=smallest_side_px(size_px))

    def detector(stage: str) -> tuple[ConstrainedRCNNTask, RcnnSettings]:
        samples = GeneratedSamples(ForgeryStream(pool, size_px, 0))
        staged = dataclasses.replace(shape, mask_stage=stage == "full")
        return ConstrainedRCNNTask(detectors[stage], samples, samples, None, {}, staged), detectors[stage]

    return {"train imc": stage_one} | {
        f"train constrained-rcnn --stage {stage}": functools.partial(detector, stage) for stage in detectors
    }


def _speed(task: Any, settings: Any, run: Path, fixed: bool, device: str) -> float:
    if fixed:
        task.samples = Fixed(task.samples, 2 * settings.batch_size)
        settings = dataclasses.replace(settings, workers=0)
    seen: list[Progress] = []
    train(task, settings, run, accelerator=device, on_progress=seen.append)
    return seen[-1].samples_per_second


def _flop_a_sample(task: Any, settings: Any, device: str) -> float:
    """Of matrix products and convolutions, forward and backward."""
    fabric = Fabric(
        accelerator=device, devices=1, precision="bf16-mixed" if settings.precision == "bf16" else "32-true"
    )
    task.parameter_groups()  # freezes what the settings leave as it is
    network = fabric.setup_module(task.network).train()
    batch = default_collate([task.samples[number] for number in range(settings.batch_size)])
    with FlopCounterMode(display=False) as counter:
        loss, _ = network(*fabric.to_device(batch))
        fabric.backward(loss)
    return counter.get_total_flops() / settings.batch_size


def _peak(precision: str, device: str) -> float:
    """Operations a second of a 3 x 3 convolution of many channels, which leaves memory little to hold up."""
    fabric = Fabric(accelerator=device, devices=1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    picture, kernel = (
        torch.randn(shape, device=fabric.device).to(dtype, memory_format=torch.channels_last)
        for shape in ((4, PEAK_CHANNELS, PEAK_PX, PEAK_PX), (PEAK_CHANNELS, PEAK_CHANNELS, 3, 3))
    )
    fastest = float("inf")
    with torch.inference_mode():
        for _ in range(PEAK_RUNS):
            start = time.perf_counter()
            float(F.conv2d(picture, kernel, padding=1)[0, 0, 0, 0])  # waits for the result
            fastest = min(fastest, time.perf_counter() - start)
    return 2 * 4 * PEAK_PX**2 * PEAK_CHANNELS**2 * 9 / fastest


if __name__ == "__main__":
    main()
