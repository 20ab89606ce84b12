"""Models, runs and checkpoints, as `train`, `weights` and `calibrate` write them."""

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import mutations
from doctored.core.imc_classes import IMC_CLASSES
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.predict.calibration import read_calibration
from doctored.predict.combination import read_combination
from doctored.predict.families import ImcHead, read_imc_head
from doctored.predict.weights import load_imc_head, load_run, read_exported, run_settings
from doctored.train.checkpoint import load_checkpoint, save_checkpoint
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
from models.constrained_rcnn.toys import write_rcnn_run
from models.mantranet.toys import TOY_SETTINGS, random_mantranet
from parser import Parser, Reader
from predict.calibrations import make_calibration
from predict.test_combination import RULE

_RUN = {"model": "mantranet", "settings": asdict(TOY_SETTINGS), "version": "0.1.0"}
_MANIFEST = {
    "format": 1,
    "model": "mantranet",
    "settings": asdict(TOY_SETTINGS),
    "temperature": 1.5,
    "precisions": ["fp32"],
    "int8_passed": False,
    "figures": {"pixel_auc": 0.9},
    "training": "noise",
    "version": "0.1.0",
    "files": {"a.bin": hashlib.sha256(b"a").hexdigest()},
}


def _in_a_folder(file: str, read: object, others: object = None) -> object:
    """Prepare for what reads a folder, one of whose files is the input."""

    def prepare(folder: Path) -> Reader:
        if others is not None:
            others(folder)

        def one(data: bytes) -> object:
            (folder / file).write_bytes(data)
            return read(folder)

        return one

    return prepare


def _run(folder: Path) -> None:
    (folder / "model.json").write_text(json.dumps(_RUN))
    save_file(random_mantranet().state_dict(), folder / "weights.safetensors")


def _rcnn_run(folder: Path) -> None:
    folder.rmdir()
    write_rcnn_run(folder, ConstrainedRCNN(TOY_RCNN))


def _one_layer() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def _checkpoint(folder: Path) -> None:
    model, optimizer = _one_layer()
    state = model.state_dict()
    save_checkpoint(
        folder,
        step=7,
        weights=state,
        ema=state,
        optimizer=optimizer,
        progress={"seconds": 1.5, "samples": 14},
    )


def _resume(folder: Path) -> object:
    model, optimizer = _one_layer()
    try:
        return load_checkpoint(folder, model, optimizer)
    finally:
        torch.manual_seed(0)


def _file_of(write: object, file: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return (Path(folder) / file).read_bytes()


def _judge(folder: Path) -> object:
    calibration = read_calibration(folder / "calibration.json")
    calibration.to_bytes()
    return [
        calibration.like(size_hw, compression)
        for size_hw in ((80, 100), (1, 1))
        for compression in (75.0, "lossless", "web")
    ]


def _combine(folder: Path) -> object:
    rule = read_combination(folder / "combination.json")
    return rule.to_bytes()


def _name_family(folder: Path) -> object:
    return read_imc_head(folder / "imc_head.npz").family(np.ones(4, np.float32))


def _head() -> bytes:
    return ImcHead(
        np.zeros((len(IMC_CLASSES), 4), np.float32), np.zeros(len(IMC_CLASSES), np.float32)
    ).to_bytes()


def _imc_run() -> bytes:
    state = {
        "imc_head.linear.weight": torch.zeros(len(IMC_CLASSES), 3),
        "imc_head.linear.bias": torch.zeros(len(IMC_CLASSES), dtype=torch.bfloat16),
        "imtfe.x": torch.zeros(1),
    }
    with tempfile.TemporaryDirectory() as folder:
        save_file(state, Path(folder) / "weights.safetensors")
        return (Path(folder) / "weights.safetensors").read_bytes()


_STEP = "checkpoints/step-000000007"

PARSERS = [
    Parser(
        "manifest",
        _in_a_folder("manifest.json", read_exported, lambda folder: (folder / "a.bin").write_bytes(b"a")),
        lambda: [json.dumps(_MANIFEST).encode()],
        mutations.json_values,
    ),
    Parser(
        "run-description",
        _in_a_folder("model.json", lambda folder: (run_settings(folder), load_run(folder)), _run),
        lambda: [json.dumps(_RUN).encode()],
        mutations.json_values,
    ),
    Parser(
        "rcnn-run-description",
        _in_a_folder("model.json", lambda folder: (run_settings(folder), load_run(folder)), _rcnn_run),
        lambda: [json.dumps({"model": "constrained-rcnn", "settings": asdict(TOY_RCNN)}).encode()],
        mutations.json_values,
    ),
    Parser(
        "run-weights",
        _in_a_folder("weights.safetensors", load_run, _run),
        lambda: [_file_of(_run, "weights.safetensors")],
        mutations.safetensors_header,
    ),
    Parser(
        "imc-run-weights",
        _in_a_folder("weights.safetensors", load_imc_head, _run),
        lambda: [_imc_run()],
        mutations.safetensors_header,
    ),
    *(
        Parser(
            f"checkpoint-{name.split('.')[0]}",
            _in_a_folder(f"{_STEP}/{name}", _resume, _checkpoint),
            lambda name=name: [_file_of(_checkpoint, f"{_STEP}/{name}")],
            mutate,
        )
        for name, mutate in (
            ("state.json", mutations.json_values),
            ("weights.safetensors", mutations.safetensors_header),
            ("ema.safetensors", mutations.safetensors_header),
            ("optimizer.safetensors", mutations.safetensors_header),
            ("rng.safetensors", mutations.safetensors_header),
        )
    ),
    Parser(
        "calibration",
        _in_a_folder("calibration.json", _judge),
        lambda: [make_calibration([(80, "lossless", 0.25), (160, 75.0, 0.5)]).to_bytes()],
        mutations.json_values,
    ),
    Parser(
        "combination",
        _in_a_folder("combination.json", _combine),
        lambda: [RULE.to_bytes()],
        mutations.json_values,
    ),
    Parser("imc-head", _in_a_folder("imc_head.npz", _name_family), lambda: [_head()], mutations.zip_members),
]
