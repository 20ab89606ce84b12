"""From a picture to a result: the one class that applications use."""

import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

import doctored
from doctored.core.errors import ConfigError, ModelError, UnknownModelError
from doctored.core.inspection import AnsweringModel, Inspection, PictureFacts, Timing
from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.models.catalog import CATALOG, COMBINATION, COPY_SEARCH, GRID_SEARCH
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.predict import localize
from doctored.predict.adapted_map import disk_for_maps_mb
from doctored.predict.calibration import CALIBRATION_FILE, Calibration, Compression, read_calibration
from doctored.predict.combination import COMBINATION_FILE, read_combination
from doctored.predict.families import IMC_HEAD_FILE, read_imc_head
from doctored.predict.localize import (
    DEFAULT_MAP_MEMORY_MB,
    LocalizationPlan,
    ProgressCallback,
    plan_localization,
)
from doctored.predict.memory import peak_memory_mb
from doctored.predict.openvino_engine import OpenVINOEngine, OpenVINORCNNEngine
from doctored.predict.panel import CombinedWitnesses, OneWitness, Panel
from doctored.predict.precision import (
    check_device,
    exported_precision,
    known_precision,
    torch_device,
    torch_precision,
)
from doctored.predict.quick_look import QuickLook, pack, quick_reason, unpack
from doctored.predict.search_witnesses import CopySearchWitness, GridSearchWitness
from doctored.predict.torch_engine import TorchEngine, TorchRCNNEngine
from doctored.predict.verdict import (
    DEFAULT_OPERATING_POINT,
    Judgement,
    check_operating_point,
    judge,
    judge_stored,
)
from doctored.predict.weights import MANIFEST_FILE, RUN_FILE, load_run, read_exported, run_sha256
from doctored.predict.witnesses import ConstrainedRCNNWitness, ManTraNetWitness, Witness, YardstickWitness

DEFAULT_MODEL = COMBINATION
EMBEDDED = Path(doctored.__file__).parent / "embedded"
_FEATURES_MEMORY_MB = 4000.0


_Options = ParamSpec("_Options")
_Answer = TypeVar("_Answer")


def _one_after_the_other(
    method: "Callable[Concatenate[Detector, _Options], _Answer]",
) -> "Callable[Concatenate[Detector, _Options], _Answer]":
    """Let one thread at a time into these methods of a detector.

    Its networks are compiled for one shape of tile and use every core: two pictures at once would change the shape
    under each other, or compile anew for each tile.
    """

    @functools.wraps(method)
    def in_turn(self: "Detector", *args: _Options.args, **options: _Options.kwargs) -> _Answer:
        with self._turn:
            return method(self, *args, **options)

    return in_turn


