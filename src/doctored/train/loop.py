"""The one training loop: batches in order, a step each, and a checkpoint every few minutes."""

import csv
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset

import doctored
from doctored.core.errors import CheckpointError, ConfigError, DoctoredError
from doctored.train.checkpoint import load_checkpoint, save_checkpoint, write_json
from doctored.train.settings import LoopSettings


class Samples(Protocol):
    """Training samples by number, without an end.

    Sample number n is the same whenever and wherever it is made, so a resumed run sees what an uninterrupted
    one would have seen.
    """

    def __getitem__(self, number: int, /) -> tuple[Any, ...]: ...


class Task(Protocol):
    """What a training task brings to the loop.

    Attributes:
        name: Such as "imc".
        network: The module that is trained; its forward takes a batch and gives the loss and figures to log.
        samples: What it learns from.
    """

    name: str

    @property
    def network(self) -> nn.Module: ...

    @property
    def samples(self) -> Samples: ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW's parameter groups; "rate_share" scales the learning rate of a group."""
        ...

    def description(self) -> dict[str, Any]:
        """What was trained and on what, as JSON, for the run's folder."""
        ...

    def model_json(self) -> dict[str, Any]:
        """Catalog name and settings of the model whose weights the run exports."""
        ...

    def held_out_figures(self) -> dict[str, float]:
        """Scores of the network, as it stands, on photographs that it never learns from."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a run stands; given to the caller's `on_progress` with every line of the log."""

    step: int
    steps: int
    samples_per_second: float
    seconds_left: float
    figures: dict[str, float]


