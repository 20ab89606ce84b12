"""`doctored evaluate`: how well models find known forgeries, how robustly, and at what cost."""

import dataclasses
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from doctored.apps.options import DEFAULT_MODEL
from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError, MissingExtraError

evaluate_app = typer.Typer(rich_markup_mode=None)

_OF_COST = frozenset(
    {"cost", "cost_mp", "model", "output", "as_json", "device", "tile", "precision", "force"}
)


@dataclass(frozen=True)
class LoadDetector:
    """Loads models by name, here and in worker processes.

    Args:
        device: As for `Detector.from_name`, and so are the others.
        precision: "auto", "int8", "bf16" or "fp32".
        tile: Side of the tiles in pixels; None for the fastest.
        threads: CPU threads of each process; None for all cores.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    threads: int | None = None

    def settings(self) -> dict[str, Any]:
        """What is said of a model besides its name, and decides its results."""
        return {"device": self.device, "precision": self.precision, "tile": self.tile}

    def __call__(self, name: str) -> Any:
        from doctored.predict.detector import Detector, load_panel, stored_calibration

        return Detector(load_panel(name, partial(_witness, self)), stored_calibration(name))


@cache
def _witness(settings: LoadDetector, name: str) -> Any:
    """One model of this process, whoever asks for it: alone or with others, it looks at a picture once."""
    from doctored.predict.detector import load_witness
    from doctored.predict.panel import RememberingWitness

    return RememberingWitness(load_witness(name, **settings.settings(), threads=settings.threads))


@evaluate_app.command()
def evaluate(
    context: typer.Context,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Each holds images/, masks/ of the same names, perhaps authentic/ and ignore/.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Name from 'doctored models', or the folder of a run or an exported model; repeatable.",
            show_default=DEFAULT_MODEL,
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DIR", help="One more folder; repeatable.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write tables, curves, cases and a page here."),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="full, mantranet or constrained-rcnn: which scores, and how.")
    ] = "full",
    average: Annotated[
        str,
        typer.Option("--average", help="per-image, or predicted-class beside it (constrained-rcnn)."),
    ] = "per-image",
    threshold: Annotated[
        float, typer.Option("--threshold", min=0, max=1, help="Of F1, IoU, MCC and recall.")
    ] = 0.5,
    polarity_flip: Annotated[
        bool, typer.Option("--polarity-flip", help="Score the better of each map and its inverse.")
    ] = False,
    ignored_border: Annotated[
        int,
        typer.Option(
            "--ignored-border", metavar="PX", min=0, help="Leave out pixels this near a mask's boundary."
        ),
    ] = 0,
    invert_large_masks: Annotated[
        bool, typer.Option("--invert-large-masks", help="Invert masks of more than half of the picture.")
    ] = False,
    yardsticks: Annotated[
        bool,
        typer.Option(
            "--yardsticks/--no-yardsticks", help="Add centre, sharpness, ela, noise and file facts."
        ),
    ] = True,
    equalised: Annotated[
        bool,
        typer.Option(
            "--equalised/--no-equalised",
            help="Score whole pictures a second time, saved alike; needs authentic/.",
        ),
    ] = True,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only a fixed subset of so many pictures.")
    ] = None,
    perturb: Annotated[
        bool,
        typer.Option("--perturb", help="Score the pictures after JPEG, blur, noise, resizing, platforms."),
    ] = False,
    perturb_limit: Annotated[
        int, typer.Option("--perturb-limit", min=1, help="Perturb so many pictures of each folder.")
    ] = 40,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Measure only what models cost; without --model, all that there are."),
    ] = False,
    cost_mp: Annotated[
        list[float] | None,
        typer.Option(
            "--cost-mp", metavar="MP", help="Megapixels of --cost; repeatable.", show_default="0.1, 0.5, 2"
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the resampling behind the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line for each row.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile",
            metavar="PX",
            help="Side of the tiles; ManTra-Net's result is the same.",
            show_default="auto",
        ),
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="auto, int8, bf16 or fp32.")] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Start anew in an --output of another command.")
    ] = False,
) -> None:
    """Score models on pictures with known forgeries.

    The same call goes on in its --output where an earlier one was stopped.

    \b
        doctored evaluate casia --model mantranet --model centre
        doctored evaluate casia coverage --model runs/mantranet --output evaluated --workers 2
        doctored evaluate --cost --cost-mp 0.5 --cost-mp 12
    """
    given = _given(context)
    if cost:
        useless = [option for name, option in given.items() if name not in _OF_COST]
        if useless:
            raise ConfigError(f"--cost measures on pictures of its own; leave out {', '.join(useless)}")
        _measure_costs(model, cost_mp, LoadDetector(device, precision, tile), output, as_json, force)
        return
    if cost_mp:
        raise ConfigError("--cost-mp belongs to --cost; leave it out, or add --cost")
    if "perturb_limit" in given and not perturb:
        raise ConfigError("--perturb-limit belongs to --perturb; leave it out, or add --perturb")
    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    load = LoadDetector(device, precision, tile, threads)
    named = [*(folders or []), *(data or [])]
    if not named:
        raise ConfigError("name at least one folder of pictures, as argument or with --data")
    _check_packages(output is not None, yardsticks, perturb)
    from doctored.evaluate.benchmark import EvaluateSettings
    from doctored.evaluate.benchmark import evaluate as run_evaluation
    from doctored.evaluate.protocols import make_protocol
    from doctored.evaluate.robustness import CONTROLS, SWEEP

    settings = EvaluateSettings(
        models=tuple(model or [DEFAULT_MODEL]),
        data=tuple(named),
        protocol=make_protocol(
            protocol,
            polarity_flip=polarity_flip,
            ignored_border_px=ignored_border,
            invert_large_masks=invert_large_masks,
            threshold=threshold,
            average=average,
        ),
        yardsticks=yardsticks,
        equalised=equalised,
        limit=limit,
        perturbations=SWEEP + CONTROLS if perturb else (),
        perturb_limit=perturb_limit,
        seed=seed,
    )
    with ProgressBar("pictures") as bar:
        evaluation = run_evaluation(
            settings,
            load,
            output,
            loaded_with=load.settings(),
            force=force,
            workers=workers,
            on_progress=bar.show,
        )
    if output is not None:
        from doctored.evaluate.report import write_report

        write_report(evaluation, output)
    group = ""
    for row in evaluation.rows:
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(row), allow_nan=False))
            continue
        if group != (group := f"{row.data}, {row.view.replace('_', ' ')}"):
            typer.echo(group)
        value = "undefined" if row.value is None else f"{row.value:.4f}"
        interval = "" if row.low is None or row.high is None else f"  [{row.low:.4f}, {row.high:.4f}]"
        undefined = f", {row.undefined} undefined" if row.undefined else ""
        by_class = " by predicted class" if row.average == "predicted_class" else ""
        typer.echo(
            f"{row.detector}  {row.metric + by_class:<27}  {value}{interval}  {row.pictures} pictures{undefined}"
        )


def _given(context: typer.Context) -> dict[str, str]:
    """Every parameter that was typed, by name, with the word for it."""
    given = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            words = parameter.secondary_opts if context.params[name] is False else parameter.opts
            given[name] = words[0] if words[0].startswith("-") else name
    return given


def _measure_costs(
    models: list[str] | None,
    megapixels: list[float] | None,
    load: LoadDetector,
    output: Path | None,
    as_json: bool,
    force: bool,
) -> None:
    from doctored.data.resumable_folder import open_folder, write_file
    from doctored.evaluate.cost import DEFAULT_MEGAPIXELS, catalogued_models, measure_costs
    from doctored.evaluate.tables import cost_markdown

    names, sizes = models or catalogued_models(), megapixels or list(DEFAULT_MEGAPIXELS)
    if output is not None:
        command = {"cost": {"models": names, "megapixels": sizes, **load.settings()}}
        open_folder(output, command, ("cost.md", "cost.json"), force=force)
    with ProgressBar("measurements") as bar:
        costs = measure_costs(names, sizes, load.settings(), bar.show)
    rows = [dataclasses.asdict(cost) for cost in costs]
    table = cost_markdown(costs)
    if output is not None:
        write_file(output / "cost.md", f"{table}\n".encode())
        write_file(output / "cost.json", f"{json.dumps(rows, indent=2)}\n".encode())
    for row in rows if as_json else []:
        typer.echo(json.dumps(row))
    if not as_json:
        typer.echo(table)


def _check_packages(writes: bool, yardsticks: bool, perturb: bool) -> None:
    """Say what is missing before hours of work, not after them."""
    needed = {"jinja2": "eval", "matplotlib": "eval", "pyarrow": "eval"} if writes else {}
    if yardsticks:
        needed["sklearn"] = "eval"
    if perturb:
        needed["cv2"] = "train"
    for package, extra in needed.items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("doctored evaluate", extra)
