"""`doctored serve`: a local web page and HTTP API."""

from pathlib import Path
from typing import Annotated

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
    Tile,
    positive,
)

serve_app = typer.Typer(rich_markup_mode=None)


@serve_app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="IP address to listen on; where others reach it, --token is needed.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 for a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="DOCTORED_TOKEN",
            show_envvar=True,
            help="What clients must know; other users of this machine see options, but not the environment.",
            show_default="none",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name that a reverse proxy is called by.",
            show_default="none",
        ),
    ] = None,
    device: Device = "auto",
    model: Model = DEFAULT_MODEL,
    tile: Tile = None,
    precision: Precision = "auto",
    fpr: Fpr = 0.05,
    calibration: CalibrationFile = None,
    max_mp: MaxMegapixels = 100,
    max_mb: MaxMegabytes = 100,
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds", callback=positive, help="Longest upload, and longest analysis of one picture."
        ),
    ] = 600,
    queue: Annotated[int, typer.Option("--queue", help="Refuse pictures while so many wait.")] = 20,
    keep_minutes: Annotated[
        float, typer.Option("--keep-minutes", callback=positive, help="Delete results after so long.")
    ] = 60,
    keep_mb: Annotated[
        float,
        typer.Option(
            "--keep-mb", callback=positive, help="Delete the oldest results when all take more megabytes."
        ),
    ] = 4000,
    scan: Annotated[
        Path | None,
        typer.Option(
            "--scan",
            metavar="STORE",
            help="Show the page about a scan, too, under /scan.",
            show_default="none",
        ),
    ] = None,
    isolate: Isolate = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = False,
) -> None:
    """Show a page that analyses pictures, on this machine alone; the same as an HTTP API.

    \b
        doctored serve
        doctored serve --port 8080 --max-mp 50 --browser
    """
    # Only used inside of what runs the server, which would not say that it is missing.
    import python_multipart  # noqa: F401

    from doctored.apps.scan.store import connect
    from doctored.apps.web.run import run_server
    from doctored.apps.web.settings import ServeSettings
    from doctored.predict import Detector

    settings = ServeSettings(
        host=host,
        port=port,
        token=token,
        allowed_hosts=tuple(allow_host or ()),
        max_megapixels=max_mp,
        max_megabytes=max_mb,
        max_seconds=max_seconds,
        queue=queue,
        keep_minutes=keep_minutes,
        keep_megabytes=keep_mb,
        scan=scan,
        isolate=isolate,
    )
    if scan is not None:
        connect(scan).close()  # to say now, rather than to the first visitor, that it is no store

    def announce(url: str) -> None:
        typer.echo(f"{url} shows the page, {url}docs the HTTP API; stop with Ctrl-C")
        if browser:
            typer.launch(url)

    detector = Detector.from_name(
        model, device=device, precision=precision, tile=tile, fpr=fpr, calibration=calibration
    )
    run_server(settings, detector, announce)
