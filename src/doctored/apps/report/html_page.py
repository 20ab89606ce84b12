"""A report as one HTML file that needs nothing else: no network, no other file, and no JavaScript to be read."""

from doctored.apps import page
from doctored.apps.report.report import PictureSection, Report
from doctored.apps.report.views import colour_scale
from doctored.apps.report.wording import (
    FACTS_MEANING,
    MAP_MEANING,
    VERDICTS,
    WITNESS_MEANING,
    agreement_caption,
    place_title,
    preview_note,
)

_HERE = "doctored.apps.report"
_STYLES = ((_HERE, "page.css"),)
_SCRIPT = "page.js"


def html_page(report: Report) -> str:
    """The whole file as text."""
    return page.render_page(
        _HERE,
        _STYLES,
        _SCRIPT,
        report=report,
        origin=report.origin,
        scale=colour_scale(),
        verdicts=VERDICTS,
        map_meaning=MAP_MEANING,
        facts_meaning=FACTS_MEANING,
        witness_meaning=WITNESS_MEANING,
        agreement_caption=agreement_caption,
        place_title=place_title,
        preview_note=preview_note,
        is_analysed=lambda section: isinstance(section, PictureSection),
    )


def page_policy() -> str:
    """The content security policy that the page states, for servers to state as well."""
    return page.page_policy(_HERE, _STYLES, _SCRIPT)
