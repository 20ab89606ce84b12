"""The pages that say what is defended name tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("threat-model.md", "reliability.md")


def named_tests(text):
    """File and name of every test that a page names; a name alone belongs to the file before it."""
    for line in text.splitlines():
        file = None
        for found in re.finditer(r"`(?:(tests/\S+\.py)::)?(test_\w+)`", line):
            file = found[1] or file
            yield file, found[2]


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page):
    named = list(named_tests((ROOT / "docs" / page).read_text("utf-8")))
    assert len(named) > 15
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (
            file,
            name,
        )
