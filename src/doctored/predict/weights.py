"""Reading weights: exported models with their manifest, and the folders of training runs."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from doctored.core.errors import ConfigError, MissingExtraError, ModelError
from doctored.core.json_text import parse_json
from doctored.models.catalog import CATALOG, NetworkSettings
from doctored.predict.families import IMC_HEAD_FILE, ImcHead

if TYPE_CHECKING:
    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
    from doctored.models.mantranet.mantranet import ManTraNet

MANIFEST_FILE = "manifest.json"
RUN_FILE = "model.json"
RUN_WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FORMAT = 1
NETWORKS = {name: entry.settings for name, entry in CATALOG.items() if entry.settings is not None}
"""What kind of settings each network of the catalogue has."""

_PRETRAINING = "-imc"
_LARGEST_SETTING = 100_000


@dataclass(frozen=True)
class ExportedModel:
    """A network that runs on OpenVINO, as its manifest describes it; the files were checked.

    Attributes:
        folder: Where it lies.
        name: Catalogue name.
        settings: Shape of the network.
        temperature: What logits are divided by before the sigmoid.
        precisions: Those that there are files for.
        int8_passed: Whether int8 was found to be as good as float32, so that it may be chosen unasked.
        figures: Scores and differences that were measured on export or later.
        training: What it was trained on, in a sentence.
        version: Of doctored, at the time of export.
        names_families: Whether it comes with a head that names the manipulation of a region.
        sha256: Of the manifest, which itself holds the hash of every other file.
    """

    folder: Path
    name: str
    settings: NetworkSettings
    temperature: float
    precisions: tuple[str, ...]
    int8_passed: bool
    figures: dict[str, float]
    training: str
    version: str
    names_families: bool
    sha256: str


def read_exported(folder: Path) -> ExportedModel:
    """Read a manifest and check every file that it names; nothing is loaded yet.

    Raises:
        ModelError: A file is missing, was changed, or cannot be understood.
    """
    path = folder / MANIFEST_FILE
    content = _read_bytes(path)
    manifest = _parse_json(path, content)
    try:
        if manifest["format"] != MANIFEST_FORMAT:
            raise ModelError(
                f"{path} has format {manifest['format']}, this version reads {MANIFEST_FORMAT}; "
                "export the model again, or install the version that wrote it"
            )
        for name, expected in manifest["files"].items():
            # Anything else may lie anywhere, and reading a device would never end.
            if os.path.basename(name) != name or os.path.exists(folder / name) != os.path.isfile(
                folder / name
            ):
                raise ValueError(f"{name!r:.80} is not the name of a file in its folder")
            found = hashlib.sha256(_read_bytes(folder / name)).hexdigest()
            if found != expected:
                raise ModelError(
                    f"{folder / name} is not the file that was exported (SHA-256 {found[:12]}..., expected "
                    f"{expected[:12]}...); get the model again"
                )
        if manifest["model"] not in NETWORKS:
            raise ModelError(
                f"{path} describes {manifest['model']!r}, this version knows {' and '.join(NETWORKS)}; "
                "install the version that wrote it"
            )
        temperature = float(manifest["temperature"])
        if not 0 < temperature < math.inf:
            raise ValueError(f"the temperature is {temperature}")
        return ExportedModel(
            folder=folder,
            name=manifest["model"],
            settings=_settings(path, manifest["model"], manifest["settings"]),
            temperature=temperature,
            precisions=tuple(manifest["precisions"]),
            int8_passed=bool(manifest["int8_passed"]),
            figures=dict(manifest["figures"]),
            training=manifest["training"],
            version=manifest["version"],
            names_families=IMC_HEAD_FILE in manifest["files"],
            sha256=hashlib.sha256(content).hexdigest(),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a complete manifest ({type(error).__name__}: {error}); export the model again"
        ) from error


def load_run(folder: Path) -> ManTraNet | ConstrainedRCNN:
    """The network of a training run, with the moving average of its weights, in eval mode on the CPU.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ModelError: A file is missing or damaged, or the run trains something else.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError(f"the training run {folder}", "train") from error
    path = folder / RUN_FILE
    description = _parse_json(path, _read_bytes(path))
    model = str(description.get("model"))
    if model not in NETWORKS:
        raise ModelError(
            f"{path} describes {model!r}, which makes no localization map; give a run of {' or '.join(NETWORKS)}"
        )
    settings = _settings(path, model, description.get("settings"))
    weights = folder / RUN_WEIGHTS_FILE
    if not weights.is_file():
        raise ModelError(f"{weights} is missing; a run writes it with its first checkpoint")
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights} cannot be read ({error}); it is damaged or cut off") from error
    import torch

    # Without memory first: settings may ask for any amount of it.
    with torch.device("meta"):
        expected = CATALOG[model].build(asdict(settings)).state_dict()
    wrong = sorted(
        name
        for name in expected.keys() | tensors.keys()
        if name not in tensors or name not in expected or tensors[name].shape != expected[name].shape
    )
    if wrong:
        raise ModelError(
            f"{weights} does not fit {path}: {len(wrong)} arrays are missing, unknown or of another shape, "
            f"the first is {wrong[0]}"
        )
    network: ManTraNet | ConstrainedRCNN = CATALOG[model].build(asdict(settings))
    network.load_state_dict(tensors)
    return network.eval()