def train(
    task: Task,
    settings: LoopSettings,
    run: Path,
    *,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train a task until its last step, or until the process is asked to stop (SIGINT, SIGTERM).

    The run's folder receives `run.json`, `model.json`, `log.csv`, `weights.safetensors` (the moving average of
    the weights, made anew at each checkpoint) and `checkpoints/`. Asked to stop, it saves a checkpoint first.

    Args:
        run: The folder; new, unless resume is set.
        accelerator: As Lightning Fabric names them: "auto", "cpu", "cuda", "mps".
        devices: Processes, one device each.

    Raises:
        ConfigError: The folder already holds a run and resume is not set, or it holds another one.
        CheckpointError: A checkpoint cannot be read or written.
        DoctoredError: The loss is no longer a number; the last checkpoint before that is kept.
    """
    _open_run(task, settings, run, resume)
    # Before any worker is forked: a worker that inherits OpenCV's thread pool waits for threads it does not have.
    cv2.setNumThreads(0)
    precision = "bf16-mixed" if settings.precision == "bf16" else "32-true"
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)
    fabric.launch()

    task.network.to(memory_format=torch.channels_last)
    groups = [
        {**group, "lr": settings.learning_rate * group.get("rate_share", 1.0)}
        for group in task.parameter_groups()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    ema = {name: tensor.detach().clone() for name, tensor in task.network.state_dict().items()}
    progress: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if resume:
        ema, progress = load_checkpoint(run, task.network, optimizer)
    network, optimizer = fabric.setup(task.network, optimizer)

    step = progress["step"]
    started = time.monotonic() - progress["seconds"]
    saved_at = logged_at = time.monotonic()
    logged_step = step
    numbers = _SampleNumbers(step, settings, fabric.global_rank, fabric.world_size)
    loader = batches(task.samples, numbers, settings.batch_size, settings.workers)
    log = _Log(run / "log.csv")

    def save() -> None:
        seconds = time.monotonic() - started
        with _evaluated_with(task.network, ema):
            figures = task.held_out_figures()
        if fabric.is_global_zero:
            log.write(step, seconds, step * settings.batch_size * fabric.world_size, "held_out", figures)
            save_checkpoint(
                run,
                step=step,
                weights=task.network.state_dict(),
                ema=ema,
                optimizer=optimizer.optimizer,
                progress={"seconds": seconds, "settings": settings.to_json()},
            )
        fabric.barrier()

    network.train()
    with _stop_requests() as stop_requested:
        for batch in loader:
            if step >= settings.steps or stop_requested():
                break
            _set_rate(optimizer, settings, step)
            loss, figures = network(*fabric.to_device(batch))
            if not torch.isfinite(loss):
                raise DoctoredError(
                    f"the loss became {loss.item()} at step {step}; nothing after the last checkpoint was saved: "
                    "resume from it with a lower learning rate"
                )
            fabric.backward(loss)
            fabric.clip_gradients(network, optimizer, max_norm=settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            # A young average follows closely, so that it is never dominated by the random start.
            _update_ema(ema, task.network, min(settings.ema_decay, (1 + step) / (10 + step)))

            now = time.monotonic()
            if step % settings.log_steps == 0 or step == settings.steps:
                rate = (step - logged_step) / max(now - logged_at, 1e-9)
                logged_at, logged_step = now, step
                shown = {"loss": loss.item(), **{name: float(value) for name, value in figures.items()}}
                samples_per_step = settings.batch_size * fabric.world_size
                if fabric.is_global_zero:
                    log.write(step, now - started, step * samples_per_step, "train", shown)
                if on_progress is not None and fabric.is_global_zero:
                    left = (settings.steps - step) / rate
                    on_progress(Progress(step, settings.steps, rate * samples_per_step, left, shown))
            if now - saved_at > settings.checkpoint_minutes * 60:
                save()
                saved_at = logged_at = time.monotonic()
                logged_step = step
    save()


def _open_run(task: Task, settings: LoopSettings, run: Path, resume: bool) -> None:
    description = run / "run.json"
    if resume:
        if not description.is_file():
            raise CheckpointError(f"{run} holds no run to resume; start it without --resume")
        saved = json.loads(description.read_text(encoding="utf-8"))["task"]
        if saved != task.name:
            raise ConfigError(
                f"{run} is a run of 'train {saved}'; resume it with that command, not 'train {task.name}'"
            )
    elif run.exists() and any(run.iterdir()):
        raise ConfigError(
            f"{run} already holds something; continue it with --resume, or give another --output"
        )
    run.mkdir(parents=True, exist_ok=True)
    write_json(
        description,
        {
            "task": task.name,
            "version": doctored.__version__,
            "settings": settings.to_json(),
            **task.description(),
        },
    )
    write_json(run / "model.json", {**task.model_json(), "version": doctored.__version__})


def batches(samples: Samples, numbers: Iterable[int], batch_size: int, workers: int = 0) -> DataLoader[Any]:
    """The samples of some numbers, in their order, stacked into batches."""
    # DataLoader only ever indexes its data set; the numbers decide how many samples there are.
    dataset = cast("Dataset[Any]", samples)
    return DataLoader(dataset, batch_size, sampler=numbers, num_workers=workers, worker_init_fn=_calm_worker)


class _SampleNumbers:
    """The numbers of the samples still to be learned from, in order; each process takes its share of a step."""

    def __init__(self, first_step: int, settings: LoopSettings, rank: int, world_size: int) -> None:
        self.first_step, self.settings, self.rank, self.world_size = first_step, settings, rank, world_size

    def __iter__(self) -> Iterator[int]:
        size = self.settings.batch_size
        for step in range(self.first_step, self.settings.steps):
            first = (step * self.world_size + self.rank) * size
            yield from range(first, first + size)

    def __len__(self) -> int:
        return (self.settings.steps - self.first_step) * self.settings.batch_size


def _calm_worker(_: int) -> None:
    # Each worker is one process of several: threads of its own would only fight for the same cores. A stop
    # request often reaches the whole process group; a worker that died of it would look like a crash.
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question that the loop asks after each step."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: requested.set())
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _set_rate(optimizer: Any, settings: LoopSettings, step: int) -> None:
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    done = min(1.0, max(0, step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps))
    share = settings.final_rate_share
    cosine = share + (1 - share) * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * group.get("rate_share", 1.0) * warm * cosine


@torch.no_grad()
def _update_ema(ema: dict[str, torch.Tensor], network: nn.Module, decay: float) -> None:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            ema[name].lerp_(tensor.to(ema[name].device), 1 - decay)
        else:
            ema[name].copy_(tensor)


@contextmanager
def _evaluated_with(network: nn.Module, weights: dict[str, torch.Tensor]) -> Iterator[None]:
    """Lend the averaged weights to the network, in evaluation mode, without gradients."""
    own = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(weights)
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.load_state_dict(own)
        network.train()


class _Log:
    """A CSV file with one row per logged step: step, seconds, samples, kind, name, value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(["step", "seconds", "samples", "kind", "name", "value"])

    def write(self, step: int, seconds: float, samples: int, kind: str, figures: dict[str, float]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            for name, value in figures.items():
                csv.writer(file).writerow([step, f"{seconds:.1f}", samples, kind, name, f"{value:.6g}"])
