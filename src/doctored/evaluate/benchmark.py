"""Scores of detectors on folders of real forgeries: every number is kept, and the same command goes on where it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doctored.core.errors import ConfigError, UndefinedMetricError
from doctored.data.resumable_folder import open_folder, work_through
from doctored.evaluate.box_protocol import BoxScores, box_rows, box_scores, gives_regions
from doctored.evaluate.cases import Case, list_cases, read_masks
from doctored.evaluate.measure import Item, Measured, MeasurePicture, Record
from doctored.evaluate.protocols import FULL, Protocol
from doctored.evaluate.robustness import RobustnessPoint, perturbations, robustness_points
from doctored.evaluate.store import Pooled, Store
from doctored.evaluate.summary import AreaRow, ComparisonRow, Row, area_rows, comparison_rows, score_rows
from doctored.evaluate.views import AS_IS, EQUALISED
from doctored.metrics.pixel import position_priors

YARDSTICKS = ("centre", "sharpness", "ela", "noise")
OUTPUTS = (
    "records.jsonl",
    "pooled.npz",
    "previews",
    "pictures.csv",
    "pictures.parquet",
    "summary.md",
    "summary.json",
    "roc.png",
    "pr.png",
    "tamper.png",
    "tamper.txt",
    "cases.png",
    "robustness.csv",
    "robustness.png",
    "report.html",
)
"""Everything that an evaluation writes into its output folder."""


@dataclass(frozen=True)
class EvaluateSettings:
    """What decides the results of an evaluation.

    Attributes:
        models: Names or folders, the first of which is compared with every other.
        data: Folders with `images/`, `masks/` of the same stems, perhaps `authentic/` and perhaps `ignore/`.
        protocol: Which scores, and by which conventions.
        yardsticks: Whether the four yardsticks that are not among the models are added, and the file facts.
        equalised: Whether pictures of sets that have authentic ones are looked at a second time, saved alike.
        limit: Of each folder only the fixed subset of so many pictures, half of each class. The position prior is
            that of the subset.
        perturbations: Families of perturbations that are run; none runs nothing.
        perturb_limit: Of each folder so many pictures are perturbed.
        seed: Of the resampling.
    """

    models: tuple[str, ...]
    data: tuple[Path, ...]
    protocol: Protocol = FULL
    yardsticks: bool = True
    equalised: bool = True
    limit: int | None = None
    perturbations: tuple[str, ...] = ()
    perturb_limit: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("expected at least one folder of pictures to evaluate on, got none")
        if len(set(self.models)) < len(self.models):
            raise ConfigError("a model is named twice; name each once")
        if not self.detectors:
            raise ConfigError("expected at least one detector to evaluate, got none")

    @property
    def detectors(self) -> tuple[str, ...]:
        """All models that run, the named ones first."""
        added = YARDSTICKS if self.yardsticks else ()
        return (*self.models, *(name for name in added if name not in self.models))

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            **asdict(self),
            "models": list(self.detectors),
            "data": [str(folder.resolve()) for folder in self.data],
            "protocol": {
                **asdict(self.protocol),
                "scores": None if self.protocol.scores is None else list(self.protocol.scores),
            },
            "perturbations": list(self.perturbations),
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that came of an evaluation.

    Attributes:
        settings: What it was asked for.
        cases: All pictures.
        records: All numbers of all pictures, in the order of cases, then views, then models.
        pooled: Pixels of all manipulated pictures by data set and model.
        rows: The table.
        comparisons: The first detector against every other.
        areas: Scores by forged area.
        boxes: Boxes of the models that give any.
        robustness: Curves; empty without perturbations.
        preview: From the key of a case to the first detector's reduced map; None where there is none.
    """

    settings: EvaluateSettings
    cases: list[Case]
    records: list[Record]
    pooled: Pooled
    rows: list[Row]
    comparisons: list[ComparisonRow]
    areas: list[AreaRow]
    boxes: list[BoxScores]
    robustness: list[RobustnessPoint]
    preview: Callable[[str], Path | None]


