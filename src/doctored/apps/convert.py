"""`doctored weights convert`: original weights become a folder like that of a training run."""

import hashlib
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import doctored
from doctored.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from doctored.predict.original_weights import ConvertedWeights

_LICENCE = "the original weights belong to their authors, who allow academic, non-commercial use only"
_IMAGENET_LICENCE = "mind the terms of TF-slim's weights and of ImageNet"
_FILES = ("LICENCE.txt", "model.json", "run.json", "weights.safetensors")


def convert_weights(file: Path, output: Path, variant: int | None, *, force: bool) -> str:
    """Write original weights as a folder that `detect --model` or `train --start` takes.

    Args:
        file: The original weights; see `convert_original`.
        output: Folder to write; it appears complete or not at all.
        variant: Of a ManTra-Net.
        force: Whether an earlier conversion may be replaced.

    Returns:
        What was written and what it is good for, in a few lines.

    Raises:
        ConfigError: The folder holds something, or the variant is unknown or does not fit.
        MissingExtraError: A package is not installed.
        ModelError: The file cannot be converted, or the folder cannot be written.
    """
    _check_output(output, force)
    from doctored.predict.original_weights import convert_original

    converted = convert_original(file, variant)
    try:
        _write(converted, output)
    except OSError as error:
        raise ModelError(
            f"cannot write {output} ({error.strerror or error}); nothing was changed there"
        ) from error
    numbers = sum(array.size for array in converted.arrays.values())
    return "\n".join(
        (
            f"{output}: {converted.origin}; {len(converted.arrays)} arrays of {numbers:,} numbers",
            f"  {_purpose(converted, output)}",
            f"  {_licence(converted)}",
        )
    )


def _check_output(output: Path, force: bool) -> None:
    if output.is_file():
        raise ConfigError(f"{output} is a file; give a folder to write")
    if output.name in ("", ".."):
        raise ConfigError(
            f"{output} has no name of its own, and is replaced as a whole; name the folder to write"
        )
    found = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    others = [name for name in found if name not in _FILES]
    if others:
        raise ConfigError(f"{output} holds other files, such as {others[0]}; choose another --output")
    if found and not force:
        raise ConfigError(
            f"{output} already holds weights; choose another --output, or replace them with --force"
        )


def _write(converted: "ConvertedWeights", output: Path) -> None:
    """Everything into a folder beside it, which then takes its place."""
    import torch

    from doctored.data.licences import LICENCE_FILE
    from doctored.train.checkpoint import write_json, write_tensors

    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        version = {"version": doctored.__version__}
        settings = asdict(converted.settings)
        write_json(partial / "model.json", {"model": converted.model, "settings": settings, **version})
        files = {path.name: _sha256(path) for path in converted.files}
        origin = {"weights": converted.origin, "sha256": files, "licence": _licence(converted)}
        write_json(partial / "run.json", {"task": "convert", "origin": origin, **version})
        note = (
            f"These weights were converted from {converted.origin}.\n\n{_licence(converted).capitalize()}.\n"
        )
        (partial / LICENCE_FILE).write_text(note, encoding="utf-8")
        tensors = {name: torch.from_numpy(array) for name, array in converted.arrays.items()}
        write_tensors(partial / "weights.safetensors", tensors)
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _licence(converted: "ConvertedWeights") -> str:
    return _IMAGENET_LICENCE if converted.model == "constrained-rcnn-imc" else _LICENCE


def _purpose(converted: "ConvertedWeights", output: Path) -> str:
    if converted.model == "mantranet-imc":
        return (
            f"makes no map without an anomaly detector; train one: doctored train mantranet --start {output}"
        )
    if converted.model == "constrained-rcnn-imc":
        return f"detects nothing yet; train on it: doctored train constrained-rcnn --stage 1 --start {output}"
    if "stage 1" in converted.origin:
        train = f"doctored train constrained-rcnn --stage full --start {output}"
        return f"marks whole boxes, for it has no masks; train them: {train}"
    return f"use it: doctored detect --model {output}"
