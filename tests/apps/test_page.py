import base64
import hashlib
import re
import sys
from types import SimpleNamespace

import pytest
from jinja2 import UndefinedError

from doctored.apps.page import data_uri, render_page

TEMPLATE = (
    "<style>{{ style }}</style>{{ policy }}<p>{{ word }}</p>{% if script is defined %}{{ script }}{% endif %}"
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a template, two style sheets and a script."""
    folder = tmp_path / "pages_of_a_test"
    folder.mkdir()
    for name, text in (
        ("__init__.py", ""),
        ("page.html.jinja", TEMPLATE),
        ("a.css", "p > b { color: red }\n"),
        ("b.css", "i {}\n"),
        ("page.js", "1 < 2;\n"),
    ):
        (folder / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    sys.modules.pop(folder.name, None)


def name_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_values_are_escaped_and_style_and_script_are_let_through_by_name(package):
    page = render_page(package, [(package, "a.css"), (package, "b.css")], "page.js", word="<script>")
    assert "<p>&lt;script&gt;</p>" in page
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert style == "p > b { color: red }\ni {}\n"
    assert "default-src &#39;none&#39;" in page
    assert f"style-src &#39;{name_of(style)}&#39;" in page
    assert f"script-src &#39;{name_of('1 < 2;' + chr(10))}&#39;" in page
    assert page.endswith("</p>1 < 2;\n")


def test_without_a_script_none_is_let_through(package):
    assert "script-src" not in render_page(package, [(package, "a.css")], word="x")


def test_a_value_that_is_missing_is_an_error(package):
    with pytest.raises(UndefinedError, match="word"):
        render_page(package, [(package, "a.css")])


def test_pictures_are_addresses_of_themselves():
    assert data_uri(SimpleNamespace(data=b"abc", media_type="image/png")) == "data:image/png;base64,YWJj"
