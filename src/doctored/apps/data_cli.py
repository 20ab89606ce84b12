"""`doctored data`: published sets in one layout, and what is wrong with a folder of forgeries."""

import os
from pathlib import Path
from typing import Annotated

import typer

from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError

SPLITS = ("train", "test")

data_app = typer.Typer(
    no_args_is_help=True, help="Prepare and check data sets of real forgeries.", rich_markup_mode=None
)

Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes.", show_default="one per core")
]


@data_app.command()
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="casia-v1, casia-v2, coverage, columbia, nist16, coco-synthetic, dso-1, imd2020, korus, or folder "
            "for images/, masks/ and authentic/ of your own.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path,
        typer.Option("--source", metavar="DIR", help="Where the set was unpacked.", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder to fill.", show_default=False)
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="Only train or only test.", show_default="both")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks",
            metavar="DIR",
            help="CASIA: masks to take, named as their pictures or with _gt behind.",
            show_default="by difference from the originals",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="FILE", help="NIST16: its table.", show_default="looked for"),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            "--convention",
            help="folder: what masks mark manipulated pixels with: white, black, one (of 0 and 1), or auto.",
            show_default="auto",
        ),
    ] = None,
    workers: Workers = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what another command left.")] = False,
) -> None:
    """Bring a published set into one layout: images/, masks/, authentic/, manifest.csv.

    Pictures are copied byte for byte. The same call goes on where an earlier one was stopped. Numbers that are
    not the published ones are warnings; files that cannot be used are named, also in left_out.csv.

    \b
        doctored data prepare coverage --source COVERAGE --output data/coverage
        doctored data prepare casia-v1 --source CASIA1 --masks CASIA1_gt --output data/casia-v1
        doctored data prepare nist16 --source NC2016 --split test --output data/nist16-test
    """
    from doctored.core.read_image import MASK_CONVENTIONS
    from doctored.data.benchmarks.catalog import benchmark_of
    from doctored.data.benchmarks.entries import Options
    from doctored.data.preparation import prepare as prepare_set

    if split is not None and split not in SPLITS:
        raise ConfigError(f"--split is {split!r}; choose {' or '.join(SPLITS)}")
    if convention is not None and convention not in MASK_CONVENTIONS:
        raise ConfigError(f"--convention is {convention!r}; choose one of {', '.join(MASK_CONVENTIONS)}")
    with ProgressBar("pictures") as bar:
        prepared = prepare_set(
            benchmark_of(name),
            source,
            output,
            Options(masks, reference, convention),
            split=split,
            workers=workers or os.cpu_count() or 1,
            force=force,
            on_progress=bar.show,
        )
    for file in prepared.left_out:
        typer.echo(f"left out: {file.file}: {file.reason}", err=True)
    for warning in prepared.warnings:
        typer.echo(f"warning: {warning}", err=True)
    authentic = sum(row.technique == "authentic" for row in prepared.rows)
    counts = f"{len(prepared.rows) - authentic} manipulated, {authentic} authentic, {len(prepared.left_out)} left out"
    typer.echo(f"{output}  {counts}")


@data_app.command()
def check(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Holds images/, masks/ of the same names, perhaps authentic/.",
            show_default=False,
        ),
    ],
    workers: Workers = None,
) -> None:
    """List what is wrong with a folder of forgeries, one file a line; exit status 1 if anything is.

    Files without partner, unreadable ones, masks of another size, masks that mark nothing or everything, pictures of
    the same bytes, and files that the manifest does not know.

    \b
        doctored data check data/coverage
        doctored data check my-forgeries > problems.txt
    """
    from doctored.data.checks import check_folder

    with ProgressBar("pictures") as bar:
        problems = check_folder(folder, workers=workers or os.cpu_count() or 1, on_progress=bar.show)
    for problem in problems:
        typer.echo(str(problem))
    if problems:
        raise typer.Exit(1)
