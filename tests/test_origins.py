"""Each command and each test that the page about the origins names exists."""

import ast
import re
from pathlib import Path

import pytest

from test_docs import HELP, calls_in, path_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "origins.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| they describe")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row[0])[:40])
def test_a_capability_has_a_command_and_a_proof(row):
    _, here, proofs = row
    for words in calls_in(here):
        path = path_of(words)
        assert path is not None, f"doctored {' '.join(words)}: no such command"
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"(^|\s){option}\b", HELP[path]), f"doctored {' '.join(words)}: no {option}"
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proofs)
    assert named, "it names no test"
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{file}::{name}"
        )


def test_both_projects_are_covered_and_what_is_missing_is_said():
    assert len(ROWS) > 28
    assert "## Missing, or less than there" in PAGE
    text = PAGE.lower()
    for word in (
        "any size", "no pre- or post-processing", "385", "splicing, copy-move, removal, enhancement", "extending",
        "notebook", "lmfe", "rpn-a", "coarse boxes", "technique", "skip structure", "fine masks", "casia", "coverage",
        "columbia", "nist16", "coco-synthetic", "pr curve", "text output", "best f1", "auc", "demo", "released weights",
    ):  # fmt: skip
        assert word in text, word
