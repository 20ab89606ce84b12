"""Checkpoints: everything a run needs to go on as if it had never stopped, written whole or not at all.

A checkpoint is a folder of safetensors and JSON files; nothing is ever unpickled. It is written under a temporary
name and renamed when complete, and the older ones are removed only then.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from doctored.core.errors import CheckpointError, ConfigError
from doctored.core.json_text import parse_json

_KEPT = 2


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old content or the new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file so that a reader sees the old content or the new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
    os.replace(partial, path)


def save_checkpoint(
    run: Path,
    *,
    step: int,
    weights: dict[str, torch.Tensor],
    ema: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> Path:
    """Write one checkpoint and the weights that the run exports; remove all checkpoints but the newest two.

    Raises:
        CheckpointError: The disk is full or not writable; what was there before is untouched.
    """
    folder = run / "checkpoints" / f"step-{step:09d}"
    partial = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        tensors, groups = _flatten_optimizer(optimizer)
        write_tensors(partial / "weights.safetensors", weights)
        write_tensors(partial / "ema.safetensors", ema)
        write_tensors(partial / "optimizer.safetensors", tensors)
        write_tensors(partial / "rng.safetensors", {"torch": torch.get_rng_state()})
        write_json(partial / "state.json", {"step": step, "optimizer_groups": groups, **progress})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        write_tensors(run / "weights.safetensors", ema)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"could not write a checkpoint in {run} ({error}); the last good one is untouched: "
            "free some space and continue with --resume"
        ) from error
    for old in _complete_checkpoints(run)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def start_from(network: torch.nn.Module, start: dict[str, torch.Tensor]) -> None:
    """Give a new network those weights of another one that it has a place for; the others stay as they are.

    Raises:
        ConfigError: None has a place, or one is of another shape.
    """
    own = network.state_dict()
    common = start.keys() & own.keys()
    if not common:
        raise ConfigError(
            f"the weights to start from hold none of this network's arrays, such as {next(iter(own))}"
        )
    for name in sorted(common):
        if start[name].shape != own[name].shape:
            raise ConfigError(
                f"the weights to start from hold {name} in the shape {tuple(start[name].shape)}, but the network "
                f"that is trained needs {tuple(own[name].shape)}; choose the --network that they were made for"
            )
    network.load_state_dict(own | {name: start[name] for name in common})


def load_checkpoint(
    run: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Put the newest checkpoint of a run back into a model, an optimiser and torch's random generator.

    Returns:
        The moving average of the weights, and the progress that was saved (step, seconds, samples).

    Raises:
        CheckpointError: There is no checkpoint, or it is damaged, or belongs to another model.
    """
    found = _complete_checkpoints(run)
    if not found:
        raise CheckpointError(f"{run} holds no checkpoint to resume from; start the run without --resume")
    folder = found[-1]
    try:
        state = parse_json((folder / "state.json").read_text(encoding="utf-8"))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        _restore_optimizer(
            optimizer, load_file(folder / "optimizer.safetensors"), state.pop("optimizer_groups")
        )
        torch.set_rng_state(load_file(folder / "rng.safetensors")["torch"])
        return load_file(folder / "ema.safetensors"), state
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {folder} does not fit this run or is damaged ({error}); remove it to resume from "
            "the one before"
        ) from error


def has_checkpoint(run: Path) -> bool:
    """Whether a run can be resumed from more than its beginning."""
    return bool(_complete_checkpoints(run))


def _complete_checkpoints(run: Path) -> list[Path]:
    """Oldest first."""
    folders = (run / "checkpoints").glob("step-*")
    return sorted(folder for folder in folders if folder.suffix != ".partial")


def _flatten_optimizer(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    saved = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in saved["state"].items()
        for name, value in values.items()
    }
    return tensors, saved["param_groups"]


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], groups: list[dict[str, Any]]
) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
