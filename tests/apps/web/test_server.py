import errno
import io
import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.web.conftest import IMAGES, finish, running, send
from core.made_files import jpeg_bytes, scene
from doctored.apps.cli import app as command
from doctored.apps.report.html_page import page_policy
from doctored.apps.web.server import label

FORGED = (IMAGES / "splicing.jpg").read_bytes()
SMALL = jpeg_bytes(scene(120, 90))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("results"), max_megapixels=3, max_megabytes=2) as client:
        yield client


@pytest.fixture(scope="module")
def done(client):
    """Address of a job that is done, and its result."""
    job = finish(client, send(client, FORGED, "splicing.jpg"))
    assert job["error"] is None
    return f"/jobs/{job['id']}", client.get(f"/jobs/{job['id']}/result").json()


def test_health_says_what_runs_and_the_limits(client):
    health = client.get("/health").json()
    assert (health["status"], health["model"], health["precision"]) == ("ok", "sharpness", "fp32")
    assert health["limits"] == {
        "max_megabytes": 2,
        "max_megapixels": 3,
        "max_seconds": 600,
        "queue": 20,
        "keep_minutes": 60,
    }


def test_an_upload_becomes_a_job_that_is_done(client):
    answer = send(client, FORGED, "C:\\fakepath\\splicing.jpg")
    assert answer.status_code == 202
    job = answer.json()
    assert (job["name"], job["error"], job["expires_at"]) == ("splicing.jpg", None, None)
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert len(job["id"]) == 22
    over = finish(client, answer)
    assert (over["state"], over["progress"], over["ahead"]) == ("done", 1, 0)
    assert over["expires_at"]


def test_the_result_is_what_detect_and_report_say(client, done, tmp_path):
    from typer.testing import CliRunner

    path, result = done
    (tmp_path / "splicing.jpg").write_bytes(FORGED)
    arguments = ["detect", "--model", "sharpness", "--json", str(tmp_path / "splicing.jpg")]
    detected = json.loads(CliRunner().invoke(command, arguments).stdout)
    found = client.get(f"{path}/files/result.json").json()
    for one in (detected, found):
        del one["timing"], one["path"]
    assert found == detected
    report = client.get(f"{path}/files/report.json").json()
    assert report["pictures"] == [result["report"]]
    assert report["origin"]["command"] is None
    assert result["verdict"] == detected["verdict"] == "cannot_judge"
    assert result["title"] == "Cannot judge"
    assert result["report"]["file"]["content_credentials"]["state"] == "none"  # the file was still there
    assert result["tiles"] == {"width": 800, "height": 608, "tile_px": 512, "halvings": 1}


def test_maps_and_mask_can_be_downloaded(client, done):
    path, result = done
    assert result["maps"] == ["answer"]
    files = {}
    for name in result["files"]:
        answer = client.get(f"{path}/files/{name}")
        assert answer.status_code == 200, name
        files[name] = answer
    with Image.open(io.BytesIO(files["map.png"].content)) as image:
        assert image.mode == "I;16"
        values = np.asarray(image) / 65535
    assert values.shape == (608, 800)
    assert np.isclose(values.max(), result["highest"], atol=1e-5)
    for threshold in (0.01, 0.5):
        answer = client.get(f"{path}/files/mask.png", params={"threshold": threshold})
        with Image.open(io.BytesIO(answer.content)) as image:
            mask = np.asarray(image)
        assert set(np.unique(mask)) <= {0, 65535}
        assert (mask > 0).mean() == pytest.approx((values >= threshold).mean(), abs=1e-3)
    assert files["map.png"].headers["content-disposition"] == 'attachment; filename="splicing.map.png"'


def test_the_report_is_shown_in_a_sandbox(client, done):
    answer = client.get(f"{done[0]}/files/report.html")
    assert answer.text.startswith("<!doctype html>")
    policy = answer.headers["content-security-policy"]
    assert policy.endswith(page_policy())
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy
    assert answer.headers["content-disposition"].startswith("inline")