class Detector:
    """Looks for manipulations in pictures of any size.

    Threads may share one; it looks at one picture after the other.

    Args:
        panel: Who looks: one model, or several with the rule that combines them.
        calibration: What the panel makes of authentic pictures; without it every verdict is "cannot_judge".
        fpr: The operating point: the accepted rate of false alarms.

    Attributes:
        name: Catalogue name of the model, or the combination's.
        sha256: Of its weights, or of the combining rule, lower-case hexadecimal.
        precision: What it computes in; of several models, separated by commas.
        raw_score_rule: Name of the way in which a picture gets its raw score.
        witness_names: Of the models that look.
        fpr: The operating point.
        calibration_sha256: Of the calibration file; None without one.
        quick_facts: Name, SHA-256 and precision of the one of several models that takes a quick look, their
            Constrained R-CNN; None without such.

    Raises:
        ConfigError: fpr does not lie between 0 and 1.
        ModelError: The calibration belongs to another model.

    Example:
        >>> detector = Detector.from_name("centre")
        >>> inspection = detector.inspect(Picture.from_array(np.zeros((80, 100, 3), np.uint8)))
        >>> inspection.localization_map.shape, inspection.verdict
        ((80, 100), 'cannot_judge')
    """

    def __init__(
        self, panel: Panel, calibration: Calibration | None = None, fpr: float = DEFAULT_OPERATING_POINT
    ) -> None:
        check_operating_point(fpr)
        if calibration is not None:
            calibration.check_model(panel.name, panel.sha256, panel.raw_score_rule)
        self._panel, self._calibration = panel, calibration
        self._turn = threading.RLock()  # a caller's on_progress may ask something of it
        self.name, self.sha256, self.precision = panel.name, panel.sha256, panel.precision
        self.raw_score_rule = panel.raw_score_rule
        self.witness_names = tuple(witness.name for witness in panel.witnesses)
        self.fpr = fpr
        self.calibration_sha256 = None if calibration is None else calibration.sha256
        of_several = panel.witnesses if len(panel.witnesses) > 1 else ()
        self._quick = next((one for one in of_several if isinstance(one, ConstrainedRCNNWitness)), None)
        self.quick_facts = None
        if self._quick is not None:
            self.quick_facts = self._quick.name, self._quick.sha256, self._quick.precision

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
        fpr: float = DEFAULT_OPERATING_POINT,
        calibration: str | os.PathLike[str] | None = None,
    ) -> "Detector":
        """Load a model, and the calibration that lies in its folder.

        Args:
            name_or_folder: A name from the catalogue, or the folder of a training run or of an exported model.
            device: "auto", "cpu", "cuda" or "mps". Exported models run on the CPU.
            precision: "auto", "int8", "bf16" or "fp32".
            tile: Side of a tile in pixels; None for the fastest. ManTra-Net's results do not depend on it; Constrained
                R-CNN's do a little where it cuts, and a picture that fits into one tile is seen whole.
            memory_mb: What ManTra-Net's map between the two passes may take, in millions of bytes; that of larger
                pictures goes to a file in $TMPDIR or /var/tmp, or is made twice if there is no room. None for 640.
            threads: CPU threads; None for all cores.
            fpr: The operating point: the accepted rate of false alarms, between 0 and 1.
            calibration: A file that `doctored calibrate` wrote for this model; None for the `calibration.json` in
                its folder, if there is one.

        Raises:
            ConfigError: A setting is unknown, or cannot be had on this machine or with this model.
            ModelError: There is no such model, a file of it is damaged, or the calibration belongs to another.
            MissingExtraError: A training run is named and PyTorch is not installed.
        """
        name = os.fspath(name_or_folder)
        load = functools.partial(
            load_witness, device=device, precision=precision, tile=tile, memory_mb=memory_mb, threads=threads
        )
        stored = stored_calibration(name) if calibration is None else read_calibration(Path(calibration))
        return cls(load_panel(name, load), stored, fpr)

    @_one_after_the_other
    def inspect(
        self, picture: Picture, on_progress: ProgressCallback | None = None, kept: bytes | None = None
    ) -> Inspection:
        """Look at one picture.

        Args:
            picture: As read from its file, or made of an array.
            on_progress: Called after each tile with the numbers of tiles done and to do.
            kept: `QuickLook.kept` of an earlier look at this picture, with the same model; None if there was none.

        Returns:
            What was found. Without a calibration, and for pictures unlike those it was made of, the verdict is
            "cannot_judge", with the reason.

        Raises:
            DataError: What was kept is damaged, or of a picture of another size.
        """
        start = time.perf_counter()
        known = {}
        if kept is not None:
            witness = self._quick_witness()
            known[witness.name] = witness.look(picture.pixels, None, unpack(kept))
        answer = self._panel.look(picture.pixels, on_progress, known)
        facts = PictureFacts.of(picture)
        judgement = judge(answer.raw_score, facts, self._calibration, self.fpr)
        return Inspection(
            picture=facts,
            model=AnsweringModel(self.name, self.sha256, answer.raw_score),
            localization_map=answer.localization_map,
            witnesses=answer.findings,
            regions=answer.regions,
            verdict=judgement.verdict,
            reason=judgement.reason,
            detection_score=judgement.detection_score,
            false_alarm_rate=judgement.false_alarm_rate,
            timing=Timing(time.perf_counter() - start, peak_memory_mb()),
            version=doctored.__version__,
            comparison=judgement.comparison,
        )

    @_one_after_the_other
    def quick_look(self, picture: Picture) -> QuickLook:
        """Look at one picture with the Constrained R-CNN alone, which takes a fraction of the time.

        Args:
            picture: As read from its file, or made of an array.

        Raises:
            ConfigError: The model is not several, or has no Constrained R-CNN.
        """
        start = time.perf_counter()
        witness = self._quick_witness()
        tiles = list(witness.look_at_tiles(picture.pixels, None))
        finding = witness.finding(picture.size_hw, tiles)
        inspection = Inspection(
            picture=PictureFacts.of(picture),
            model=AnsweringModel(witness.name, witness.sha256, finding.raw_score),
            localization_map=finding.localization_map,
            witnesses=(finding,),
            regions=finding.regions,
            verdict="cannot_judge",
            reason=quick_reason(witness.name),
            detection_score=None,
            false_alarm_rate=None,
            timing=Timing(time.perf_counter() - start, peak_memory_mb()),
            version=doctored.__version__,
        )
        return QuickLook(inspection, pack(tiles))

    def _quick_witness(self) -> ConstrainedRCNNWitness:
        if self._quick is None:
            raise ConfigError(
                f"a quick look is that of the Constrained R-CNN of several models, and {self.name} has none; "
                f"give {COMBINATION}"
            )
        return self._quick

    def judge(self, raw_score: float, size_hw: tuple[int, int], compression: Compression) -> Judgement:
        """What a raw score of this model means that was kept from an earlier inspection.

        Args:
            raw_score: Of the whole picture.
            size_hw: Height and width of the picture.
            compression: As `compression_of` said.
        """
        return judge_stored(raw_score, size_hw, compression, self._calibration, self.fpr)

    @_one_after_the_other
    def raw_score(self, pixels: NDArray[np.uint8]) -> float:
        """The score of pixels (H, W, 3) uint8, not calibrated; higher is more likely manipulated."""
        return self._panel.raw_score(pixels)

    @_one_after_the_other
    def estimate_seconds(self, picture: Picture) -> float:
        """About how long `inspect` will take, from timing a small tile (once for each detector)."""
        return sum(witness.estimate_seconds(picture.size_hw) for witness in self._panel.witnesses)

    @_one_after_the_other
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
        of_mantranet = [witness for witness in self._panel.witnesses if isinstance(witness, ManTraNetWitness)]
        if not of_mantranet:
            raise ConfigError(f"the model {self.name} has no trace features; give mantranet")
        (witness,) = of_mantranet
        plan = witness.plan(picture.size_hw)
        height, width = picture.size_hw
        needed_mb = height * width * plan.settings.feature_channels * 4 / 1e6
        if needed_mb > memory_mb:
            raise ConfigError(
                f"the features of {width} x {height} pixels take {needed_mb:.0f} MB, more than the limit of "
                f"{memory_mb:g} MB; crop the picture, or raise memory_mb"
            )
        return localize.trace_features(witness.engine, picture.pixels, plan)


