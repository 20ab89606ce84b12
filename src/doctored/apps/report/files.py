"""The forms of a report, by the ending of its file."""

import importlib.util
import json
from collections.abc import Callable

from doctored.apps.report.html_page import html_page
from doctored.apps.report.pdf_pages import pdf_pages
from doctored.apps.report.report import Report
from doctored.core.errors import MissingExtraError


def _html(report: Report) -> bytes:
    # Names of files need not be text; what is none becomes an escape.
    return html_page(report).encode("utf-8", "backslashreplace")


def _json(report: Report) -> bytes:
    return (json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n").encode("ascii")


ENDINGS: dict[str, Callable[[Report], bytes]] = {".html": _html, ".pdf": pdf_pages, ".json": _json}
"""What makes a file of each ending."""


def check_installed(ending: str) -> None:
    """Refuse a form whose package is missing, before anything is analysed.

    Raises:
        MissingExtraError: reportlab is not installed.
    """
    if ending == ".pdf" and importlib.util.find_spec("reportlab") is None:
        raise MissingExtraError("a report as PDF", "pdf")


def encode_report(report: Report, ending: str) -> bytes:
    """A report as the content of a file.

    Args:
        report: The report.
        ending: A key of ENDINGS, whose package is installed.
    """
    return ENDINGS[ending](report)
