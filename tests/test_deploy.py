"""What the files in deploy/ say of doctored exists; nothing here starts a container or a service."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest

from test_docs import HELP, calls_in, path_of

FOLDER = Path(__file__).parents[1] / "deploy"


def check_call(words):
    path = path_of(words)
    assert path is not None, f"doctored {' '.join(words)}: no such command"
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"(^|\s){option}\b", HELP[path]), f"doctored {' '.join(words)}: no {option}"


def read_unit(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.service")), ids=lambda path: path.stem)
def test_a_service_calls_a_command_that_exists_and_gets_nothing_it_does_not_need(path):
    service = read_unit(path)["Service"]
    (words,) = calls_in(service["ExecStart"])
    check_call(words)
    for name in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["IPAddressDeny"] == "any"


def test_the_timer_calls_the_service_of_its_name():
    timer = read_unit(FOLDER / "doctored-scan.timer")
    assert "Unit" not in timer["Timer"]
    assert (FOLDER / "doctored-scan.service").is_file()


def test_the_container_calls_doctored_as_a_user_of_its_own():
    lines = (FOLDER / "Containerfile").read_text("utf-8").splitlines()
    (arguments,) = [re.findall(r'"([^"]+)"', line) for line in lines if line.startswith("CMD ")]
    check_call(arguments)
    assert 'ENTRYPOINT ["doctored"]' in lines
    assert "USER doctored" in lines


def test_the_container_is_built_from_what_a_build_needs_and_nothing_else():
    """`COPY .` once took the environment and the history of the checkout along."""
    root = FOLDER.parent
    lines = (root / ".dockerignore").read_text("utf-8").splitlines()
    assert [line for line in lines if not line.startswith(("#", "!"))] == ["*", "**/__pycache__"]
    kept = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = [project["project"]["readme"], *project["project"]["license-files"], *packages]
    assert {"pyproject.toml", *(name.split("/")[0] for name in needed)} == kept
    assert all((root / name).exists() for name in kept)


def test_the_token_reaches_the_server_by_the_environment():
    assert read_unit(FOLDER / "doctored.service")["Service"]["EnvironmentFile"] == "/etc/doctored.env"
    assert "DOCTORED_TOKEN" in HELP[("serve",)]


def test_proxy_and_service_agree():
    start = read_unit(FOLDER / "doctored.service")["Service"]["ExecStart"]
    (port,) = re.findall(r"--port (\d+)", start)
    (host,) = re.findall(r"--allow-host (\S+)", start)
    proxy = (FOLDER / "Caddyfile").read_text("utf-8")
    assert f"reverse_proxy 127.0.0.1:{port}" in proxy
    assert f"\n{host} {{\n" in proxy


def test_every_file_is_on_its_page():
    page = (FOLDER.parent / "docs" / "deploy.md").read_text("utf-8")
    for path in FOLDER.iterdir():
        assert f"](../deploy/{path.name})" in page