def evaluate(
    settings: EvaluateSettings,
    load: Callable[[str], Any],
    output: Path | None = None,
    *,
    loaded_with: Mapping[str, Any] | None = None,
    force: bool = False,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run models over pictures with known forgeries and score what they say.

    Args:
        settings: What decides the results.
        load: From the name of a model to its `Detector`; called here and, if there are several workers, in each
            of them.
        output: Where results are kept, so that the same call goes on; None keeps them in memory.
        loaded_with: What `load` was told that decides the results, such as the precision, in JSON's types.
        force: Start anew in a folder that holds the results of another command, or something else.
        workers: Number of processes.
        on_progress: Called with the numbers of views of pictures done and to do.

    Raises:
        ConfigError: A setting makes no sense, or the output folder holds something else, such as results of other
            weights, another precision or another calibration of a model.
        DataError: A folder does not hold what it should, or results cannot be written.
        UndefinedMetricError: A map holds NaN.
        ShapeError: A map or mask is not of its picture's size.
        ImageReadError: A file cannot be read.
        ModelError: There is no such model.
    """
    cases = list_cases(settings.data, settings.limit)
    items = _items(settings, cases)
    # What is wrong with a model is said here, before there are other processes.
    detectors = {name: load(name) for name in settings.detectors}
    if output is not None:
        command = {
            "command": "evaluate",
            **settings.to_json(),
            **(loaded_with or {}),
            **{
                what: value
                for name, detector in detectors.items()
                for what, value in _version(name, detector).items()
            },
        }
        open_folder(output, command, OUTPUTS, force=force)
    store = Store(output)
    todo = [item for item in items if item.key not in store.done]
    job = MeasurePicture(settings.detectors, load, settings.protocol.threshold, settings.protocol.convention)

    def keep(item: Item, measured: Measured) -> None:
        store.add(item, measured)
        if on_progress is not None:
            on_progress(len(store.done), len(items))

    try:
        work_through(job, todo, workers, keep)
    finally:
        store.save()
    with_regions = [name for name, detector in detectors.items() if gives_regions(detector.witness_names)]
    return _summarised(settings, cases, items, store, with_regions)


def _items(settings: EvaluateSettings, cases: Sequence[Case]) -> list[Item]:
    priors = _priors(settings, cases)
    items = [Item(case, AS_IS, priors.get(case.key)) for case in cases]
    if settings.equalised:
        with_authentic = {case.data for case in cases if case.authentic}
        items += [Item(case, EQUALISED) for case in cases if case.data in with_authentic]
    if settings.perturbations:
        limit = min(settings.perturb_limit, settings.limit or settings.perturb_limit)
        perturbed = list_cases(settings.data, limit)
        items += [
            Item(case, perturbation.view)
            for perturbation in perturbations(settings.perturbations)
            for case in perturbed
        ]
    return items


def _priors(settings: EvaluateSettings, cases: Sequence[Case]) -> dict[str, Any]:
    """The position prior of every manipulated picture whose set has another one."""
    priors: dict[str, Any] = {}
    for data in dict.fromkeys(case.data for case in cases):
        forged = [case for case in cases if case.data == data and case.mask is not None]
        try:
            own = position_priors(read_masks(forged), settings.protocol.convention)
        except UndefinedMetricError:  # a single picture
            continue
        priors |= {case.key: prior for case, prior in zip(forged, own, strict=True)}
    return priors


def _version(name: str, detector: Any) -> dict[str, str | None]:
    """What decides a model's results besides its name, however it came about."""
    return {
        f"SHA-256 of {name}": detector.sha256,
        f"precision of {name}": detector.precision,
        f"calibration of {name}": detector.calibration_sha256,
    }


def _summarised(
    settings: EvaluateSettings,
    cases: list[Case],
    items: Sequence[Item],
    store: Store,
    with_regions: Sequence[str],
) -> Evaluation:
    records = _in_order(store.records, settings, items)
    protocol = settings.protocol
    boxes = box_scores(records, cases, with_regions) if protocol.shows("box_average_precision") else []
    rows = score_rows(records, store.pooled, protocol, settings.seed, file_facts=settings.yardsticks)
    return Evaluation(
        settings=settings,
        cases=cases,
        records=records,
        pooled=store.pooled,
        rows=[*rows, *box_rows(boxes)],
        comparisons=comparison_rows(records, protocol, settings.seed),
        areas=area_rows(records, protocol),
        boxes=boxes,
        robustness=robustness_points(records) if settings.perturbations else [],
        preview=store.preview,
    )


def _in_order(records: Sequence[Record], settings: EvaluateSettings, items: Sequence[Item]) -> list[Record]:
    """Records as one process would have made them; several finish in any order."""
    models = {name: number for number, name in enumerate(settings.detectors)}
    places = {item.key: number for number, item in enumerate(items)}

    def place(record: Record) -> tuple[int, int]:
        kind = "authentic" if record["kind"] == "authentic" else "images"
        key = f"{record['view']} {record['data']}/{kind}/{record['name']}"
        return places[key], models[record["model"]]

    return sorted(records, key=place)
