"""The page about a scan, for those who reach the server."""

import threading
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse

from doctored.apps.file_parser import FileParser
from doctored.apps.scan.analyse import Limits
from doctored.apps.scan.report import scan_page, scan_page_policy
from doctored.apps.scan.results import Filter, parse_since
from doctored.core.errors import ConfigError


def add_scan_page(
    app: FastAPI, store: Path, max_megapixels: float, max_megabytes: float, parser: FileParser
) -> None:
    """Answer GET /scan with what `doctored results report` writes, as the store is at that moment.

    Args:
        app: Gets the route.
        store: What `doctored scan` wrote, or is writing.
        max_megapixels: Larger pictures get no thumbnail.
        max_megabytes: Larger files get none either.
        parser: What parses the files.
    """
    # Thumbnails need whole pictures in memory: one page at a time.
    making = threading.Lock()
    limits = Limits(max_megapixels, max_megabytes)

    @app.get("/scan", response_class=HTMLResponse, response_description="The page.")
    def show_scan(
        verdict: Annotated[
            str | None, Query(pattern="^(manipulated|no_signs|cannot_judge)$", description="Only this one.")
        ] = None,
        above: Annotated[float | None, Query(description="Scores from here on.")] = None,
        match: Annotated[str | None, Query(description="Paths like */2024/*.")] = None,
        since: Annotated[str | None, Query(description="Analysed then or later, a date or a time.")] = None,
        fpr: Annotated[
            float | None, Query(gt=0, lt=1, description="Judge at this rate of false alarms.")
        ] = None,
    ) -> HTMLResponse:
        """The scan that the server was started with, as a page."""
        try:
            wanted = Filter(
                verdict=verdict,
                above=above,
                match=match,
                since=None if since is None else parse_since(since),
                fpr=fpr,
            )
            with making:
                text = scan_page([store], wanted, limits, lambda done, total: None, parser)
        except ConfigError as error:
            raise HTTPException(422, str(error)) from error
        policy = f"frame-ancestors 'none'; sandbox; {scan_page_policy()}"
        content = text.encode("utf-8", "backslashreplace")
        return HTMLResponse(content, headers={"content-security-policy": policy})
