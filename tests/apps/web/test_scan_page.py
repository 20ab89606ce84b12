import pytest
from typer.testing import CliRunner

from apps.scan.cases import NOISE, calibrate_noise, write_picture
from apps.web.conftest import running
from doctored.apps.cli import app
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import scan


@pytest.fixture
def store(tmp_path):
    calibrate_noise(tmp_path / "calibration.json")
    for number in range(3):
        write_picture(tmp_path / "photos" / f"<i>{number}.png", number)
    settings = NOISE.__class__(**vars(NOISE) | {"calibration": str(tmp_path / "calibration.json")})
    path = tmp_path / "scan.db"
    scan(Listing([str(tmp_path / "photos")]), [], path, settings, 1, lambda progress: None)
    return path


def test_a_scan_is_shown_as_its_report(store, tmp_path):
    with running(tmp_path, scan=store) as client:
        assert 'href="/scan"' in client.get("/").text
        answer = client.get("/scan")
        assert answer.status_code == 200
        assert "scan.db" in answer.text
        assert answer.text.count("&lt;i&gt;") == 3
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("frame-ancestors 'none'; sandbox; default-src 'none'")
        (stated,) = [part for part in policy.split("; ") if part.startswith("style-src")]
        assert stated.replace("'", "&#39;") in answer.text
        assert client.get("/scan", params={"match": "*2.png"}).text.count("&lt;i&gt;") == 1
        assert "20 %" in client.get("/scan", params={"fpr": 0.2}).text
        for wrong in ({"fpr": 2}, {"since": "soon"}, {"verdict": "guilty"}):
            assert client.get("/scan", params=wrong).status_code == 422, wrong


def test_without_a_scan_there_is_no_such_page(tmp_path):
    with running(tmp_path) as client:
        assert client.get("/scan").status_code == 404
        assert 'href="/scan"' not in client.get("/").text


def test_no_store_is_a_sentence_before_anything_is_served(tmp_path):
    result = CliRunner().invoke(app, ["serve", "--model", "noise", "--scan", str(tmp_path / "none.db")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'none.db'} is not there")