def test_tiles(client, done):
    path, _ = done
    answer = client.get(f"{path}/tiles/picture/0/1/1")
    with Image.open(io.BytesIO(answer.content)) as image, Image.open(io.BytesIO(FORGED)) as whole:
        assert np.array_equal(np.asarray(image), np.asarray(whole.convert("RGB"))[512:, 512:])
    assert client.get(f"{path}/tiles/overlay/1/0/0").headers["content-type"] == "image/png"
    for wrong in ("picture/0/2/0", "picture/2/0/0", "map/0/0/0?map=other", "map/0/0/0?map=../answer"):
        assert client.get(f"{path}/tiles/{wrong}").status_code == 404, wrong
    for wrong in ("secret/0/0/0", "map/-1/0/0", "map/0/x/0"):
        answer = client.get(f"{path}/tiles/{wrong}")
        assert answer.status_code == 422, wrong
        assert ":" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["none", "..%2f..%2fetc%2fpasswd", "picture.json", "upload", "answer.0.npy"])
def test_only_what_the_result_lists_can_be_downloaded(client, done, name):
    answer = client.get(f"{done[0]}/files/{name}")
    assert answer.status_code == 404


def test_unknown_jobs(client):
    for path in ("", "/result", "/files/map.png", "/tiles/map/0/0/0"):
        answer = client.get(f"/jobs/{'x' * 22}{path}")
        assert answer.status_code == 404
        assert "no such job" in answer.json()["detail"]
    assert client.delete(f"/jobs/{'x' * 22}").status_code == 404


def test_a_result_can_be_deleted(client, tmp_path):
    job = finish(client, send(client, SMALL))
    assert client.delete(f"/jobs/{job['id']}").status_code == 204
    assert client.get(f"/jobs/{job['id']}").status_code == 404
    assert client.get(f"/jobs/{job['id']}/result").status_code == 404


def test_a_result_that_is_deleted_while_it_is_asked_for(tmp_path):
    with running(tmp_path) as client:
        job = finish(client, send(client, SMALL))
        shutil.rmtree(tmp_path / job["id"] / "pyramid")
        for path in ("tiles/map/0/0/0", "files/mask.png"):
            answer = client.get(f"/jobs/{job['id']}/{path}")
            assert answer.status_code == 404, path
            assert answer.json()["detail"]
        shutil.rmtree(tmp_path / job["id"])
        assert client.get(f"/jobs/{job['id']}/result").status_code == 404


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        ({"content": b"x"}, 400, "multipart/form-data, in a field called picture"),
        ({"data": {"picture": "text"}}, 400, "multipart/form-data"),
        ({"files": {"other": ("a.jpg", SMALL)}}, 400, "no file in a field called picture"),
        ({"files": [("picture", ("a", SMALL)), ("picture", ("b", SMALL))]}, 400, "Too many files"),
        ({"files": {"picture": ("a.jpg", SMALL)}, "data": {"x": "y"}}, 400, "Too many fields"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"files": {"picture": ("a.jpg", b"")}}, 422, "a.jpg is empty"),
        ({"files": {"picture": ("a.txt", b"words")}}, 422, "a.txt is a text file, not a picture"),
        ({"files": {"picture": ("a.jpg", bytes(2_100_000))}}, 413, "the limit is 2 MB"),
    ],
)
def test_wrong_uploads_are_refused_with_a_sentence(client, options, status, sentence):
    answer = client.post("/inspect", **options)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
    assert client.get("/health").json()["waiting"] == 0  # its place in the queue is free again


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(client):
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 2e6
    answer = send(client, bomb.getvalue(), "bomb.png")
    assert answer.status_code == 422
    assert "bomb.png is 30000 x 30000 pixels (900.0 megapixels), more than the limit of 3" in answer.text