def inspect(
    path_or_array: str | os.PathLike[str] | NDArray[np.uint8], model: str | os.PathLike[str] | None = None
) -> Inspection:
    """Look for manipulations in one picture.

    Threads may call it at once; pictures are looked at one after the other.

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
    return _kept_detector("mantranet").trace_features(_as_picture(picture))


def load_panel(name: str, load: Callable[[str], Witness]) -> Panel:
    """One model, or a combination with all its models.

    Args:
        name: A name from the catalogue, or the folder of a training run, an exported model or a combination.
        load: From the name or folder of one model to the witness, such as `load_witness`; its errors are passed on.

    Raises:
        ModelError: A file is damaged, or a combination was fitted for other models.
    """
    folder = model_folder(name)
    if not os.path.isfile(folder / COMBINATION_FILE):
        return OneWitness(load(name))
    rule = read_combination(folder / COMBINATION_FILE)
    witnesses = tuple(load(_of_combination(one.model, folder)) for one in rule.witnesses)
    return CombinedWitnesses(name if name in CATALOG else COMBINATION, witnesses, rule)


def stored_calibration(name: str) -> Calibration | None:
    """The calibration in the folder of a model, if there is one.

    Args:
        name: As for `load_panel`.

    Raises:
        ModelError: It is damaged.
    """
    path = model_folder(name) / CALIBRATION_FILE
    return read_calibration(path) if os.path.isfile(path) else None


def _of_combination(model: str, folder: Path) -> str:
    """A model that a combination in a folder names."""
    return model if model in CATALOG else str(folder / model)


def load_witness(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    memory_mb: float | None = None,
    threads: int | None = None,
) -> Witness:
    """The model of a name or folder, without its calibration; settings and errors are those of `Detector.from_name`."""
    check_device(device)
    if threads is not None and threads < 1:
        raise ConfigError(f"the number of threads is {threads}; give 1 or more")
    known_precision(precision)
    if tile is not None and tile < 1:
        raise ConfigError(f"the tile size is {tile} px; give 1 or more")
    entry = CATALOG.get(name)
    folder = model_folder(name)
    if device in ("cuda", "mps") and entry is not None and entry.is_code_alone:
        torch_device(device)  # they use none, but beside others that do it must be there
    if entry is not None and entry.kind == "yardstick":
        return YardstickWitness(name, entry.build({}))
    if name == COPY_SEARCH:
        return CopySearchWitness(name)
    if name == GRID_SEARCH:
        return GridSearchWitness(name)
    if os.path.isfile(folder / MANIFEST_FILE):
        if device not in ("auto", "cpu"):
            raise ConfigError(
                f"exported models such as {name} run on the CPU, not on {device}; "
                "give --device cpu, or name the folder of a training run"
            )
        exported = read_exported(folder)
        settings, chosen = exported.settings, exported_precision(precision, exported)
        if isinstance(settings, ConstrainedRCNNSettings):
            rcnn_engine = OpenVINORCNNEngine(exported, settings, chosen, threads)
            return ConstrainedRCNNWitness(exported.name, exported.sha256, rcnn_engine, tile)
        engine = OpenVINOEngine(exported, settings, chosen, threads)
        plan = _localization_plan(settings, tile, memory_mb)
        imc_head = read_imc_head(folder / IMC_HEAD_FILE) if exported.names_families else None
        return ManTraNetWitness(exported.name, exported.sha256, engine, exported.temperature, plan, imc_head)
    if os.path.isfile(folder / RUN_FILE):
        device = torch_device(device)
        network, sha256, chosen = load_run(folder), run_sha256(folder), torch_precision(precision, device)
        if isinstance(network.settings, ConstrainedRCNNSettings):
            return ConstrainedRCNNWitness(
                "constrained-rcnn", sha256, TorchRCNNEngine(network, device, chosen, threads), tile
            )
        plan = _localization_plan(network.settings, tile, memory_mb)
        return ManTraNetWitness("mantranet", sha256, TorchEngine(network, device, chosen, threads), 1.0, plan)
    if entry is not None:
        raise ModelError(f"the model {name} does not come with this installation; name a folder instead")
    raise UnknownModelError(
        f"there is no model {name!r}: it is neither one of {', '.join(CATALOG)} nor a folder with "
        f"{MANIFEST_FILE} (an exported model), {RUN_FILE} (a training run) or {COMBINATION_FILE} (several models)"
    )


def _localization_plan(
    settings: ManTraNetSettings, tile: int | None, memory_mb: float | None
) -> Callable[[tuple[int, int]], LocalizationPlan]:
    """How a ManTra-Net cuts up pictures, from their sizes; impossible settings are refused now."""

    def plan(size_hw: tuple[int, int]) -> LocalizationPlan:
        map_memory_mb = DEFAULT_MAP_MEMORY_MB if memory_mb is None else memory_mb
        return plan_localization(settings, size_hw, tile, map_memory_mb, disk_for_maps_mb())

    plan((1, 1))
    return plan


def model_folder(name: str) -> Path:
    """Where the files of a model lie, or would lie: its name may be one of the catalogue, or a folder."""
    return EMBEDDED / name if name in CATALOG else Path(name)


@functools.lru_cache(maxsize=1)
def _kept_detector(name_or_folder: str) -> Detector:
    return Detector.from_name(name_or_folder)


def _as_picture(source: str | os.PathLike[str] | NDArray[np.uint8] | Picture) -> Picture:
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | os.PathLike):
        return read_image(source)
    return Picture.from_array(source)
