import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.scan.cases import hasty, write_picture
from doctored.apps.cli import app
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import scan


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_picture(f"photos/{number}.png", number)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    run("scan", "photos", "--output", "scan.db", "--model", "noise", "--workers", "1")
    return "scan.db"


def test_show(store):
    lines = run("results", "show", store).stdout.splitlines()
    assert len(lines) == 4
    assert all("png: cannot judge, raw score " in line for line in lines[:3])
    assert lines[3].startswith("failed  photos/broken.jpg is a text file")
    scores = [json.loads(line)["witnesses"][0]["raw_score"] for line in _json(store, "--limit", 3)]
    assert scores == sorted(scores, reverse=True)
    assert len(_json(store, "--errors")) == 1
    assert len(_json(store, "--match", "*1.png")) == 1
    assert _json(store, "--since", "2100-01-01") == []


def _json(store, *options):
    return run("results", "show", store, "--json", *options).stdout.splitlines()


def test_export_and_report_do_not_overwrite(store):
    for command, output in (("export", "out/t.csv"), ("report", "out/page.html")):
        first = run("results", command, store, "--output", output)
        assert (first.exit_code, first.stdout) == (0, f"see {output}\n")
        again = run("results", command, store, "--output", output)
        assert again.exit_code == 2
        assert "--force" in again.stderr
        assert run("results", command, store, "--output", output, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["show", "none.db"], "none.db is not there; make it with: doctored scan", 1),
        (["show", "scan.db", "--verdict", "guilty"], "there is no verdict 'guilty'", 2),
        (["show", "scan.db", "--since", "soon"], "'soon' is no date", 2),
        (["show", "scan.db", "--fpr", "2"], "the accepted false-alarm rate is 2", 2),
        (["export", "scan.db", "--output", "t.xls"], "t.xls does not say which form it has", 2),
        (["report", "scan.db", "--output", "t.pdf"], "t.pdf does not say that it is a page", 2),
    ],
)
def test_what_goes_wrong_is_a_sentence(store, arguments, message, status):
    result = run("results", *arguments)
    assert result.exit_code == status
    assert result.stderr.startswith(f"Error: {message}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_is_not_finished_is_mentioned(store):
    from doctored.apps.scan.entries import Entry
    from doctored.apps.scan.store import ScanStore

    open_store = ScanStore(Path(store))
    open_store.list_entries([Entry("later.jpg")])
    open_store.close()
    assert run("results", "show", store).stderr == "1 files in scan.db are not finished yet\n"


def test_quick_looks_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_picture(f"photos/{number}.png", number, brightest=100 + 50 * number)
    scan(
        *(Listing(["photos"]), [], Path("scan.db"), hasty(tmp_path / "log"), 1),
        lambda progress: None,
        fast=0.3,
    )
    lines = run("results", "show", "scan.db").stdout.splitlines()
    assert lines[0].startswith("photos/2.png: cannot judge, raw score ")
    assert [line.rpartition(" ")[0] for line in lines[1:]] == [
        f"photos/{number}.png: cannot judge, quick look only, quick score" for number in (1, 0)
    ]
