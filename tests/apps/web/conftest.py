"""Servers with a yardstick for a model, and a browser to look at their pages."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[3] / "docs" / "images"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def serving(*options, environment=None, prelude=""):
    """The command in a process of its own; gives the address of its page, and ends it.

    Args:
        options: Of the command.
        environment: Of the process; None for that of this one.
        prelude: Statements that run in it first.
    """
    program = f"{prelude}\nfrom doctored.apps.cli import main\nmain()"
    command = [sys.executable, "-c", program, "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    try:
        line = process.stdout.readline()
        found = re.match(r"(http://\S+/) shows the page", line)
        if found is None:
            process.kill()
            reader.join()
            pytest.fail(f"the server did not start: {line}{errors[0]}")
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)
        reader.join()
        process.stdout.close()
        process.stderr.close()
    assert errors == [""], "the server printed errors"


@pytest.fixture(scope="session")
def address():
    """Of a server with a model that is quick and knows nothing."""
    with serving("--model", "sharpness", "--max-mp", "3") as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    """Chromium."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if executable is None:
        pytest.fail("these tests need Chromium; install it, on Debian with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_BROWSER_OPTIONS)
        yield browser
        browser.close()


@contextmanager
def running(folder, analyse=None, **settings):
    """A server in a thread of this process; gives a client for it.

    Args:
        folder: For what it stores.
        analyse: What its worker does; None for a yardstick.
        settings: Those that are not as usual.
    """
    import httpx

    from doctored.apps.web.jobs import Jobs
    from doctored.apps.web.results import Analysis
    from doctored.apps.web.run import http_server
    from doctored.apps.web.server import make_app
    from doctored.apps.web.settings import ServeSettings
    from doctored.predict import Detector

    settings = ServeSettings(**settings)
    parser = settings.parser()
    analyse = analyse or Analysis(Detector.from_name("sharpness"), settings.max_megapixels, parser)
    jobs = Jobs(analyse, folder, settings)
    server = http_server(make_app(settings, jobs, model="sharpness", precision="fp32", parser=parser))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=base_url, trust_env=False, timeout=20) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)
            parser.close()


def send(client, data, name="photo.jpg", **options):
    """The answer to an upload."""
    return client.post("/inspect", files={"picture": (name, data)}, **options)


def finish(client, answer):
    """The job of an accepted upload, once it is over."""
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + 60
    while True:
        job = client.get(answer.headers["location"]).json()
        if job["state"] in ("done", "failed"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
