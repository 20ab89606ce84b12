"""A tag is a version, and a checkout without tags still builds; `.ci/run` builds and installs both distributions."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import doctored

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FALLBACK = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]


@pytest.fixture
def checkout(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def version_of(folder):
    """What a build in this folder would be called."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata", "version"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def commit(folder):
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*GIT, *command], cwd=folder, check=True)


def test_a_tag_is_the_version(checkout):
    commit(checkout)
    # Without any tag it is counted up from the fallback.
    assert re.match(re.escape(FALLBACK.removesuffix("0")) + r"\d+\+g[0-9a-f]+$", version_of(checkout))
    subprocess.run([*GIT, "tag", "v3.8.5"], cwd=checkout, check=True)
    assert version_of(checkout) == "3.8.5"


def test_without_git_the_version_is_the_fallback(checkout):
    """After a release only pyproject.toml is raised, so that this reads the version there."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", FALLBACK)
    assert version_of(checkout) == FALLBACK


def test_the_wheel_takes_the_licences_of_all_that_is_in_it_along():
    patterns = PROJECT["project"]["license-files"]
    named = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)
    package = [*(ROOT / "src").rglob("*LICENSE*"), *(ROOT / "src").rglob("LICENCE*")]
    assert named == {ROOT / "LICENSE", *package}


def test_the_installed_version_is_told_and_a_bare_source_tree_says_that_it_has_none():
    program = "import doctored; print(doctored.__version__)"
    # -S leaves out site-packages, where the note of the installer lies.
    bare = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=ROOT / "src", check=True, capture_output=True, text=True
    )
    assert bare.stdout.strip() == "0+unknown"
    assert re.match(r"\d", doctored.__version__)


def test_the_citation_names_licence_and_papers():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert "license: Apache-2.0" in citation
    assert "10.1109/CVPR.2019.00977" in citation
    assert "Constrained R-CNN: A General Image Manipulation Detection Model" in citation
    assert "version:" not in citation.replace("cff-version:", ""), "the version comes from the tags"
