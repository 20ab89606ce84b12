"""The one training loop: batches in order, a step each, and a checkpoint every few minutes."""

import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

import doctored
from doctored.core.errors import CheckpointError, ConfigError, DoctoredError
from doctored.core.json_text import parse_json
from doctored.data.licences import LICENCE_FILE
from doctored.data.resumable_folder import difference
from doctored.train.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint, write_json
from doctored.train.curriculum import Curriculum
from doctored.train.freed_memory import keep_freed_memory
from doctored.train.run_log import RunLog
from doctored.train.settings import LoopSettings

# How long a run goes on, what it reports and how fast it is; all else decides what a step makes of the weights.
_MAY_CHANGE = frozenset({"steps", "checkpoint_minutes", "log_steps", "workers", "held_out_crops"})


class Samples(Protocol):
    """Training samples by number, without an end.

    Sample number n is the same whenever and wherever it is made, so a resumed run sees what an uninterrupted
    one would have seen.
    """

    def __getitem__(self, number: int, /) -> tuple[Any, ...]: ...


@dataclass(frozen=True)
class HeldOut:
    """What a task says about the network as it stands, on photographs that it never learns from.

    Attributes:
        figures: Scores by name.
        pictures: RGB pictures (H, W, 3) by name, to be looked at.
    """

    figures: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


