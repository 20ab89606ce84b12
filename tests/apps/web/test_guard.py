import socket
from contextlib import suppress

import httpx
import pytest

from apps.web.conftest import IMAGES, running, send
from doctored.apps.web.guard import SESSION_COOKIE

TOKEN = "a-token-of-25-characters."
OTHER_SITE = "pages of other sites may not use this server"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("open"), allowed_hosts=("forensics.example",)) as client:
        yield client


@pytest.fixture
def token_server(tmp_path):
    with running(tmp_path, token=TOKEN) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8000", "192.0.2.1", "", "[::2]:80", "127.0.0.1.x"]
)
def test_a_name_that_is_not_the_servers_is_refused(open_server, host):
    """What a page sees that makes its own name lead to 127.0.0.1."""
    for path in ("/", "/health", "/inspect", "/static/page.js"):
        answer = open_server.get(path, headers={"host": host})
        assert answer.status_code == 421, path
        assert "is not called" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8000", "FORENSICS.example:443"])
def test_its_own_names_are_answered(open_server, host):
    assert open_server.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},  # another program on this machine
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},  # a form that posts
    ],
)
def test_pages_of_other_sites_cannot_post(open_server, headers):
    answer = send(open_server, b"x", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (403, OTHER_SITE)


def test_a_link_from_another_site_leads_to_the_page_and_an_embedding_does_not(open_server):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert open_server.get("/", headers=headers).status_code == 200
    headers["sec-fetch-mode"] = "no-cors"
    assert open_server.get("/static/scale.png", headers=headers).status_code == 403


def test_an_origin_that_is_no_address_is_another_site(open_server):
    """A bracket that is not closed ended in an error of the program."""
    answer = open_server.get("/health", headers={"origin": "http://[::1"})
    assert answer.status_code == 403
    assert answer.json()["detail"] == OTHER_SITE


def test_a_query_of_other_bytes_is_refused(open_server):
    """Where the path led elsewhere, such a query ended in an error of the program; some servers refuse it before."""
    url = open_server.base_url
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        request = b"GET /jobs/a/files/?\xc1 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        connection.sendall(request)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_its_own_page_can_post(open_server):
    origin = {"origin": str(open_server.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    answer = send(open_server, (IMAGES / "splicing.jpg").read_bytes(), headers=origin)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/health", "/openapi.json", "/static/page.js", "/nothing", "/jobs/x"]
)
def test_every_answer_states_what_browsers_may_do(open_server, path):
    headers = open_server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]


def test_refusals_state_it_as_well(open_server):
    answer = open_server.get("/", headers={"host": "attacker.example"})
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_without_the_token_there_is_the_page_and_nothing_else(token_server):
    for path in ("/", "/static/page.js", "/health"):
        assert token_server.get(path).status_code == 200, path
    for path in ("/docs", "/openapi.json", "/jobs/" + "x" * 22, "/nothing", "/static"):
        answer = token_server.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert send(token_server, b"x").status_code == 401


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 404),
        (f"bearer  {TOKEN}", 404),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer café".encode(), 401),
    ],
)
def test_the_token_opens_the_api(token_server, header, status):
    path = "/jobs/" + "x" * 22
    assert token_server.get(path, headers={"authorization": header}).status_code == status


def test_a_browser_shows_the_token_once(token_server):
    assert token_server.post("/session", json={"token": "wrong"}).status_code == 401
    answer = token_server.post("/session", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert token_server.get("/jobs/" + "x" * 22).status_code == 404  # the client sends the cookie now


def test_a_made_up_cookie_is_worth_nothing(token_server):
    for value in ("x", "", '"', TOKEN, "\\x00"):
        headers = {"cookie": f"{SESSION_COOKIE}={value}"}
        assert token_server.get("/openapi.json", headers=headers).status_code == 401


def test_a_body_that_is_announced_too_large_is_not_read(open_server):
    """Nothing but the head is sent here, and the answer comes all the same."""
    host, port = open_server.base_url.host, open_server.base_url.port
    with socket.create_connection((host, port), 10) as connection:
        head = f"POST /inspect HTTP/1.1\r\nHost: {host}\r\nContent-Length: 200000000\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413")


def test_a_body_without_length_is_cut_off(open_server):
    answer = open_server.post("/session", content=iter([bytes(1 << 16)] * 3))
    assert answer.status_code == 413
    assert "the limit is" in answer.json()["detail"]


def test_huge_headers_are_refused(open_server):
    # The connection may be closed while the client still sends.
    with suppress(httpx.TransportError):
        assert open_server.get("/health", headers={"x-huge": "a" * 2_000_000}).status_code == 400
    assert open_server.get("/health").status_code == 200
