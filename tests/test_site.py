"""The documentation builds into a site without a warning and needs nothing from elsewhere."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = load("make_site")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    program = [sys.executable, str(ROOT / "docs" / "make_site.py"), str(folder)]
    made = subprocess.run(program, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


class Loaded(HTMLParser):
    """What a browser fetches to show a page, and the words that stand for its pictures."""

    def __init__(self):
        super().__init__()
        self.addresses, self.pictures = [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.addresses += [attributes[name] for name in ("src", "srcset") if attributes.get(name)]
        if tag == "link" and attributes.get("rel") not in ("canonical", "author", "license"):
            self.addresses.append(attributes["href"])
        if tag == "img":
            self.pictures.append(attributes.get("alt") or "")


def loaded_by(html):
    parser = Loaded()
    parser.feed(html)
    return parser


def is_elsewhere(address):
    return re.match(r"(?:[a-z]+:)?//", address) is not None


def test_the_check_of_addresses_sees_what_comes_from_elsewhere():
    page = '<script src="//a.example/x.js"></script><link rel="stylesheet" href="https://b.example/y.css">'
    page += '<img src="z.png">'
    assert [is_elsewhere(address) for address in loaded_by(page).addresses] == [True, True, False]


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        for address in loaded_by(page.read_text("utf-8")).addresses:
            assert not is_elsewhere(address), f"{page.name} loads {address}"
            if not address.startswith(("#", "data:")):
                assert (page.parent / address.split("?")[0]).exists(), f"{page.name} loads {address}"
    for sheet in site.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?([^'\")]+)|@import ['\"]([^'\"]+)", sheet.read_text("utf-8")):
            assert not is_elsewhere("".join(address)), f"{sheet.name} loads {address}"


def test_every_picture_of_the_docs_is_told_in_words(site):
    for page in (site / "docs").glob("*.html"):
        for words in loaded_by(page.read_text("utf-8")).pictures:
            assert len(words) > 15, f"{page.name} has a picture that says {words!r}"


def test_the_navigation_has_every_page_once_under_the_headings_of_the_index(site):
    sections = SITE.navigation(SITE.INDEX.read_text("utf-8"))
    targets = [target for links in sections.values() for _, target in links]
    assert len(targets) == len(set(targets))
    assert {(ROOT / "docs" / target).resolve() for target in targets} == {*SITE.pages()} - {SITE.INDEX}
    page = (site / "docs" / "index.html").read_text("utf-8")
    for heading in sections:
        assert f'<span class="caption-text">{heading}</span>' in page
    assert (site / "index.html").read_text("utf-8").count("docs/index.html") == 1
