"""Builds the documentation as a site that needs no network: python docs/make_site.py [FOLDER].

The pages are the Markdown files of the repository, which also read well as they lie. docs/index.md is the navigation:
its headings and links become those of the site's side bar. A page that nothing there links to, a broken link and any
other warning end the build. Needs `pip install 'doctored[docs]'`.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import doctored

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "index.md"
# To a whole page: the index may also link to a section of one that it names elsewhere.
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)\)")
_ANY_TARGET = re.compile(r"\]\(([^)#\s]+)")
_SETTINGS = {
    "project": "doctored",
    "copyright": "the doctored authors, Apache-2.0",
    "html_title": "doctored",
    "root_doc": "docs/index",
    "extensions": ["myst_parser"],
    "html_theme": "furo",
    "html_additional_pages": {"index": "to_docs.html"},
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_static_path": ["docs/site.css"],
    "html_css_files": ["site.css"],
    "html_theme_options": {"top_of_page_buttons": []},
    "myst_heading_anchors": 4,
    "templates_path": ["templates"],
}
# Opened without a server, a folder's index.html is what people look for first.
_TO_DOCS = (
    '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html"><title>doctored</title>'
)


def pages() -> list[Path]:
    """All Markdown files that are part of the site."""
    docs = (path for path in ROOT.glob("docs/**/*.md") if path != INDEX)
    return sorted([INDEX, *docs, *ROOT.glob("*.md"), *ROOT.glob("src/doctored/models/*/card.md")])


def navigation(index: str) -> dict[str, list[tuple[str, str]]]:
    """The links to pages under each heading of the index: words and target, in order."""
    sections = re.split(r"^## +(.+)$", index, flags=re.MULTILINE)[1:]
    return {
        heading: [(words, target) for words, target in _LINK.findall(text) if target.endswith(".md")]
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }


def stage(folder: Path) -> None:
    """Copy the pages and what they link to, and give the index its hidden side bar."""
    for page in pages():
        text = page.read_text("utf-8")
        targets = (page.parent / target for target in _ANY_TARGET.findall(text) if "://" not in target)
        for path in {page, *(target.resolve() for target in targets)}:
            if path.is_file():
                copy = folder / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    (folder / "templates").mkdir()
    (folder / "templates" / "to_docs.html").write_text(_TO_DOCS, "utf-8")
    shutil.copyfile(ROOT / "docs" / "site.css", folder / "docs" / "site.css")
    with (folder / "docs" / "index.md").open("a", encoding="utf-8") as index:
        for heading, links in navigation(INDEX.read_text("utf-8")).items():
            entries = "\n".join(f"{words} <{target}>" for words, target in links)
            index.write(f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```\n")


def build(output: Path) -> int:
    """Build the site into a folder; the number of warnings, which are printed."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    with tempfile.TemporaryDirectory() as work, docutils_namespace():
        source = Path(work, "source")
        source.mkdir()
        stage(source)
        app = Sphinx(
            source,
            None,
            output,
            Path(work, "trees"),
            "html",
            _SETTINGS | {"release": doctored.__version__, "version": doctored.__version__},
            status=None,
            freshenv=True,
        )
        app.build()
        return app._warncount  # what `sphinx-build --fail-on-warning` asks for too


def main() -> None:
    """Build into the folder of the command line, or into `site`."""
    output = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site")
    warnings = build(output)
    if warnings:
        sys.exit(f"{warnings} warnings; the pages have to build without any")
    print(f"open {output / 'index.html'}")


if __name__ == "__main__":
    main()
