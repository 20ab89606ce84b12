"""`doctored report`: what was found in pictures, and what their files say, as a file for people."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctored.apps.options import (
    DEFAULT_MODEL,
    CalibrationFile,
    Device,
    Fpr,
    Isolate,
    MaxMegabytes,
    MaxMegapixels,
    Model,
    Pictures,
    Precision,
    Tile,
)
from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from doctored.apps.report import FailedSection, PictureSection
    from doctored.core.inspection import Inspection
    from doctored.core.picture import Picture

report_app = typer.Typer(rich_markup_mode=None)


@report_app.command()
def report(
    context: typer.Context,
    pictures: Pictures,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The report; .html, .pdf or .json says which form.",
            show_default=False,
        ),
    ],
    device: Device = "auto",
    model: Model = DEFAULT_MODEL,
    tile: Tile = None,
    precision: Precision = "auto",
    fpr: Fpr = 0.05,
    calibration: CalibrationFile = None,
    show_position: Annotated[
        bool, typer.Option("--show-position", help="Show where a picture was taken, if its file says so.")
    ] = False,
    c2pa_trust: Annotated[
        Path | None,
        typer.Option(
            "--c2pa-trust",
            metavar="FILE",
            help="Certificates (PEM) whose Content Credentials are trusted.",
            show_default="none",
        ),
    ] = None,
    max_mp: MaxMegapixels = 400,
    max_mb: MaxMegabytes = 500,
    isolate: Isolate = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the report.")] = False,
) -> None:
    """Write a report about pictures: verdict, map, close-ups, and what their files say.

    \b
        doctored report photo.jpg --output report.html
        doctored report *.jpg --output report.pdf --model models/mine
    """
    from doctored.apps.detect import Batch, list_inputs
    from doctored.apps.isolation import file_parser
    from doctored.apps.outputs import write_complete
    from doctored.apps.report import FailedSection, Origin, Report, encode_report, picture_section
    from doctored.predict import Detector

    paths = list_inputs(pictures)
    if not paths:
        raise typer.BadParameter("standard input named no picture")
    ending = _checked_ending(output, paths, force=force)
    trust_anchors = None if c2pa_trust is None else _read_certificates(c2pa_trust)
    detector = Detector.from_name(
        model, device=device, precision=precision, tile=tile, fpr=fpr, calibration=calibration
    )
    sections: list[PictureSection | FailedSection] = []
    with (
        file_parser(max_mp, max_mb, isolate=isolate, with_credentials=True) as parser,
        ProgressBar("pictures") as bar,
    ):

        def announce(sentence: str) -> None:
            bar.hide()
            typer.echo(sentence, err=True)

        def section_of(
            number: int, picture: "Picture", inspection: "Inspection"
        ) -> "PictureSection | FailedSection":
            return picture_section(
                paths[number],
                picture,
                inspection,
                show_position=show_position,
                trust_anchors=trust_anchors,
                parser=parser,
            )

        batch = Batch(paths, detector, max_mp, max_mb, bar.show, announce, parser)
        for section in batch.each(section_of, FailedSection):
            sections.append(section)
            if isinstance(section, FailedSection):
                bar.hide()
                typer.echo(f"Error: {section.error}", err=True)
    content = encode_report(
        Report(sections, Origin.of(sections, detector.precision, _command(context, paths))), ending
    )
    write_complete(output, lambda file: file.write(content))
    typer.echo(f"see {output}")
    if any(isinstance(section, FailedSection) for section in sections):
        raise typer.Exit(1)


def _checked_ending(output: Path, paths: list[str], *, force: bool) -> str:
    """The ending of the report's name, once nothing speaks against writing it.

    Raises:
        ConfigError: The ending is none of a report, or a file is in the way.
        OutputError: The folder cannot be made.
        MissingExtraError: The form needs a package that is not installed.
    """
    from doctored.apps.outputs import make_folder
    from doctored.apps.report import ENDINGS, check_installed

    ending = output.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(
            f"{output} does not say which form the report has; end its name in {', '.join(ENDINGS)}"
        )
    check_installed(ending)
    if os.path.realpath(output) in {os.path.realpath(path) for path in paths}:
        raise ConfigError(f"{output} is one of the pictures to analyse; choose another --output")
    if output.is_dir():
        raise ConfigError(f"{output} is a folder; name a file in it")
    if output.exists() and not force:
        raise ConfigError(f"{output} already exists; choose another --output, or overwrite it with --force")
    make_folder(output.parent)
    return ending


def _read_certificates(path: Path) -> str:
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"{path} cannot be read ({reason}); give certificates in PEM format") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(f"{path} holds no certificate; give certificates in PEM format")
    return text


def _command(context: typer.Context, paths: list[str]) -> str:
    """What to type to get the same report: every option that was given, and all pictures by name."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in ("pictures", "force"):
            continue
        value = context.params[name]
        words += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    end = ["--"] if any(path.startswith("-") for path in paths) else []
    return shlex.join(["doctored", "report", *words, *end, *paths])
