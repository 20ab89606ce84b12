import builtins
import os
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from apps.test_detect import REFUSE_CONNECTIONS
from apps.web.conftest import IMAGES, finish, send, serving
from doctored.apps.cli import app


def run(*arguments, **options):
    return CliRunner().invoke(app, ["serve", "--model", "noise", *map(str, arguments)], **options)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "so a token is needed: set DOCTORED_TOKEN"),
        (["--token", "short"], "a token must have 16 characters"),
        (["--host", "example.com"], "--host must be an IP address"),
        (["--queue", "0"], "--queue must be 1 or more"),
        (["--fpr", "2"], "give a number between 0 and 1"),
        (["--host", "192.0.2.7", "--token", "x" * 20], "192.0.2.7 port 8000 cannot be listened on"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments, sentence):
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert sentence in result.stderr


def test_a_busy_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("--port", port)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: 127.0.0.1 port {port} cannot be listened on (")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_package_is_a_sentence_with_the_line_to_run(monkeypatch, package):
    load = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, *arguments, **options)

    for name in [name for name in sys.modules if name.startswith(("doctored.apps.web", package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    result = run("--port", 0)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: doctored serve needs packages that are not installed; run: pip install 'doctored[web]'\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_leaves_nothing(tmp_path, number):
    command = [sys.executable, "-m", "doctored", "serve", "--model", "noise", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # Programs that are started in the background by a shell do not hear of Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert "shows the page" in process.stdout.readline()
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert not list(tmp_path.iterdir())


def test_the_token_can_come_from_the_environment():
    import httpx

    token = "a-token-of-25-characters."
    with serving("--model", "noise", environment=os.environ | {"DOCTORED_TOKEN": token}) as url:
        assert httpx.get(f"{url}openapi.json", trust_env=False).status_code == 401
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}openapi.json", headers=headers, trust_env=False).status_code == 200


def test_it_opens_no_connection():
    """What it opened would be printed, and `serving` fails if anything is."""
    import httpx

    with (
        serving("--model", "sharpness", prelude=REFUSE_CONNECTIONS) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        job = finish(client, send(client, (IMAGES / "removal.jpg").read_bytes()))
        assert job["error"] is None
        for path in ("", "docs", f"jobs/{job['id']}/result", f"jobs/{job['id']}/files/report.html"):
            assert client.get(path).status_code == 200