def load_imc_head(run: Path) -> ImcHead:
    """The head of a run of stage one, with the moving average of its weights.

    Args:
        run: Its folder, or its file of weights alone.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ModelError: A file is missing or damaged, or there is no such head in it.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError(f"the training run {run}", "train") from error
    from doctored.models.imc_head import UNIT_FEATURE_SCALE

    path = run / RUN_WEIGHTS_FILE if run.is_dir() else run
    try:
        state = load_file(path)
        if not any(name.startswith("imtfe.") for name in state):
            raise KeyError("imtfe")
        weight, bias = (state[f"imc_head.linear.{name}"].float().numpy() for name in ("weight", "bias"))
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(
            f"{path} holds no head that names manipulations by the features of ManTra-Net's extractor ({error}); give "
            "a run of 'doctored train imc'"
        ) from error
    # Features have norm 1, and the network's head multiplies them by this.
    return ImcHead(np.float32(UNIT_FEATURE_SCALE) * weight, bias)


def run_settings(folder: Path) -> NetworkSettings:
    """Shape of the network that a training run trains, in any stage.

    Raises:
        ModelError: The description is missing or damaged, or of another network.
    """
    path = folder / RUN_FILE
    description = _parse_json(path, _read_bytes(path))
    model = str(description.get("model"))
    network = model.removesuffix(_PRETRAINING)
    if network not in NETWORKS:
        raise ModelError(f"{path} describes {model!r}; give a run of doctored train")
    return _settings(path, network, description.get("settings"))


def run_sha256(folder: Path) -> str:
    """Hash of the weights of a training run, lower-case hexadecimal.

    Raises:
        ModelError: The file is missing.
    """
    return hashlib.sha256(_read_bytes(folder / RUN_WEIGHTS_FILE)).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give the folder of a training run or of an exported model"
        ) from error


def _parse_json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        parsed = parse_json(content)
    except ValueError as error:
        raise ModelError(f"{path} is no JSON ({error}); it is damaged or cut off") from error
    if not isinstance(parsed, dict):
        raise ModelError(f"{path} holds a {type(parsed).__name__} instead of an object; it is damaged")
    return parsed


def _settings(path: Path, model: str, values: Any) -> NetworkSettings:
    kind = NETWORKS[model]
    known = {field.name for field in fields(kind)}
    if not isinstance(values, dict) or set(values) != known:
        raise ModelError(f"{path} needs settings with exactly {', '.join(sorted(known))}")
    lists: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    usual = kind()
    for name, value in lists.items():
        if not _is_like(value, getattr(usual, name)):
            raise ModelError(f"{path} has impossible settings ({name} is {value!r:.80})")
    try:
        return kind(**lists)
    except (ConfigError, TypeError, ValueError) as error:
        raise ModelError(f"{path} has impossible settings ({error})") from error


def _is_like(value: Any, usual: Any) -> bool:
    """Whether a setting has the type of its usual value, and a size that a network can have."""
    if isinstance(usual, tuple):
        return isinstance(value, tuple) and all(_is_like(one, usual[0]) for one in value)
    if usual is None:  # a number of pixels, or native scale
        return value is None or _is_like(value, 1)
    return type(value) is type(usual) and (type(value) is not int or abs(value) <= _LARGEST_SETTING)
