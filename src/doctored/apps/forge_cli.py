"""`doctored forge` and `doctored contact-sheet`: forgeries of one's own photographs, as files and at a glance."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from doctored.synth.histories import Domain

PROTOCOLS = ("coco-synthetic",)
_SIZE_PX = 256

forge_app = typer.Typer(rich_markup_mode=None)


@forge_app.command()
def forge(
    photos: Annotated[
        Path, typer.Argument(help="Folder of photographs without manipulation.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder to fill.", show_default=False)
    ],
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            min=1,
            help="Files to make; of a protocol, the pairs to draw per category.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="authentic, splicing, copy_move, removal or enhancement; repeatable.",
            show_default="all five",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every choice.")] = 0,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", metavar="PX", min=64, help="Side of the pictures.", show_default=str(_SIZE_PX)
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option("--domain", help="web, lossless or chain.", show_default="a mixture"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes.", show_default="one per core")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="coco-synthetic: the pre-training set of Constrained R-CNN."),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations", metavar="FILE", help="Outlines of objects in the photographs, as COCO's."
        ),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category", help="Objects of a protocol; repeatable.", show_default="the published six"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what another command left.")] = False,
) -> None:
    """Make forgeries of photographs, with masks and recipes.

    The same call goes on where an earlier one was stopped.

    \b
        doctored forge photos --output forged --count 1000
        doctored forge photos --output spliced --count 100 --kind splicing --kind authentic
        doctored forge coco --protocol coco-synthetic --annotations instances.json --output synthetic
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol is {protocol!r}; choose {' or '.join(PROTOCOLS)}")
    workers = workers or os.cpu_count() or 1
    with ProgressBar("files") as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.show(done, total)

        if protocol is None:
            if category:
                raise ConfigError("--category belongs to --protocol coco-synthetic")
            if count is None:
                raise ConfigError("say with --count how many files to make")
            from doctored.core.forgery import TECHNIQUES
            from doctored.data.forged_folder import ForgeSettings, forge_files

            settings = ForgeSettings(
                count,
                kinds=tuple(kind or TECHNIQUES),
                seed=seed,
                size_px=size or _SIZE_PX,
                domain=cast("Domain | None", domain),
            )
            skipped = forge_files(
                photos,
                output,
                settings,
                annotations=annotations,
                workers=workers,
                force=force,
                on_progress=show,
            )
        else:
            if annotations is None:
                raise ConfigError(f"--protocol {protocol} needs --annotations FILE")
            if kind or domain is not None or size is not None:
                raise ConfigError(f"--kind, --domain and --size do not go with --protocol {protocol}")
            from doctored.data.coco_forgeries import CocoSettings, forge_coco
            from doctored.synth.coco_synthetic import CATEGORIES, TRIES_PER_CATEGORY

            coco = CocoSettings(count or TRIES_PER_CATEGORY, tuple(category or CATEGORIES), seed)
            skipped = forge_coco(
                photos, annotations, output, coco, workers=workers, force=force, on_progress=show
            )
    for skip in skipped:
        typer.echo(f"skipped: {skip.reason}", err=True)
    typer.echo(str(output))


@forge_app.command("contact-sheet")
def contact_sheet(
    picture: Annotated[Path, typer.Argument(help="A photograph.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="PNG file to write.", show_default=False)
    ],
    donor: Annotated[
        Path | None,
        typer.Option("--donor", help="Photograph to splice from.", show_default="the same, turned"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every choice.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --output.")] = False,
) -> None:
    """Show one photograph through every kind of forgery and every family of manipulations.

    \b
        doctored contact-sheet photo.jpg --output sheet.png
        doctored contact-sheet photo.jpg --donor other.jpg --output sheet.png --seed 7
    """
    from doctored.data.contact_sheets import write_contact_sheet

    photographs = [picture] if donor is None else [picture, donor]
    if os.path.realpath(output) in {os.path.realpath(path) for path in photographs}:
        raise ConfigError(f"{output} is one of the photographs; choose another --output")
    if output.exists() and not force:
        raise ConfigError(f"{output} already exists; choose another --output file, or overwrite with --force")
    write_contact_sheet(picture, output, donor, seed)
    typer.echo(str(output))
