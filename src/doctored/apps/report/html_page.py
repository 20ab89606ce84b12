"""A report as one HTML file that needs nothing else: no network, no other file, and no JavaScript to be read."""

import base64
import hashlib
from importlib import resources

from doctored.apps.report.report import PictureSection, Report
from doctored.apps.report.views import AGREEMENT_THRESHOLD, View, colour_scale
from doctored.apps.report.wording import (
    FACTS_MEANING,
    MAP_MEANING,
    VERDICTS,
    WITNESS_MEANING,
    place_title,
    preview_note,
)


def html_page(report: Report) -> str:
    """The whole file as text.

    Whatever comes from a picture's file or name is escaped, and the page forbids itself everything but its own style,
    its own script and the pictures inside it.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.filters["data_uri"] = _data_uri
    return environment.from_string(_text("page.html.jinja")).render(
        report=report,
        origin=report.origin,
        policy=page_policy(),
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        scale=colour_scale(),
        verdicts=VERDICTS,
        map_meaning=MAP_MEANING,
        facts_meaning=FACTS_MEANING,
        witness_meaning=WITNESS_MEANING,
        agreement_threshold=AGREEMENT_THRESHOLD,
        place_title=place_title,
        preview_note=preview_note,
        is_analysed=lambda section: isinstance(section, PictureSection),
    )


def page_policy() -> str:
    """The content security policy that the page states, for servers to state as well."""
    style, script = _source_hash(_text("page.css")), _source_hash(_text("page.js"))
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{style}'; script-src '{script}'"
    )


def _text(name: str) -> str:
    return resources.files("doctored.apps.report").joinpath(name).read_text("utf-8")


def _source_hash(text: str) -> str:
    """The name by which a content security policy lets this very text through."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _data_uri(view: View) -> str:
    return f"data:{view.media_type};base64,{base64.b64encode(view.data).decode('ascii')}"
