"""Writes docs/cli.md from the help of every command; with --check, only says whether the page is up to date."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from doctored.apps.cli import app

PAGE = Path(__file__).with_name("cli.md")
_INTRODUCTION = """\
# Command line

Generated from the help of the program by `make docs`; a test compares the two.
"""


def command_paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call a command and each of its sub-commands, outermost first."""
    yield path
    if isinstance(command, TyperGroup):
        for name, sub_command in command.commands.items():
            yield from command_paths(sub_command, (*path, name))


def help_text(path: tuple[str, ...]) -> str:
    """What `doctored PATH --help` prints in a terminal of 80 columns."""
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="doctored", terminal_width=80)
    return "\n".join(line.rstrip() for line in result.output.splitlines())


def page() -> str:
    """The whole page."""
    sections = [_INTRODUCTION]
    for path in command_paths(typer.main.get_command(app)):
        title = " ".join(("doctored", *path))
        sections.append(f"## `{title}`\n\n```text\n{help_text(path)}\n```\n")
    return "\n".join(sections)


def main() -> None:
    """Write the page, or compare it."""
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text("utf-8") != page():
            sys.exit("docs/cli.md is out of date; run: make docs")
    else:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
