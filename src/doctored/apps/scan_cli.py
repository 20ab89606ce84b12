"""`doctored scan`: many pictures into one store that can be stopped and resumed."""

import time
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
    Precision,
    positive,
)
from doctored.apps.progress import ProgressBar
from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from doctored.apps.scan.run import Outcome, Progress

RUNNERS = ("local", "ray")
_LINE_EVERY_SECONDS = 60

scan_app = typer.Typer(rich_markup_mode=None)


@scan_app.command()
def scan(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Store to fill or go on with; of --runner ray a folder or URL.",
            show_default=False,
        ),
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Folders, files, patterns, ZIP and tar archives, URLs; - reads them from standard input.",
            show_default=False,
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option(
            "--list", metavar="FILE", help="More sources, one to a line; repeatable.", show_default=False
        ),
    ] = None,
    device: Device = "auto",
    model: Model = DEFAULT_MODEL,
    precision: Precision = "auto",
    fpr: Fpr = 0.05,
    calibration: CalibrationFile = None,
    fast: Annotated[
        float | None,
        typer.Option(
            "--fast",
            metavar="SHARE",
            help="Let Constrained R-CNN look at all files first, and all models at this share of them, the most "
            "suspicious.",
            show_default="all models at all files",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes.", show_default="one per core, as memory allows"),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option("--maps", metavar="DIR", help="Write the map of each picture here, as 8-bit PNG."),
    ] = None,
    every_file: Annotated[
        bool, typer.Option("--all", help="Look at files that are not called like pictures, too.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Look again at files that failed before.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="K/N", help="Only part K of N, by the paths; each into a store of its own."
        ),
    ] = None,
    runner: Annotated[
        str, typer.Option("--runner", help="local, or ray: on a Ray cluster, into Parquet files.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of a running Ray cluster.", show_default="Ray on this machine"),
    ] = None,
    max_mp: MaxMegapixels = 400,
    max_mb: MaxMegabytes = 500,
    max_seconds: Annotated[
        float | None,
        typer.Option("--max-seconds", min=1, help="Give up files that take longer.", show_default="no limit"),
    ] = None,
    stall_seconds: Annotated[
        float,
        typer.Option(
            "--stall-seconds", callback=positive, help="Give up a URL that sends nothing for so long."
        ),
    ] = 60,
    isolate: Isolate = False,
) -> None:
    """Look at many pictures, and keep one row for each file in an SQLite file.

    Stopped at any moment, the same command goes on where it was. Files that changed, and all files if the model
    changed, are looked at again; the same bytes only once.

    \b
        doctored scan photos --output scan.db
        doctored scan photos more.zip 's3://bucket/2024/*.jpg' --output scan.db --maps maps
        doctored scan photos --output scan.db --fast 0.1
        doctored scan s3://bucket --output s3://results/scan --runner ray --address auto
    """
    from doctored.apps.isolation import check_supported
    from doctored.apps.scan.analyse import Limits
    from doctored.apps.scan.entries import Listing, Shard, read_list
    from doctored.apps.scan.run import default_workers
    from doctored.apps.scan.run import scan as run_scan
    from doctored.apps.scan.workers import WorkerSettings

    _check_runner(runner, address, retry_errors=retry_errors)
    given = [*(sources or ()), *(source for path in lists or () for source in read_list(str(path)))]
    if not given:
        raise typer.BadParameter("there is no file in what was given; name a SOURCE, or a --list of them")
    if isolate:
        check_supported()
    count = workers or default_workers(device, model)
    settings = WorkerSettings(
        model=model,
        device=device,
        precision=precision,
        fpr=fpr,
        calibration=None if calibration is None else str(calibration),
        threads=1 if runner == "ray" else None,
        limits=Limits(max_mp, max_mb, max_seconds, stall_seconds),
        maps=maps,
        isolate=isolate,
    )
    part = None if shard is None else Shard.parse(shard)
    try:
        with ProgressBar("files") as bar:
            announce = _Announcer(bar)
            if runner == "ray":
                from doctored.apps.scan.cluster import on_every_machine, scan_on_ray

                given, settings = on_every_machine(given, settings)
                listing = Listing(
                    given, every_file=every_file, shard=part, leave_out=maps, stall_seconds=stall_seconds
                )
                asked = {"sources": given, "all": every_file, "shard": shard}
                outcome = scan_on_ray(listing, asked, output, settings, workers, address, announce, fast=fast)
            else:
                listing = Listing(
                    given, every_file=every_file, shard=part, leave_out=maps, stall_seconds=stall_seconds
                )
                outcome = run_scan(
                    *(listing, given, Path(output), settings, count, announce),
                    retry_errors=retry_errors,
                    fast=fast,
                )
    except KeyboardInterrupt:
        typer.echo("stopped; what is finished is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    _print_outcome(outcome, output, runner)
    if outcome.counts.errors:
        raise typer.Exit(1)


def _check_runner(runner: str, address: str | None, *, retry_errors: bool) -> None:
    if runner not in RUNNERS:
        raise ConfigError(f"there is no runner {runner!r}; give one of {', '.join(RUNNERS)}")
    if runner == "local" and address is not None:
        raise ConfigError("--address is that of a Ray cluster; give it with --runner ray")
    if runner == "ray" and retry_errors:
        raise ConfigError(
            "--retry-errors goes with --runner local only; scan the failed files into another --output"
        )


class _Announcer:
    """Says how far a scan is: in the bar while people watch, else in a line now and then."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar
        self._next_line = time.monotonic() + _LINE_EVERY_SECONDS

    def __call__(self, progress: "Progress") -> None:
        note = _note(progress)
        self._bar.show(progress.done, progress.files, note)
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            if not self._bar.watched:
                typer.echo(f"{progress.done} of {progress.files} files{', ' if note else ''}{note}", err=True)


def _note(progress: "Progress") -> str:
    from doctored.apps.detect import duration

    if progress.listing:
        return "listed so far"
    parts = [progress.stage] if progress.stage else []
    if progress.errors:
        parts.append(f"{progress.errors} failed")
    if progress.per_second is not None and progress.seconds_left is not None:
        rate = progress.per_second
        parts.append(f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute")
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _print_outcome(outcome: "Outcome", output: str, runner: str) -> None:
    counts = outcome.counts
    for error in outcome.errors:
        typer.echo(f"Error: {error}", err=True)
    if counts.errors > len(outcome.errors):
        more = counts.errors - len(outcome.errors)
        where = f"doctored results show --errors {output}" if runner == "local" else f"{output}/results"
        typer.echo(f"and {more} more, see: {where}", err=True)
    failed = f", {counts.errors} failed" if counts.errors else ""
    over = (
        f"; {outcome.passed_over} passed over that are not called like pictures"
        if outcome.passed_over
        else ""
    )
    looked = f"{outcome.analysed} looked at now"
    if counts.quick or outcome.sent_on:
        quick = outcome.analysed - outcome.sent_on
        looked = (
            f"{quick} looked at quickly now, {outcome.sent_on} in whole, {counts.quick} only quickly so far"
        )
    typer.echo(f"{counts.files} files in {output}, {looked}{failed}{over}", err=True)