class Task(Protocol):
    """What a training task brings to the loop.

    Attributes:
        name: Such as "imc".
        network: The module that is trained; its forward takes a batch and gives the loss and figures to log.
        samples: What it learns from.
        curriculum: What decides the mix of the samples as training goes on; None where it stays the same. The
            last array of a batch then names the cell of each sample, and the figures hold "picture_losses".
    """

    name: str

    @property
    def network(self) -> nn.Module: ...

    @property
    def samples(self) -> Samples: ...

    @property
    def curriculum(self) -> Curriculum | None: ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The optimiser's parameter groups; "rate_share" scales the learning rate of a group."""
        ...

    def description(self) -> dict[str, Any]:
        """What was trained and on what, as JSON, for the run's folder; "start" names the weights it started from."""
        ...

    def model_json(self) -> dict[str, Any]:
        """Catalog name and settings of the model whose weights the run exports."""
        ...

    def held_out(self) -> HeldOut:
        """Check the network, as it stands, on photographs that it never learns from."""
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
    nodes: int = 1,
    licence: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train a task until its last step, or until the process is asked to stop (SIGINT, SIGTERM).

    The run's folder receives `run.json`, `model.json`, `log.csv`, `tensorboard/`, the task's pictures,
    `weights.safetensors` (the moving average of the weights, made anew at each checkpoint) and `checkpoints/`.
    Asked to stop, it saves a checkpoint first.

    Until it ends, the process keeps the memory that it frees (`keep_freed_memory`).

    With several processes each takes its own samples and all share their gradients: a step is one of
    batch_size * devices * nodes samples.

    Args:
        run: The folder; new, unless resume is set. Processes of several nodes need to see the same one.
        accelerator: As Lightning Fabric names them: "auto", "cpu", "cuda", "mps".
        devices: Processes per node, one device each.
        nodes: Machines; the same program runs on each of them.
        licence: Note to lay beside the weights of a new run, from `data.licences.licence_note`.

    Raises:
        ConfigError: The folder already holds a run and resume is not set, or it holds another one, or one of
            other settings, another start or another number of processes; or a curriculum is to be shared among
            processes.
        CheckpointError: A checkpoint cannot be read or written.
        DoctoredError: The loss is no longer a number; the last checkpoint before that is kept.
    """
    # Before any worker is forked: a worker that inherits OpenCV's thread pool waits for threads it does not have.
    cv2.setNumThreads(0)
    keep_freed_memory()
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
    )
    fabric.launch()
    recorded = _open_run_once(fabric, task, settings, run, resume)

    task.network.to(memory_format=torch.channels_last)
    groups = [
        {**group, "lr": settings.learning_rate * group.get("rate_share", 1.0)}
        for group in task.parameter_groups()
    ]
    optimizer: Any = _optimizer(groups, settings)
    network, optimizer = fabric.setup(task.network, optimizer)
    ema = {name: tensor.detach().clone() for name, tensor in task.network.state_dict().items()}
    progress: dict[str, Any] = {"step": 0, "seconds": 0.0}
    # A process that was killed before its first checkpoint has done nothing that could be gone on with.
    if resume and has_checkpoint(run):
        average, progress = load_checkpoint(run, task.network, optimizer.optimizer)
        ema = {name: tensor.to(ema[name].device) for name, tensor in average.items()}
        _check_processes(progress.get("processes", 1), fabric.world_size)
        if task.curriculum is not None and progress.get("curriculum") is not None:
            task.curriculum.restore(progress["curriculum"])
    if fabric.is_global_zero:
        _describe_run(task, settings, run, licence, recorded)

    step = progress["step"]
    started = time.monotonic() - progress["seconds"]
    saved_at = logged_at = time.monotonic()
    logged_step = step
    samples_per_step = settings.batch_size * fabric.world_size
    log = RunLog(run, step) if fabric.is_global_zero else None

    def save() -> None:
        if log is not None:
            seconds = time.monotonic() - started
            with _evaluated_with(task.network, ema):
                held_out = task.held_out()
            log.figures(step, seconds, step * samples_per_step, "held_out", held_out.figures)
            log.pictures(step, held_out.pictures)
            save_checkpoint(
                run,
                step=step,
                weights=task.network.state_dict(),
                ema=ema,
                optimizer=optimizer.optimizer,
                progress={
                    "seconds": seconds,
                    "settings": settings.to_json(),
                    "processes": fabric.world_size,
                    "curriculum": None if task.curriculum is None else task.curriculum.state(),
                },
            )
        fabric.barrier()

    network.train()
    stopping = False
    with _stop_requests() as stop_requested, _workers_ended():
        while step < settings.steps and not stopping:
            round_end = _round_end(task.curriculum, step, settings.steps)
            numbers = _SampleNumbers(
                range(step, round_end), settings.batch_size, fabric.global_rank, fabric.world_size
            )
            for batch in batches(task.samples, numbers, settings.batch_size, settings.workers):
                _set_rate(optimizer, settings, step)
                # What a network draws at random depends on the step alone, so that a resumed run draws the same.
                torch.manual_seed(
                    int(np.random.default_rng((settings.seed, step, fabric.global_rank)).integers(2**63))
                )
                loss, figures = network(*fabric.to_device(batch))
                # Of all processes, so that none of them goes on alone.
                mean_loss = fabric.all_reduce(loss.detach(), reduce_op="mean")
                if not torch.isfinite(mean_loss):
                    raise DoctoredError(
                        f"the loss became {mean_loss.item()} at step {step}; nothing after the last checkpoint was "
                        "saved: start another run from this one with a lower learning rate"
                    )
                fabric.backward(loss)
                if settings.clip_norm:
                    fabric.clip_gradients(network, optimizer, max_norm=settings.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                # A young average follows closely, so that it is never dominated by the random start.
                _update_ema(ema, task.network, min(settings.ema_decay, (1 + step) / (10 + step)))
                if task.curriculum is not None:
                    task.curriculum.observe(batch[-1], figures.pop("picture_losses"))
                    if step == round_end:
                        task.curriculum.end_round()

                now = time.monotonic()
                if step % settings.log_steps == 0 or step == settings.steps:
                    rate = (step - logged_step) / max(now - logged_at, 1e-9)
                    logged_at, logged_step = now, step
                    shown = {
                        "loss": mean_loss.item(),
                        **{name: float(value) for name, value in figures.items()},
                    }
                    if log is not None:
                        log.figures(step, now - started, step * samples_per_step, "train", shown)
                    if on_progress is not None and log is not None:
                        left = (settings.steps - step) / rate
                        on_progress(Progress(step, settings.steps, rate * samples_per_step, left, shown))
                stopping, due = _in_any_process(
                    fabric, stop_requested(), now - saved_at > settings.checkpoint_minutes * 60
                )
                if stopping:
                    break
                if due and step < settings.steps:
                    save()
                    saved_at = logged_at = time.monotonic()
                    logged_step = step
        save()
    if log is not None:
        log.close()


def _open_run_once(
    fabric: Fabric, task: Task, settings: LoopSettings, run: Path, resume: bool
) -> dict[str, Any]:
    """Let one process open the run; what it finds wrong stops all of them, so that none waits for the others.

    Returns:
        What the run says of itself, in that one process; nothing of a new one.
    """
    problem: DoctoredError | None = None
    recorded: dict[str, Any] = {}
    if task.curriculum is not None and fabric.world_size > 1:
        raise ConfigError(
            f"the curriculum follows the losses of one process, not of {fabric.world_size}; "
            "leave curriculum out, or train on one device"
        )
    if fabric.is_global_zero:
        try:
            recorded = _open_run(task, settings, run, resume)
        except DoctoredError as error:
            problem = error
    problem = fabric.broadcast(problem)
    if problem is not None:
        raise problem
    return recorded


def _check_processes(saved: int, present: int) -> None:
    if saved != present:
        raise ConfigError(
            f"the run was trained by {saved} process{'es' if saved > 1 else ''}, not {present}, and would see other "
            "samples; resume it with the same --devices and --nodes"
        )


def _round_end(curriculum: Curriculum | None, step: int, steps: int) -> int:
    """The step at which the mix of the samples may change next."""
    if curriculum is None:
        return steps
    return min(steps, (step // curriculum.round_steps + 1) * curriculum.round_steps)


def _in_any_process(fabric: Fabric, *conditions: bool) -> list[bool]:
    """Whether each condition holds in any process, so that all of them do the same next."""
    if fabric.world_size == 1:
        return list(conditions)
    flags = torch.tensor(conditions, dtype=torch.float32, device=fabric.device)
    return [bool(count > 0) for count in fabric.all_reduce(flags, reduce_op="sum")]


def _open_run(task: Task, settings: LoopSettings, run: Path, resume: bool) -> dict[str, Any]:
    recorded: dict[str, Any] = {}
    if resume:
        recorded = _recorded(run)
        if recorded["task"] != task.name:
            raise ConfigError(
                f"{run} is a run of 'train {recorded['task']}'; resume it with that command, not 'train {task.name}'"
            )
        _check_settings(run, recorded["settings"], settings)
        _check_start(run, recorded, task.description().get("start"))
    elif run.exists() and any(path.suffix != ".partial" for path in run.iterdir()):
        raise ConfigError(
            f"{run} already holds something; continue it with --resume, or give another --output"
        )
    run.mkdir(parents=True, exist_ok=True)
    return recorded


def _recorded(run: Path) -> dict[str, Any]:
    """What a run says of itself."""
    path = run / "run.json"
    if not path.is_file():
        raise CheckpointError(f"{run} holds no run to resume; start it without --resume")
    try:
        recorded = parse_json(path.read_bytes())
        if not (isinstance(recorded["task"], str) and isinstance(recorded["settings"], dict)):
            raise TypeError("its task or its settings are something else")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error!r}), so the run cannot be resumed; start another one from its weights"
        ) from error
    return cast("dict[str, Any]", recorded)


def _check_settings(run: Path, recorded: dict[str, Any], settings: LoopSettings) -> None:
    """Refuse to go on with other settings; those that the run's version did not know are taken as they are now."""
    now = settings.to_json()
    names = (now.keys() & recorded.keys()) - _MAY_CHANGE
    earlier, wanted = ({name: values[name] for name in now if name in names} for values in (recorded, now))
    if earlier != wanted:
        raise ConfigError(
            f"{run} was begun with other settings ({difference(earlier, wanted)}); resume it with those, or start "
            "another run from it"
        )


