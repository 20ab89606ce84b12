"""Choosing the arithmetic to compute in, and where."""

from typing import get_args

from doctored.core.errors import ConfigError, MissingExtraError
from doctored.predict.cpu_features import fast_arithmetic
from doctored.predict.engine import Precision
from doctored.predict.weights import ExportedModel

DEVICES = ("auto", "cpu", "cuda", "mps")


def exported_precision(asked: str, exported: ExportedModel) -> Precision:
    """The precision for an exported model on this machine's CPU.

    Unasked it is int8 where the CPU is fast at it and the model passed its check, else bf16 where the CPU has
    instructions for it, else fp32.

    Args:
        asked: "auto", "int8", "bf16" or "fp32".
        exported: The model.

    Raises:
        ConfigError: There is no such precision, the CPU does not have it, or the model has no files for it.
    """
    chosen = known_precision(asked)
    fast = fast_arithmetic()
    if chosen is None:
        if "int8" in fast and "int8" in exported.precisions and exported.int8_passed:
            return "int8"
        return "bf16" if "bf16" in fast else "fp32"
    if chosen not in exported.precisions:
        raise ConfigError(
            f"{exported.folder} was exported without {chosen}; give one of {', '.join(exported.precisions)}, "
            "or export it again with calibration pictures"
        )
    if chosen == "bf16":
        _check_bfloat16(fast)
    return chosen


def torch_precision(asked: str, device: str) -> Precision:
    """The precision for a network on PyTorch.

    Unasked it is bf16 on CUDA, and on a CPU with instructions for it; else fp32.

    Args:
        asked: "auto", "bf16" or "fp32".
        device: "cpu", "cuda" or "mps".

    Raises:
        ConfigError: There is no such precision, or it cannot be had there.
    """
    chosen = known_precision(asked)
    fast = fast_arithmetic()
    if chosen is None:
        return "bf16" if device == "cuda" or (device == "cpu" and "bf16" in fast) else "fp32"
    if chosen == "int8":
        raise ConfigError("int8 needs an exported model; give bf16 or fp32, or export the run first")
    if chosen == "bf16" and device == "cpu":
        _check_bfloat16(fast)
    return chosen


def torch_device(asked: str) -> str:
    """The device for a network on PyTorch: unasked, a GPU if there is one.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ConfigError: The device is unknown, or not there.
    """
    check_device(asked)
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("running a network that was not exported", "train") from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present[asked]:
        raise ConfigError(f"there is no {asked} device that PyTorch can use here; give --device cpu or auto")
    return asked


def check_device(asked: str) -> None:
    """Refuse a device that does not exist.

    Raises:
        ConfigError: It is none of auto, cpu, cuda and mps.
    """
    if asked not in DEVICES:
        raise ConfigError(f"the device is {asked!r}; give one of {', '.join(DEVICES)}")


def known_precision(asked: str) -> Precision | None:
    """A precision by its name; None for "auto".

    Raises:
        ConfigError: There is no such precision.
    """
    for precision in get_args(Precision):
        if asked == precision:
            known: Precision = precision
            return known
    if asked != "auto":
        raise ConfigError(f"the precision is {asked!r}; give one of auto, {', '.join(get_args(Precision))}")
    return None


def _check_bfloat16(fast: frozenset[str]) -> None:
    if "bf16" not in fast:
        # Emulated, it would take several times as long as float32.
        raise ConfigError(
            "this CPU has no bfloat16 instructions (AMX or AVX512_BF16); give fp32, int8 or auto"
        )
