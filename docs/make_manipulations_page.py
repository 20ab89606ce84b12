"""Writes docs/manipulations.md from the operators; with --check, only says whether the page is up to date."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from doctored.core.imc_classes import (
    IMC_LEVELS,
    ImcClass,
    families_of,
    level_group_names,
    level_groups,
    types_of,
)
from doctored.synth.imc385 import MANIPULATIONS, Manipulations

PAGE = Path(__file__).with_name("manipulations.md")
_INTRODUCTION = """\
# The manipulations

Generated from the code by `make docs`; a test compares the two.

What ManTra-Net's trace extractor learns to tell apart, what `enhancement` forgeries apply inside a region, and what
`doctored contact-sheet` shows: {classes} classes of {types} types in {families} families. A class is a type at one
strength. Training starts from coarse groups, so the classes are merged at five levels: 7 families, 25 types, and
chunks of neighbouring strengths (levels 49, 96 and 185; the numbers count the groups of the canonical 385 classes).
Indices count from 0. How to add a manipulation: [add-a-manipulation.md](add-a-manipulation.md).
"""
_CHUNK_LEVELS = IMC_LEVELS[2:5]


def page(manipulations: Manipulations = MANIPULATIONS) -> str:
    """The whole page."""
    classes = manipulations.classes
    families = families_of(classes)
    numbers = {"classes": len(classes), "types": len(manipulations.types), "families": len(families)}
    lines = [_INTRODUCTION.format(**numbers), *_overview(classes)]
    for family in families:
        lines += ["", f"## {family}"]
        for imc_type in types_of([c for c in classes if c.family == family]):
            lines += _section(imc_type, manipulations)
    return "\n".join(lines) + "\n"


def _overview(classes: tuple[ImcClass, ...]) -> Iterator[str]:
    yield "| family | types | classes |"
    yield "|---|---|---|"
    for family in families_of(classes):
        members = [c for c in classes if c.family == family]
        yield f"| [{family}](#{family}) | {', '.join(types_of(members))} | {len(members)} |"


def _section(imc_type: str, manipulations: Manipulations) -> Iterator[str]:
    operator = manipulations.operators[imc_type]
    yield ""
    yield f"### {imc_type}"
    yield ""
    yield from _description(operator)
    yield ""
    yield f"Operator: `{operator.__module__}.{operator.__name__}`"
    yield ""
    groups = {level: level_groups(level, manipulations.classes) for level in _CHUNK_LEVELS}
    names = {level: level_group_names(level, manipulations.classes) for level in _CHUNK_LEVELS}
    yield "| index | class | " + " | ".join(f"group of level {level}" for level in _CHUNK_LEVELS) + " |"
    yield "|---|---|" + "---|" * len(_CHUNK_LEVELS)
    members = [c for c in manipulations.classes if c.type == imc_type]
    for c in sorted(members, key=_strength):
        merged = " | ".join(names[level][groups[level][c.index]] for level in _CHUNK_LEVELS)
        yield f"| {c.index} | {c.label} | {merged} |"


def _strength(imc_class: ImcClass) -> tuple[int, ...]:
    parameter = imc_class.parameter
    return parameter if isinstance(parameter, tuple) else (parameter or 0,)


def _description(operator: object) -> Iterator[str]:
    """The operator's docstring without its sections but the one on deviations."""
    text = inspect.getdoc(operator) or ""
    kept = [
        paragraph
        for paragraph in text.split("\n\n")
        if not paragraph.startswith(("Args:", "Returns:", "Raises:", "Paper:"))
    ]
    for number, paragraph in enumerate(kept):
        if number:
            yield ""
        start, sections, rest = paragraph.partition("\nDiffers:")
        for piece in (start, f"Differs:{rest}" if sections else ""):
            yield from (line.strip().replace("``", "`").replace(":func:", "") for line in piece.splitlines())


def main() -> None:
    """Write the page, or compare it."""
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text("utf-8") != page():
            sys.exit("docs/manipulations.md is out of date; run: make docs")
    else:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
