"""A run's weights at half the size, for keeping and passing on."""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from doctored.core.errors import CheckpointError, ConfigError
from doctored.data.licences import copy_licence
from doctored.train.checkpoint import write_tensors

# Rounded to bfloat16, filters of prediction errors no longer ignore flat patches, and Z scores lose the small floors.
_KEPT_IN_FLOAT32 = ("imtfe.b1c1.", "ladn.adaptation.", "ladn.raw_min_std", "ladn.bnorm.", "constrained_conv.")
_NORM_STATISTICS = (".running_mean", ".running_var")


def write_compact(run: Path, folder: Path) -> None:
    """Copy what a run exports, with all but the most delicate weights rounded to bfloat16.

    The first layer, the adaptation, BatchNorm's statistics and sigma's floor stay in float32. The result is a
    folder that `train --start` and `weights export` take like a run.

    Raises:
        CheckpointError: The run has no readable weights, or the folder cannot be written.
        ConfigError: The folder already holds weights.
    """
    target = folder / "weights.safetensors"
    if target.exists():
        raise ConfigError(f"{target} exists already; name another folder or remove it")
    try:
        tensors = load_file(run / "weights.safetensors")
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(target, {name: _compact(name, tensor) for name, tensor in tensors.items()})
        for name in ("model.json", "run.json"):
            shutil.copyfile(run / name, folder / name)
        copy_licence(run, folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot copy the weights of {run} to {folder} ({error}); give a run's folder"
        ) from error


def _compact(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.startswith(_KEPT_IN_FLOAT32) or name.endswith(_NORM_STATISTICS) or not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.bfloat16)
