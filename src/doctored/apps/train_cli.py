"""`doctored train`: the stages of both networks from any folder of photographs, and fine-tuning."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_type_hints

import typer

from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from typing import TypeVar

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from doctored.data.photograph_pool import PhotographPool
    from doctored.data.photographs import Photograph, Skipped
    from doctored.data.region_samples import SamplesByNumber
    from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
    from doctored.models.mantranet.settings import ManTraNetSettings
    from doctored.train.loop import Progress, Task
    from doctored.train.settings import (
        FinetuneSettings,
        ImcSettings,
        LoopSettings,
        MantranetSettings,
        RcnnSettings,
    )

    N = TypeVar("N", bound=ManTraNetSettings | ConstrainedRCNNSettings)
    S = TypeVar("S", ImcSettings, MantranetSettings, FinetuneSettings, RcnnSettings)

_BOOLEANS = {"true": True, "false": False}

train_app = typer.Typer(
    no_args_is_help=True, help="Train the networks on your own photographs.", rich_markup_mode=None
)

Photos = Annotated[
    Path, typer.Argument(help="Folder of photographs without manipulation.", show_default=False)
]
Output = Annotated[Path, typer.Option("--output", help="Folder of the run.", show_default=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")]
Preset = Annotated[str, typer.Option(help="'paper', or 'cpu' for a few CPU cores.")]
Start = Annotated[Path | None, typer.Option("--start", help="A run, or a file of weights, to start from.")]
Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="Shape of the network; a name that does not exist lists them.",
        show_default="that of --start, else as published",
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(
        "--split",
        help="CSV with columns file and role: learn from 'train', check on 'test', use no other. "
        "Without it, a tenth of the photographs is held out by camera, source or name.",
    ),
]
FreeOnly = Annotated[
    bool,
    typer.Option(
        "--free-only",
        help="Use only photographs that manifest.csv states a free licence for, such as CC0 or CC BY; other weights to "
        "--start from are refused.",
    ),
]
FreeWitnesses = Annotated[
    bool,
    typer.Option(
        "--free-only",
        help="Use only photographs that manifest.csv states a free licence for, such as CC0 or CC BY; networks that "
        "may have learned from others are refused.",
    ),
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Optimiser steps in all, instead of the preset's.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the start weights and all samples.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes, one GPU or CPU share each.")]
Nodes = Annotated[
    int, typer.Option("--nodes", min=1, help="Machines that run this command together; see docs/training.md.")
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Learn from this kind of forgery only; may be repeated."),
]
Pool = Annotated[
    Path | None,
    typer.Option(
        "--pool",
        help="Folder of the prepared photographs, made if it is not there; several runs may share it.",
        show_default="beside --output",
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option("--annotations", help="File with outlines of objects in the photographs, as COCO's."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting, such as batch_size=8; may be repeated."
    ),
]


@train_app.command(short_help="First: tell 385 manipulations apart.")
def imc(
    photos: Photos,
    output: Output,
    resume: Resume = False,
    preset: Preset = "paper",
    start: Start = None,
    network: Network = None,
    split: Split = None,
    free_only: FreeOnly = False,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    settings: Settings = None,
) -> None:
    """Teach the first layers of a network to tell 385 manipulations apart.

    That is stage one of ManTra-Net, and pre-training for the backbone of Constrained R-CNN.

    \b
        doctored train imc photos --output runs/imc --preset cpu
        doctored train imc photos --output runs/imc --preset cpu --resume
        doctored train imc photos --network constrained-rcnn-small --output runs/imc-rcnn --preset cpu
    """
    from doctored.data.photographs import check_apart
    from doctored.models.constrained_rcnn import settings as constrained_rcnn
    from doctored.models.mantranet import settings as mantranet
    from doctored.train.imc import ImcTask
    from doctored.train.settings import ImcSettings, RcnnImcSettings

    device = _usable_device(device, devices)
    shape = _shape(network, output if resume else start, mantranet.NETWORKS | constrained_rcnn.NETWORKS)
    of_mantranet = isinstance(shape, mantranet.ManTraNetSettings)
    chosen = _settings(ImcSettings if of_mantranet else RcnnImcSettings, preset, steps, seed, settings)
    _check_free_only(free_only, output if resume else None, start)
    weights = _start_weights(start)
    check_apart(output, photos)
    learn, held_out, source = _photographs(photos, split, free_only, min_side_px=chosen.work_px)
    source |= {"start": _name(start)}
    task = ImcTask(chosen, learn, held_out, weights, source, shape)
    _run(task, chosen, output, resume, device, devices, nodes, _licence(source, start))


@train_app.command(short_help="Stage two: find forgeries.")
def mantranet(
    photos: Photos,
    output: Output,
    resume: Resume = False,
    preset: Preset = "paper",
    start: Start = None,
    network: Network = None,
    split: Split = None,
    free_only: FreeOnly = False,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    kind: Kinds = None,
    settings: Settings = None,
    pool: Pool = None,
    annotations: Annotations = None,
) -> None:
    """Stage two: teach the anomaly detector to find forgeries made on the fly.

    \b
        doctored train mantranet photos --start runs/imc --output runs/mantranet --preset cpu
        doctored train mantranet photos --output runs/mantranet --preset cpu --resume
    """
    from doctored.data.photographs import check_apart
    from doctored.data.removals import prepared_removals
    from doctored.models.mantranet.settings import NETWORKS
    from doctored.synth.histories import smallest_side_px
    from doctored.train.mantranet import MantranetTask
    from doctored.train.settings import MantranetSettings

    chosen = _settings(MantranetSettings, preset, steps, seed, settings)
    if kind:
        chosen = dataclasses.replace(chosen, kinds=tuple(kind))
    device = _usable_device(device, devices)
    shape = _shape(network, output if resume else start, NETWORKS)
    _check_free_only(free_only, output if resume else None, start)
    weights = _start_weights(start)
    check_apart(output, photos)
    folder = pool or _beside(output)
    smallest_px = smallest_side_px(chosen.crop_px)
    learn, held_out, source = _pools(photos, split, free_only, folder, annotations, smallest_px)
    source |= {"start": _name(start)}
    removals = prepared_removals(learn, folder / "removals", chosen.crop_px)
    task = MantranetTask(chosen, learn, held_out, weights, source, shape, removals)
    _run(task, chosen, output, resume, device, devices, nodes, _licence(source, start))


@train_app.command("constrained-rcnn", short_help="Find manipulated regions and name what was done.")
def constrained_rcnn(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder of photographs, of which forgeries are made on the fly, or a set made by 'doctored data "
            "prepare'.",
            show_default=False,
        ),
    ],
    stage: Annotated[
        str,
        typer.Option(help="'1' for boxes and techniques, 'full' for masks too.", show_default=False),
    ],
    output: Output,
    resume: Resume = False,
    preset: Preset = "paper",
    start: Start = None,
    network: Network = None,
    split: Split = None,
    free_only: FreeOnly = False,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    kind: Kinds = None,
    settings: Settings = None,
    pool: Pool = None,
    annotations: Annotations = None,
) -> None:
    """Teach Constrained R-CNN to find manipulated regions: stage 1 first, then both stages from there.

    \b
        doctored train constrained-rcnn photos --stage 1 --start runs/imc --output runs/stage1 --preset cpu
        doctored train constrained-rcnn photos --stage full --start runs/stage1 --output runs/rcnn --preset cpu
    """
    from doctored.data.photographs import check_apart
    from doctored.data.prepared_set import is_prepared_set
    from doctored.models.constrained_rcnn.settings import NETWORKS
    from doctored.train.constrained_rcnn import ConstrainedRCNNTask
    from doctored.train.settings import RcnnSettings, RcnnStage1Settings

    if stage not in ("1", "full"):
        raise ConfigError(f"--stage is {stage!r}; choose 1 or full")
    chosen = _settings(RcnnStage1Settings if stage == "1" else RcnnSettings, preset, steps, seed, settings)
    if kind:
        chosen = dataclasses.replace(chosen, kinds=tuple(kind))
    device = _usable_device(device, devices)
    shape = _shape(network, output if resume else start, NETWORKS)
    _check_free_only(free_only, output if resume else None, start)
    weights = _start_weights(start)
    prepared = is_prepared_set(data)
    if prepared and (kind or split or pool or annotations or free_only):
        raise ConfigError(
            f"{data} is a prepared set, whose forgeries are made already; leave --kind, --split, --pool, --annotations "
            "and --free-only out"
        )
    if prepared:
        learn, held_out, classes, source = _prepared(data, chosen)
    else:
        check_apart(output, data)
        folder = pool or _beside(output)
        learn, held_out, classes, source = _generated(data, split, free_only, folder, annotations, chosen)
    source |= {"start": _name(start)}
    task = ConstrainedRCNNTask(
        chosen,
        learn,
        held_out,
        weights,
        source,
        dataclasses.replace(shape, classes=classes, mask_stage=stage == "full"),
        start_classes=_classes_of(start),
    )
    _run(task, chosen, output, resume, device, devices, nodes, _licence(source, start))


@train_app.command(short_help="Adapt to your own forgeries.")
def finetune(
    data: Annotated[
        Path,
        typer.Argument(
            help="Holds images/, masks/ of the same names, perhaps authentic/.", show_default=False
        ),
    ],
    output: Output,
    resume: Resume = False,
    preset: Preset = "paper",
    start: Start = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    settings: Settings = None,
) -> None:
    """Adapt the anomaly detector to your own forgeries with masks; the trace extractor stays as it is.

    About a fifth of the pictures is never learned from, and every checkpoint reports how well those are done.

    \b
        doctored train finetune mine --start runs/mantranet --output runs/mine --preset cpu
        doctored train finetune mine --output runs/mine --preset cpu --resume
    """
    from doctored.models.mantranet.settings import NETWORKS
    from doctored.train.finetune import FinetuneTask, usable_examples
    from doctored.train.settings import FinetuneSettings

    if start is None and not resume:
        raise ConfigError("fine-tuning needs --start with a run of 'doctored train mantranet'")
    chosen = _settings(FinetuneSettings, preset, steps, seed, settings)
    device = _usable_device(device, devices)
    shape = _shape(None, output if resume else start, NETWORKS)
    weights = _start_weights(start)
    learn, held_out, skipped = usable_examples(data, chosen.crop_px)
    _list_skipped(skipped)
    source = {"pictures": len(learn), "held_out_pictures": len(held_out), "start": _name(start)}
    print(f"{len(learn)} pictures to learn from, {len(held_out)} held out", file=sys.stderr)
    task = FinetuneTask(chosen, learn, held_out, weights, source, shape)
    _run(task, chosen, output, resume, device, devices, nodes, _licence(source, start))


@train_app.command(short_help="Weigh several witnesses against each other.")
def combination(
    photos: Photos,
    output: Annotated[
        Path, typer.Option("--output", help="Folder of the combination, for --model.", show_default=False)
    ],
    witness: Annotated[
        list[str] | None,
        typer.Option(
            "--witness",
            help="Name from 'doctored models', or the folder of a run or an exported model; name each.",
            show_default="mantranet, constrained-rcnn, copy-search, grid-search",
        ),
    ] = None,
    split: Split = None,
    samples: Annotated[int, typer.Option("--samples", min=20, help="Forgeries to fit on.")] = 600,
    crop_px: Annotated[int, typer.Option("--crop-px", min=128, help="Side of a forgery.")] = 320,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            "--domain",
            help="History of the forgeries: web, chain or lossless; repeatable.",
            show_default="web, chain",
        ),
    ] = None,
    score_of: Annotated[
        str | None,
        typer.Option(
            "--score-of",
            metavar="WITNESS",
            help="Take the score of whole pictures from this one alone, for instance because the false alarms of "
            "another do not hold.",
            show_default="fitted like the map",
        ),
    ] = None,
    score_weight: Annotated[
        list[str] | None,
        typer.Option(
            "--score-weight",
            metavar="WITNESS=WEIGHT",
            help="Set what the raw score of a witness counts, for instance because it speaks too rarely for a fit; "
            "repeatable.",
            show_default="fitted",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the forgeries.")] = 0,
    device: Device = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, int8, bf16 or fp32.")] = "auto",
    pool: Pool = None,
    annotations: Annotations = None,
    free_only: FreeWitnesses = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the combination in --output.")] = False,
) -> None:
    """Fit the rule by which several models give one answer, on forgeries made on the fly.

    \b
        doctored train combination photos --output models/both
        doctored train combination photos --witness models/a --witness models/b --output models/ab
    """
    from doctored.apps.combine import (
        check_combination,
        check_free_witnesses,
        domain_shares,
        fit_combination,
        set_score_weights,
        with_score_of,
        write_combination,
    )
    from doctored.apps.outputs import make_folder
    from doctored.apps.progress import ProgressBar
    from doctored.data.forgery_stream import ForgeryStream
    from doctored.models.catalog import COPY_SEARCH, GRID_SEARCH
    from doctored.predict.detector import load_witness
    from doctored.synth.histories import smallest_side_px

    models = witness or ["mantranet", "constrained-rcnn", COPY_SEARCH, GRID_SEARCH]
    check_combination(output, models, score_of, score_weight or [], force=force)
    set_weights = set_score_weights(score_weight or [], models)
    # What people ask about has nearly always been saved as JPEG; fresh camera pixels favour one witness over the
    # other far more than such files do.
    shares = domain_shares(domain or ["web", "chain"])
    if free_only:
        check_free_witnesses(models)
    witnesses = [load_witness(name, device=device, precision=precision) for name in models]
    make_folder(output)
    folder = pool or _beside(output)
    learn, _, source = _pools(photos, split, free_only, folder, annotations, smallest_side_px(crop_px))
    fitted_on = (
        f"{samples} generated samples of {crop_px} px ({', '.join(shares)}), {source['photographs']} photographs "
        f"({', '.join(source['sources'])}), seed {seed}"
    )
    if set_weights:
        fitted_on += "; set, not fitted: " + ", ".join(
            f"score of {name} {w:g}" for name, w in set_weights.items()
        )
    stream = ForgeryStream(learn, crop_px, seed, domain_shares=shares)
    with ProgressBar("samples") as bar:
        names = {model: one.name for model, one in zip(models, witnesses, strict=True)}
        set_by_name = {names[model]: weight for model, weight in set_weights.items()}
        fitted = fit_combination(witnesses, stream, samples, bar.show, set_by_name)
    if score_of is not None:
        fitted = with_score_of(fitted, models.index(score_of))
    print(write_combination(fitted, models, fitted_on, source["licences"], output))


def _settings(
    kind: "type[S]", preset: str, steps: int | None, seed: int | None, assignments: list[str] | None
) -> "S":
    """A preset with the user's changes, each converted to the type of the setting it replaces."""
    presets = {"paper": kind.paper, "cpu": kind.cpu}
    if preset not in presets:
        raise ConfigError(f"--preset is {preset!r}; choose {' or '.join(presets)}")
    chosen = presets[preset]()
    changes: dict[str, Any] = {}
    for assignment in assignments or []:
        name, equals, text = assignment.partition("=")
        if not equals or name not in chosen.to_json():
            raise ConfigError(
                f"--set got {assignment!r}; give NAME=VALUE with one of {', '.join(chosen.to_json())}"
            )
        wanted = type(getattr(chosen, name))
        try:
            if wanted is tuple:
                of = get_args(get_type_hints(kind)[name])[0]
                changes[name] = tuple(of(part) for part in text.split(",") if part)
            else:
                changes[name] = _BOOLEANS[text.lower()] if wanted is bool else wanted(text)
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"--set {name} needs a value of type {wanted.__name__}; got {text!r}"
            ) from error
    changes |= {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
    return dataclasses.replace(chosen, **changes)


def _usable_device(device: str, devices: int) -> str:
    """The device to train on, once it is known to be there as often as it is wanted."""
    import torch

    from doctored.predict.precision import torch_device

    chosen = torch_device(device)
    present = {"cuda": torch.cuda.device_count(), "mps": 1}.get(chosen, devices)
    if devices > present:
        raise ConfigError(
            f"--devices is {devices}, but there are {present} of {chosen} here; give no more than these"
        )
    return chosen


def _shape(network: str | None, run: Path | None, networks: "dict[str, N]") -> "N":
    """Shape of the network: the one that is named, and the one of the run that is gone on from; they must agree.

    Args:
        network: One of `networks`, or None for that of the run, or else for the first one.
        run: Its folder, if there is one.
        networks: What the command can train.
    """
    from doctored.predict.weights import RUN_FILE, run_settings

    if network is not None and network not in networks:
        raise ConfigError(f"--network is {network!r}; choose {', '.join(networks)}")
    if run is None or not (run / RUN_FILE).is_file():
        return networks[network or next(iter(networks))]
    shape = run_settings(run)
    if type(shape) not in {type(known) for known in networks.values()}:
        raise ConfigError(
            f"{run} holds another network than {' or '.join(networks)}; give a run of one of these"
        )
    if network is not None and _layers(shape) != _layers(networks[network]):
        raise ConfigError(f"{run} holds a network of another shape than {network}; leave --network out")
    return cast("N", shape)


def _layers(
    shape: "ManTraNetSettings | ConstrainedRCNNSettings",
) -> "ManTraNetSettings | ConstrainedRCNNSettings":
    """A shape without what may change from stage to stage."""
    from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

    if not isinstance(shape, ConstrainedRCNNSettings):
        return shape
    usual = ConstrainedRCNNSettings()
    return dataclasses.replace(
        shape, classes=usual.classes, mask_stage=True, rpn_batch=usual.rpn_batch, roi_batch=usual.roi_batch
    )


def _check_free_only(free_only: bool, resumed: Path | None, start: Path | None) -> None:
    """Refuse weights that learned from other photographs than free ones, where only those are wanted."""
    from doctored.data.licences import started_free_only

    if resumed is not None and (resumed / "run.json").exists() and started_free_only(resumed) != free_only:
        how = "without" if free_only else "with"
        raise ConfigError(f"{resumed} was started {how} --free-only; resume it likewise")
    if free_only and start is not None and not started_free_only(start):
        raise ConfigError(
            f"--start {start} may have learned from photographs that are not free; with --free-only, start from a run "
            "that was trained with it, or from nothing"
        )


def _licence(source: Mapping[str, Any], start: Path | None) -> str:
    """The note to lay beside the weights."""
    from doctored.data.licences import LICENCE_FILE, licence_note

    if start is None:
        return licence_note(source.get("licences"))
    note = (start if start.is_dir() else start.parent) / LICENCE_FILE
    return licence_note(
        source.get("licences"), (start.name, note.read_text(encoding="utf-8") if note.is_file() else None)
    )


def _roles(
    folder: Path, split: Path | None, free_only: bool
) -> tuple[list["Photograph"], list["Photograph"], dict[str, Any]]:
    """Photographs to learn from, photographs to check on, and what the run's description says of them."""
    from doctored.data.licences import count_licences, free_photographs
    from doctored.data.photographs import list_photographs, read_split, split_photographs, with_role

    photographs = list_photographs(folder)
    if free_only:
        free = free_photographs(folder, photographs)
        print(f"{len(free)} of {len(photographs)} photographs are free", file=sys.stderr)
        photographs = free
    if split is None:
        learn, held_out = split_photographs(photographs)
    else:
        roles = read_split(split)
        learn, held_out = with_role(photographs, roles, "train"), with_role(photographs, roles, "test")
    sources = sorted({photograph.source or "not named" for photograph in learn})
    description = {"sources": sources, "licences": count_licences(learn), "free_only": free_only}
    return learn, held_out, description


def _photographs(
    folder: Path, split: Path | None, free_only: bool, min_side_px: int
) -> tuple[list["NDArray[np.uint8]"], list["NDArray[np.uint8]"], dict[str, Any]]:
    """Pixels to learn from, pixels to check on, and what the run's description says of them."""
    from doctored.data.photographs import read_photographs

    *roles, description = _roles(folder, split, free_only)
    pixels = []
    for chosen in roles:
        arrays, skipped = read_photographs(chosen, min_side_px=min_side_px)
        _list_skipped(skipped)
        pixels.append(list(arrays.values()))
    counts = {"photographs": len(pixels[0]), "held_out_photographs": len(pixels[1])}
    return pixels[0], pixels[1], counts | description


def _beside(output: Path) -> Path:
    """Where the prepared photographs of a run go that shares them with no other."""
    folder = Path(os.path.abspath(output))  # "." has no name that another could be made of
    if not folder.name:
        raise ConfigError(f"{output} is the whole disk; give a folder in it as --output")
    return folder.with_name(f"{folder.name}.pool")


def _pools(
    folder: Path,
    split: Path | None,
    free_only: bool,
    pool: Path,
    annotations: Path | None,
    min_side_px: int,
) -> tuple["PhotographPool", "PhotographPool", dict[str, Any]]:
    """Pools to learn from and to check on, prepared unless they are there, and what the run's description says."""
    from doctored.data.photograph_pool import annotated_outlines, prepared_pool

    learn, held_out, description = _roles(folder, split, free_only)
    outlines = None if annotations is None else annotated_outlines(annotations, [*learn, *held_out])
    pools = []
    for name, chosen in (("learn", learn), ("held_out", held_out)):
        prepared, skipped = prepared_pool(chosen, pool / name, min_side_px=min_side_px, annotated=outlines)
        _list_skipped(skipped)
        pools.append(prepared)
    counts = {"photographs": len(pools[0]), "held_out_photographs": len(pools[1])}
    return pools[0], pools[1], counts | description


def _prepared(
    folder: Path, settings: "RcnnSettings"
) -> tuple["SamplesByNumber", "SamplesByNumber", tuple[str, ...], dict[str, Any]]:
    """Crops of a prepared set to learn from and to check on, their classes, and what the run's description says."""
    from doctored.data.crops import CropsInTurn
    from doctored.data.prepared_crops import prepared_pictures

    # Alone in its batch, a picture may have any size.
    smallest_px = settings.crop_px if settings.batch_size > 1 else 1
    learn, held_out, classes, skipped = prepared_pictures(folder, settings.two_classes, smallest_px)
    _list_skipped(skipped)
    source = {"set": folder.name, "pictures": len(learn), "held_out_pictures": len(held_out)}
    size_px = settings.crop_px
    made, checked = CropsInTurn(learn, size_px, settings.seed), CropsInTurn(held_out, size_px, 385)
    return made, checked, classes, source


def _generated(
    folder: Path,
    split: Path | None,
    free_only: bool,
    pool: Path,
    annotations: Path | None,
    settings: "RcnnSettings",
) -> tuple["SamplesByNumber", "SamplesByNumber", tuple[str, ...], dict[str, Any]]:
    """Forgeries of photographs to learn from and to check on, their classes, and what the run's description says."""
    from doctored.core.forgery import TECHNIQUES
    from doctored.data.forgery_stream import DEFAULT_SHARES, ForgeryStream
    from doctored.data.prepared_crops import TWO_CLASSES
    from doctored.data.region_samples import GeneratedSamples
    from doctored.data.removals import prepared_removals
    from doctored.synth.histories import smallest_side_px

    size_px = settings.crop_px
    learn, held_out, source = _pools(folder, split, free_only, pool, annotations, smallest_side_px(size_px))
    shares = {kind: DEFAULT_SHARES[kind] for kind in settings.kinds}
    removals = prepared_removals(learn, pool / "removals", size_px) if "removal" in settings.kinds else None
    large = ForgeryStream(learn, 2 * size_px, settings.seed, shares) if settings.halved_share else None
    stream = ForgeryStream(learn, size_px, settings.seed, shares, removals=removals)
    made = GeneratedSamples(stream, large=large, halved_share=settings.halved_share)
    checked = GeneratedSamples(ForgeryStream(held_out, size_px, 385, shares), flip=False)
    return made, checked, TWO_CLASSES if settings.two_classes else TECHNIQUES, source


def _classes_of(start: Path | None) -> tuple[str, ...] | None:
    """What the run to start from tells apart, if it does."""
    from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
    from doctored.predict.weights import RUN_FILE, run_settings

    if start is None or not (start / RUN_FILE).is_file():
        return None
    shape = run_settings(start)
    return shape.classes if isinstance(shape, ConstrainedRCNNSettings) else None


def _list_skipped(skipped: "list[Skipped]") -> None:
    for skip in skipped:
        print(f"skipped: {skip.reason}", file=sys.stderr)


def _start_weights(start: Path | None) -> "dict[str, torch.Tensor] | None":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if start is None:
        return None
    path = start / "weights.safetensors" if start.is_dir() else start
    if path.suffix == ".pth":
        return _torchvision_weights(path)
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"--start found no readable weights in {path} ({error}); give a run or its file"
        ) from error


def _torchvision_weights(path: Path) -> "dict[str, torch.Tensor]":
    import torch

    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise ConfigError(
            f"--start found no readable weights in {path} ({error}); give torchvision's file of a ResNet"
        ) from error


def _name(start: Path | None) -> str | None:
    return None if start is None else start.name


def _run(
    task: "Task",
    settings: "LoopSettings",
    output: Path,
    resume: bool,
    device: str,
    devices: int,
    nodes: int,
    licence: str,
) -> None:
    from doctored.train.loop import train

    train(
        task,
        settings,
        output,
        resume=resume,
        accelerator=device,
        devices=devices,
        nodes=nodes,
        licence=licence,
        on_progress=_print_progress,
    )


def _print_progress(progress: "Progress") -> None:
    hours, seconds = divmod(int(progress.seconds_left), 3600)
    figures = "  ".join(f"{name} {value:.3f}" for name, value in progress.figures.items())
    print(
        f"step {progress.step}/{progress.steps}  {progress.samples_per_second:.1f} samples/s  "
        f"{hours}:{seconds // 60:02d} h left  {figures}",
        file=sys.stderr,
    )
