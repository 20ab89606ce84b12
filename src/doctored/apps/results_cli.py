"""`doctored results`: what scans have found, as a list, a table or a page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctored.apps.options import Isolate, MaxMegabytes, MaxMegapixels
from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from doctored.apps.scan.results import FileResult, Filter

results_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Stores = Annotated[
    list[Path], typer.Argument(metavar="STORE", help="What 'doctored scan' wrote.", show_default=False)
]
Verdict = Annotated[
    str | None, typer.Option("--verdict", help="manipulated, no_signs or cannot_judge.", show_default="all")
]
Errors = Annotated[bool, typer.Option("--errors", help="Files that failed only.")]
Above = Annotated[
    float | None, typer.Option("--above", metavar="SCORE", help="Scores from here on.", show_default="all")
]
Match = Annotated[
    str | None, typer.Option("--match", metavar="PATTERN", help="Paths like '*/2024/*'.", show_default="all")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Analysed then or later.", show_default="all")
]
FprAnew = Annotated[
    float | None,
    typer.Option(
        "--fpr",
        metavar="RATE",
        help="Judge anew at this accepted rate of false alarms, from the stored scores.",
        show_default="that of the scan",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output.")]


@results_app.callback()
def results_command() -> None:
    """Look at what 'doctored scan' has found, also while it is still running."""


@results_app.command()
def show(
    stores: Stores,
    verdict: Verdict = None,
    errors: Errors = False,
    above: Above = None,
    match: Match = None,
    since: Since = None,
    fpr: FprAnew = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, highest scores first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as detect does.")] = False,
) -> None:
    """List the files with the highest scores.

    \b
        doctored results show scan.db --verdict manipulated
        doctored results show scan.db --since 2026-03-31 --fpr 0.01 --json
    """
    from doctored.apps.scan.results import highest_results

    wanted = _filter(verdict, errors, above, match, since, fpr)
    for result in highest_results(stores, wanted, limit):
        typer.echo(json.dumps(result.to_json(), allow_nan=False) if as_json else _line(result))
    _mention_unfinished(stores)


@results_app.command()
def export(
    stores: Stores,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="FILE", help="Ends in .parquet, .csv or .jsonl.", show_default=False
        ),
    ],
    verdict: Verdict = None,
    errors: Errors = False,
    above: Above = None,
    match: Match = None,
    since: Since = None,
    fpr: FprAnew = None,
    force: Force = False,
) -> None:
    """Write results as a table, in the order of the files; several stores one after the other.

    \b
        doctored results export scan.db --output scan.parquet
        doctored results export part-*.db --output all.csv --verdict manipulated
    """
    from itertools import chain

    from doctored.apps.scan.export import write_table
    from doctored.apps.scan.results import read_results

    _check_output(output, force=force)
    wanted = _filter(verdict, errors, above, match, since, fpr)
    write_table(output, chain.from_iterable(read_results(store, wanted) for store in stores))
    _mention_unfinished(stores)
    typer.echo(f"see {output}")


@results_app.command()
def report(
    stores: Stores,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Ends in .html.", show_default=False)
    ],
    verdict: Verdict = None,
    above: Above = None,
    match: Match = None,
    since: Since = None,
    fpr: FprAnew = None,
    max_mp: MaxMegapixels = 400,
    max_mb: MaxMegabytes = 500,
    isolate: Isolate = False,
    force: Force = False,
) -> None:
    """Write a page: the spread of the scores, the highest with their maps, errors, and pictures that look alike.

    \b
        doctored results report scan.db --output scan.html
        doctored results report scan.db --output new.html --since 2026-03-31
    """
    from doctored.apps.isolation import file_parser
    from doctored.apps.outputs import write_complete
    from doctored.apps.scan.analyse import Limits
    from doctored.apps.scan.report import scan_page

    if output.suffix.lower() != ".html":
        raise ConfigError(f"{output} does not say that it is a page; end its name in .html")
    _check_output(output, force=force)
    wanted = _filter(verdict, False, above, match, since, fpr)
    with file_parser(max_mp, max_mb, isolate=isolate) as parser, ProgressBar("thumbnails") as bar:
        page = scan_page(stores, wanted, Limits(max_mp, max_mb), bar.show, parser)
    write_complete(output, lambda file: file.write(page.encode("utf-8", "backslashreplace")))
    _mention_unfinished(stores)
    typer.echo(f"see {output}")


def _filter(
    verdict: str | None,
    errors: bool,
    above: float | None,
    match: str | None,
    since: str | None,
    fpr: float | None,
) -> "Filter":
    from typing import get_args

    from doctored.apps.scan.results import Filter, parse_since
    from doctored.core.inspection import Verdict as KnownVerdict

    if verdict is not None and verdict not in get_args(KnownVerdict):
        raise ConfigError(f"there is no verdict {verdict!r}; give one of {', '.join(get_args(KnownVerdict))}")
    return Filter(verdict, errors, above, match, None if since is None else parse_since(since), fpr)


def _line(result: "FileResult") -> str:
    from doctored.apps.detect import VERDICTS
    from doctored.apps.scan.results import sort_score

    if result.error is not None:
        return f"failed  {result.error}"
    if result.quick_look:
        return f"{result.path}: {VERDICTS['cannot_judge']}, quick look only, quick score {result.quick_score:.4g}"
    kind = "score" if result.detection_score is not None else "raw score"
    rate = ""
    if result.verdict != "cannot_judge" and result.false_alarm_rate is not None:
        rate = f", false-alarm rate {result.false_alarm_rate:.3f}"
    return f"{result.path}: {VERDICTS[result.verdict or '']}, {kind} {sort_score(result):.4g}{rate}"


def _check_output(output: Path, *, force: bool) -> None:
    from doctored.apps.outputs import make_folder

    if output.exists() and not force:
        raise ConfigError(f"{output} already exists; choose another --output, or overwrite it with --force")
    make_folder(output.parent)


def _mention_unfinished(stores: list[Path]) -> None:
    from doctored.apps.scan.results import unfinished

    for store in stores:
        count = unfinished(store)
        if count:
            typer.echo(f"{count} files in {store} are not finished yet", err=True)