def test_a_damaged_picture_fails_with_a_sentence(client):
    job = finish(client, send(client, FORGED[:50_000], "half.jpg"))
    assert job["state"] == "failed"
    assert job["error"].startswith("half.jpg looks like JPEG but is damaged")
    answer = client.get(f"/jobs/{job['id']}/result")
    assert (answer.status_code, answer.json()["detail"]) == (422, job["error"])


def test_a_full_queue_answers_429_and_results_come_later(tmp_path):
    go = threading.Event()

    def analyse(job, on_progress):
        go.wait(20)

    with running(tmp_path, analyse, queue=1) as client:
        first = send(client, SMALL)
        while client.get(first.headers["location"]).json()["state"] == "waiting":
            time.sleep(0.01)
        second = send(client, SMALL)
        assert (second.status_code, second.json()["ahead"]) == (202, 1)
        third = send(client, SMALL)
        assert third.status_code == 429
        assert int(third.headers["retry-after"]) > 0
        assert "waiting already" in third.json()["detail"]
        answer = client.get(f"{first.headers['location']}/result")
        assert answer.status_code == 409
        assert "still running" in answer.json()["detail"]
        go.set()
        assert finish(client, second)["state"] == "done"


@pytest.mark.parametrize("refused", ["mkdir", "write_bytes"])
def test_a_disk_that_refuses_a_picture_answers_507_and_frees_its_place(tmp_path, monkeypatch, refused):
    def full(path, *arguments):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with running(tmp_path) as client:
        with monkeypatch.context() as disk:
            disk.setattr(Path, refused, full)
            answer = send(client, SMALL)
        assert answer.status_code == 507
        assert "No space left" in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
        assert client.get("/health").json()["waiting"] == 0
        assert finish(client, send(client, SMALL))["state"] == "done"


def test_an_upload_that_takes_too_long_answers_408(tmp_path):
    def slow():
        yield b"--x\r\n"
        time.sleep(0.5)
        yield b"--x--\r\n"

    with running(tmp_path, max_seconds=0.1) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = client.post("/inspect", content=slow(), headers=headers)
        assert answer.status_code == 408
        assert client.get("/health").json()["waiting"] == 0


def test_nothing_is_left_after_a_result_has_expired(tmp_path):
    with running(tmp_path, keep_minutes=0.002) as client:
        answer = send(client, SMALL)
        deadline = time.monotonic() + 10
        while client.get(answer.headers["location"]).status_code != 404:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_server_that_stops_gives_up_what_runs(tmp_path):
    stopped = []

    def analyse(job, on_progress):
        try:
            for _ in range(2000):
                time.sleep(0.01)
                on_progress(1, 2)
        except Exception as error:
            stopped.append(str(error))
            raise

    with running(tmp_path, analyse) as client:
        send(client, SMALL, "a.jpg")
    assert stopped == ["the analysis of a.jpg was stopped"]


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("", "picture"),
        ("..", ".."),
        ("/", "picture"),
        ("a\x00b\r\n\x1b[31m.jpg", "ab[31m.jpg"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("<script>alert(1)</script>", "script>"),
        ("bird.jpg" * 100, None),
    ],
)
def test_names_are_labels(file_name, expected):
    found = label(file_name)
    assert 1 <= len(found) <= 120
    if expected is None:
        assert found.startswith("bird.jpg")
        assert found.endswith("….jpg")
    else:
        assert found == expected


def test_the_description_is_for_people_too_and_links_nowhere_else(client):
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "http://" not in page.replace(str(client.base_url), "")
    assert "https://" not in page


def test_the_page_takes_less_than_500_kilobytes(client):
    page = client.get("/").text
    names = {"/"} | {part.split('"')[0] for part in page.replace("src=", "href=").split('href="')[1:]}
    names = {name for name in names if name.startswith("/") and name != "/docs"} | {"/static/viewer.js"}
    assert len(names) == 7, names
    sizes = {name: len(client.get(name).content) for name in names}
    assert sum(sizes.values()) < 500_000, sizes