def _check_start(run: Path, recorded: dict[str, Any], start: str | None) -> None:
    """Refuse to go on from other weights than the run began with."""
    begun = recorded.get("start")
    if start is not None and "start" in recorded and start != begun:
        raise ConfigError(
            f"{run} was begun from {begun or 'random weights'}, not from {start}; resume it without --start"
        )
    if start is None and begun is not None and not has_checkpoint(run):
        raise ConfigError(
            f"{run} has no checkpoint yet; resume it with the --start {begun} that it was begun with"
        )


def _describe_run(
    task: Task, settings: LoopSettings, run: Path, licence: str | None, recorded: dict[str, Any]
) -> None:
    """Write what is trained on what; only once nothing can be refused any more, since it replaces what is there."""
    # A run that goes on need not be told again what it started from, so the note of its beginning stays.
    if licence is not None and not (run / LICENCE_FILE).exists():
        (run / LICENCE_FILE).write_text(licence, encoding="utf-8")
    write_json(
        run / "run.json",
        {
            "task": task.name,
            "version": doctored.__version__,
            "settings": settings.to_json(),
            **task.description(),
            **{name: value for name, value in recorded.items() if name == "start"},
        },
    )
    write_json(run / "model.json", {**task.model_json(), "version": doctored.__version__})


def batches(samples: Samples, numbers: Iterable[int], batch_size: int, workers: int = 0) -> DataLoader[Any]:
    """The samples of some numbers, in their order, stacked into batches."""
    # DataLoader only ever indexes its data set; the numbers decide how many samples there are.
    dataset = cast("Dataset[Any]", samples)
    return DataLoader(dataset, batch_size, sampler=numbers, num_workers=workers, worker_init_fn=_calm_worker)


class _SampleNumbers:
    """The numbers of the samples of some steps, in order; each process takes its share of a step."""

    def __init__(self, steps: range, batch_size: int, rank: int, world_size: int) -> None:
        self.steps, self.batch_size, self.rank, self.world_size = steps, batch_size, rank, world_size

    def __iter__(self) -> Iterator[int]:
        for step in self.steps:
            first = (step * self.world_size + self.rank) * self.batch_size
            yield from range(first, first + self.batch_size)

    def __len__(self) -> int:
        return len(self.steps) * self.batch_size


def _calm_worker(_: int) -> None:
    # Each worker is one process of several: threads of its own would only fight for the same cores. A stop
    # request often reaches the whole process group; a worker that died of it would look like a crash.
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _workers_ended() -> Iterator[None]:
    """Let an error out without the loader that it was raised in.

    The error's traceback holds the loader's iterator, and only when that is gone do its workers end. At the end of the
    program they would be waited for without end, since they ignore requests to stop.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


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


def _optimizer(groups: list[dict[str, Any]], settings: LoopSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def _set_rate(optimizer: Any, settings: LoopSettings, step: int) -> None:
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    done = min(1.0, max(0, step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps))
    share = settings.final_rate_share
    cosine = share + (1 - share) * 0.5 * (1 + math.cos(math.pi * done))
    drops = 0.1 ** sum(step >= drop for drop in settings.rate_drops)
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * group.get("rate_share", 1.0) * warm * cosine * drops


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
