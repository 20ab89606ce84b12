"""What is checked of our dependencies: that every licence is looked at, and that an audit that failed says so."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / ".ci"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="only in a checkout")


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT", True),
        ("ISC License (ISCL)", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("(MIT OR Apache-2.0)", True),
        ("MIT License; BSD License", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND GPL-2.0-only", False),
        ("BSD License; GNU General Public License v3 (GPLv3)", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_every_licence_of_a_package_is_accepted(licence, accepted):
    found = load("licences").refused([{"Name": "a", "Version": "1", "License": licence}])
    assert found == ([] if accepted else [f"a 1: {licence}"])


def audit(*packages):
    return load("audit").sentence(json.dumps({"dependencies": list(packages)}))


def test_an_audit_says_what_it_found_and_what_it_could_not_ask():
    clean = {"name": "a", "version": "1", "vulns": []}
    bad = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}]}
    skipped = {"name": "c", "skip_reason": "not found"}
    assert audit(clean) == ("1 packages have no known vulnerability", 0)
    assert audit(clean, skipped) == ("1 packages have no known vulnerability; 1 could not be looked up", 0)
    assert audit(clean, bad) == ("1 of 2 packages have known vulnerabilities:\nb 2: CVE-1", 1)


def test_an_audit_without_its_service_is_a_sentence():
    for output in ("", "Traceback", "[]", json.dumps({"dependencies": []})):
        text, status = load("audit").sentence(output)
        assert "could not reach its service" in text
        assert "\n" not in text
        assert status == 2
    assert audit({"name": "c", "skip_reason": "not found"})[1] == 2
