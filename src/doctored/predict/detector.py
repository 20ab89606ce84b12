"""From a picture to a result: the one class that applications use."""

import functools
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import doctored
from doctored.core.errors import ConfigError, ModelError
from doctored.core.inspection import Inspection, PictureFacts, Timing, WitnessFinding
from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.models.catalog import CATALOG
from doctored.predict import localize
from doctored.predict.localize import (
    DEFAULT_MAP_MEMORY_MB,
    LocalizationPlan,
    ProgressCallback,
    plan_localization,
)
from doctored.predict.memory import peak_memory_mb
from doctored.predict.openvino_engine import OpenVINOEngine
from doctored.predict.precision import check_device, exported_precision, torch_device, torch_precision
from doctored.predict.torch_engine import TorchEngine
from doctored.predict.weights import MANIFEST_FILE, RUN_FILE, load_run, read_exported, run_sha256
from doctored.predict.witnesses import ManTraNetWitness, Witness, YardstickWitness

SMALLEST_SIDE_PX = 64
"""Below this, a picture has too few surroundings to compare a pixel with."""

DEFAULT_MODEL = "mantranet"
EMBEDDED = Path(doctored.__file__).parent / "embedded"
_FEATURES_MEMORY_MB = 4000.0


class Detector:
    """Looks for manipulations in pictures of any size.

    Args:
        witness: The model that looks.

    Attributes:
        name: Catalogue name of the model.

    Example:
        >>> detector = Detector.from_name("centre")
        >>> inspection = detector.inspect(Picture.from_array(np.zeros((80, 100, 3), np.uint8)))
        >>> inspection.localization_map.shape, inspection.verdict
        ((80, 100), 'cannot_judge')
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.name = witness.name

    @classmethod
    def from_name(
        cls,
        name_or_folder: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        memory_mb: float | None = None,
        threads: int | None = None,
    ) -> "Detector":
        """Load a model.

        Args:
            name_or_folder: A name from the catalogue, or the folder of a training run or of an exported model.
            device: "auto", "cpu", "cuda" or "mps". Exported models run on the CPU.
            precision: "auto", "int8", "bf16" or "fp32".
            tile: Side in pixels of the part that a tile contributes; None for the fastest. Results do not
                depend on it.
            memory_mb: What the map between the two passes may take, in millions of bytes; larger pictures are
                computed in blocks, with the first pass run twice. None for 640.
            threads: CPU threads; None for all cores.

        Raises:
            ConfigError: A setting is unknown, or cannot be had on this machine or with this model.
            ModelError: There is no such model, or a file of it is damaged.
            MissingExtraError: A training run is named and PyTorch is not installed.
        """
        check_device(device)
        if threads is not None and threads < 1:
            raise ConfigError(f"the number of threads is {threads}; give 1 or more")
        map_memory_mb = DEFAULT_MAP_MEMORY_MB if memory_mb is None else memory_mb

        def witness(
            name: str, sha256: str, engine: OpenVINOEngine | TorchEngine, temperature: float
        ) -> ManTraNetWitness:
            def plan(size_hw: tuple[int, int]) -> LocalizationPlan:
                return plan_localization(engine.settings, size_hw, tile, map_memory_mb)

            plan((1, 1))  # refuses impossible settings now rather than at the first picture
            return ManTraNetWitness(name, sha256, engine, temperature, plan)

        name = os.fspath(name_or_folder)
        entry = CATALOG.get(name)
        if entry is not None and entry.kind == "yardstick":
            return cls(YardstickWitness(name, entry.build({})))
        folder = EMBEDDED / name if entry is not None else Path(name)
        if (folder / MANIFEST_FILE).is_file():
            if device not in ("auto", "cpu"):
                raise ConfigError(
                    f"exported models such as {name} run on the CPU, not on {device}; "
                    "give --device cpu, or name the folder of a training run"
                )
            exported = read_exported(folder)
            chosen = exported_precision(precision, exported)
            engine = OpenVINOEngine(exported, chosen, threads)
            return cls(witness(exported.name, exported.sha256, engine, exported.temperature))
        if (folder / RUN_FILE).is_file():
            device = torch_device(device)
            torch_engine = TorchEngine(load_run(folder), device, torch_precision(precision, device), threads)
            return cls(witness("mantranet", run_sha256(folder), torch_engine, 1.0))
        if entry is not None:
            raise ModelError(f"the model {name} does not come with this installation; name a folder instead")
        raise ModelError(
            f"there is no model {name!r}: it is neither one of {', '.join(CATALOG)} nor a folder with "
            f"{MANIFEST_FILE} (an exported model) or {RUN_FILE} (a training run)"
        )

    def inspect(self, picture: Picture, on_progress: ProgressCallback | None = None) -> Inspection:
        """Look at one picture.

        Args:
            picture: As read from its file, or made of an array.
            on_progress: Called after each tile with the numbers of tiles done and to do.

        Returns:
            Verdict "cannot_judge" with its reason: there is no calibration yet, so no score means anything by
            itself.
        """
        start = time.perf_counter()
        localization_map, raw_score = self._witness.look(picture.pixels, on_progress)
        finding = WitnessFinding(self.name, self._witness.sha256, raw_score, localization_map)
        return Inspection(
            picture=PictureFacts.of(picture),
            localization_map=localization_map,
            witnesses=(finding,),
            regions=(),
            verdict="cannot_judge",
            reason=_reason(picture.size_hw),
            detection_score=None,
            false_alarm_rate=None,
            timing=Timing(time.perf_counter() - start, peak_memory_mb()),
            version=doctored.__version__,
        )

    def estimate_seconds(self, picture: Picture) -> float:
        """About how long `inspect` will take, from timing a small tile (once for each detector)."""
        return self._witness.estimate_seconds(picture.size_hw)

    def trace_features(self, picture: Picture, memory_mb: float = _FEATURES_MEMORY_MB) -> NDArray[np.float32]:
        """What the network's first half says of each pixel.

        Args:
            picture: As read from its file, or made of an array.
            memory_mb: Largest accepted size of the result, in millions of bytes.

        Returns:
            (H, W, 256) float32, each pixel's features of norm 1.

        Raises:
            ConfigError: The result would be too large, or the model has no such features.
        """
        if not isinstance(self._witness, ManTraNetWitness):
            raise ConfigError(f"the model {self.name} has no trace features; give mantranet")
        plan = self._witness.plan(picture.size_hw)
        height, width = picture.size_hw
        needed_mb = height * width * plan.settings.feature_channels * 4 / 1e6
        if needed_mb > memory_mb:
            raise ConfigError(
                f"the features of {width} x {height} pixels take {needed_mb:.0f} MB, more than the limit of "
                f"{memory_mb:g} MB; crop the picture, or raise memory_mb"
            )
        return localize.trace_features(self._witness.engine, picture.pixels, plan)


def inspect(
    path_or_array: str | os.PathLike[str] | NDArray[np.uint8], model: str | os.PathLike[str] | None = None
) -> Inspection:
    """Look for manipulations in one picture.

    Args:
        path_or_array: A file, or uint8 pixels (H, W), (H, W, 3) or (H, W, 4).
        model: A name from the catalogue, or the folder of a training run or of an exported model.

    Raises:
        ImageReadError: The file cannot be read as a picture.
        ModelError: There is no such model, or it is damaged.
    """
    return _kept_detector(os.fspath(model or DEFAULT_MODEL)).inspect(_as_picture(path_or_array))


def trace_features(picture: str | os.PathLike[str] | NDArray[np.uint8] | Picture) -> NDArray[np.float32]:
    """ManTra-Net's manipulation trace features of each pixel, (H, W, 256) float32 of norm 1.

    Args:
        picture: A file, uint8 pixels (H, W), (H, W, 3) or (H, W, 4), or a picture that was read.

    Raises:
        ImageReadError: The file cannot be read as a picture.
        ConfigError: The result would take more than 4 GB.
    """
    return _kept_detector(DEFAULT_MODEL).trace_features(_as_picture(picture))


@functools.lru_cache(maxsize=1)
def _kept_detector(name_or_folder: str) -> Detector:
    return Detector.from_name(name_or_folder)


def _as_picture(source: str | os.PathLike[str] | NDArray[np.uint8] | Picture) -> Picture:
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | os.PathLike):
        return read_image(source)
    return Picture.from_array(source)


def _reason(size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    if min(height, width) < SMALLEST_SIDE_PX:
        return (
            f"the picture is {width} x {height} pixels; with a side below {SMALLEST_SIDE_PX} there is too little "
            "around each pixel to compare it with"
        )
    return "the model is not calibrated yet, so its score means nothing by itself; look at the map"
