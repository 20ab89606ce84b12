"""Pages that are one HTML file and need nothing else: no network, no other file, and no JavaScript to be read."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any, Protocol


class Encoded(Protocol):
    """A picture as a page holds it: a file of some media type."""

    data: bytes
    media_type: str


def render_page(
    package: str, styles: Sequence[tuple[str, str]], script: str | None = None, **values: Any
) -> str:
    """Fill the template `page.html.jinja` of a package; it gets `policy`, `style` and `script` besides the values.

    Whatever the values hold is escaped, and the page forbids itself everything but its own style, its own script and
    the pictures inside it.

    Args:
        package: Where template and script are.
        styles: Package and name of the style sheets, which become one.
        script: Name of the script; None for a page without.
        values: By their names in the template.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.filters["data_uri"] = data_uri
    if script is not None:
        values |= {"script": Markup(_text(package, script))}
    template = environment.from_string(_text(package, "page.html.jinja"))
    policy = page_policy(package, styles, script)
    return template.render(policy=policy, style=Markup(_style(styles)), **values)


def page_policy(package: str, styles: Sequence[tuple[str, str]], script: str | None = None) -> str:
    """The content security policy that a page of these parts states, for servers to state as well."""
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_name_of(_style(styles))}'"
    )
    return policy if script is None else f"{policy}; script-src '{_name_of(_text(package, script))}'"


def _style(styles: Sequence[tuple[str, str]]) -> str:
    return "".join(_text(*place) for place in styles)


def data_uri(view: Encoded) -> str:
    """A picture as the address of itself."""
    return f"data:{view.media_type};base64,{base64.b64encode(view.data).decode('ascii')}"


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")


def _name_of(text: str) -> str:
    """The name by which a content security policy lets this very text through."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
