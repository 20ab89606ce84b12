"""Pages that are generated or that name commands say what the program really does."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from doctored.apps.cli import app

ROOT = Path(__file__).parents[1]


def load_generator(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator("make_cli_page")
HELP = {
    path: GENERATOR.help_text(path) for path in GENERATOR.command_paths(GENERATOR.typer.main.get_command(app))
}
COMMANDS = {path: text for path, text in HELP.items() if "\nCommands:\n" not in text}


def examples_of(text):
    """Lines of a help page that call the program."""
    return [line.strip() for line in text.splitlines() if line.startswith("      doctored ")]


def test_cli_page_is_up_to_date():
    assert GENERATOR.PAGE.read_text("utf-8") == GENERATOR.page(), "run: make docs"


def test_python_page_is_up_to_date():
    generator = load_generator("make_api_page")
    assert generator.PAGE.read_text("utf-8") == generator.page(), "run: make docs"


def test_a_docstring_becomes_a_list_and_an_example_stays_code():
    docstring = """Does it.

    More, with a * and a <tag>.

    Args:
        first: One ``word`` that
            goes on.
        second, third: Two.

    Example:
        >>> 1 + 1
        2

    Differs: it does
        not.
    """
    assert load_generator("make_api_page").markdown(docstring) == (
        "Does it.\n\nMore, with a \\* and a \\<tag>.\n\n**Args**\n\n- `first`: One `word` that goes on.\n"
        "- `second, third`: Two.\n\n```python\n>>> 1 + 1\n2\n```\n\n**Differs**: it does not.\n"
    )


def test_figures_are_up_to_date_and_have_titles():
    for path, svg in load_generator("make_figures").files().items():
        assert path.read_text("utf-8") == svg, f"{path.name}: run: make docs"
        assert re.search(r"<title>[^<]{20,}</title>", svg), path.name


def test_the_cases_are_marked_for_their_script_and_show_errors_too():
    generator = load_generator("make_cases")
    page = generator.PAGE.read_text("utf-8")
    (cases,) = re.findall(f"{generator.START}(.*){generator.END}", page, re.DOTALL)
    pictures = re.findall(r"\]\(images/(case-[\w-]+\.jpg)\)", cases)
    assert sorted(pictures) == sorted(
        f"case-{name}.jpg" for name in (*generator.FORGED, *generator.AUTHENTIC)
    )
    for name in pictures:
        assert (generator.IMAGES / name).stat().st_size < 150_000


def test_the_cases_say_rates_as_reports_do_and_call_no_share_zero():
    """The same picture was said to have 23 % false alarms here and 24 in 100 in its report."""
    generator = load_generator("make_cases")

    def words(lit_px, rate):
        localization_map = np.zeros((10, 100), np.float32)
        localization_map.flat[:lit_px] = 0.7
        found = SimpleNamespace(verdict="no_signs", false_alarm_rate=rate, localization_map=localization_map)
        return generator.words_of(generator.Case("egg-basket", None, found, (0, 0), None))

    assert (
        "Of authentic pictures like it, 24 in 100 score as high. 2 % of the picture is lit (0.5 or more), all of it by "
        "mistake."
    ) in words(20, 0.234)
    assert "Nothing to speak of is lit (0.5 or more).\n" in words(4, None)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command_shows_two_calls_of_it(path):
    examples = examples_of(COMMANDS[path])
    assert len(examples) >= 2
    for example in examples:
        assert example.startswith(" ".join(("doctored", *path))), example


def calls_in(text):
    """Calls of the program in code blocks and in help pages, as words after `doctored`."""
    for call in re.findall(r"(?:^|[ /`])doctored((?: [^\s`|>]+)+)", text, re.MULTILINE):
        yield call.split()


def path_of(words):
    """The command that the first words name; None if they name none."""
    return next(
        (path for path in sorted(COMMANDS, key=len, reverse=True) if tuple(words[: len(path)]) == path), None
    )


PAGES = [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_options_of_calls_in_the_docs_exist(page):
    for words in calls_in((ROOT / page).read_text("utf-8")):
        path = path_of(words)
        options = [word for word in words if word.startswith("--")]
        known = HELP[path or ()]
        for option in options:
            assert re.search(rf"(^|\s){option}\b", known), f"{page}: doctored {' '.join(words)}: no {option}"


def test_the_check_of_calls_sees_a_wrong_option():
    (words,) = calls_in("run `doctored detect a.jpg --no-such`")
    assert path_of(words) == ("detect",)
    assert "--no-such" not in HELP["detect",]


def test_a_typing_error_in_a_command_is_answered_with_usage():
    assert CliRunner().invoke(app, ["detekt"]).exit_code == 2


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_can_be_called(path):
    """Nothing else runs them, so that a name they import may vanish unnoticed."""
    folders = [str(ROOT / "src"), str(ROOT / "benchmarks"), str(ROOT / "tests")]
    result = subprocess.run(
        [sys.executable, str(path), "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
