"""What browsers and programs send to the server, without a network between."""

import asyncio
import random
from pathlib import Path
from urllib.parse import quote

import mutations
from core.made_files import jpeg_bytes, scene
from doctored.apps.file_parser import FileParser
from doctored.apps.web.jobs import Jobs
from doctored.apps.web.results import Analysis
from doctored.apps.web.server import label, make_app
from doctored.apps.web.settings import ServeSettings
from doctored.predict import Detector
from parser import Parser, Reader
from targets.scan_files import store_of_a_scan

_BOUNDARY = b"frontier"
_TARGETS = (
    "/scan?verdict=manipulated&above=0.5&match=*/2024/*&since=2026-03-31&fpr=0.1",
    "/scan?above=nan", "/scan?since=2026-03-31T14:00", "/scan?fpr=0.5", "/jobs/{job}", "/jobs/{job}/result",
    "/jobs/{job}/files/mask.png?threshold=0.5", "/jobs/{job}/files/map.png", "/jobs/{job}/tiles/map/0/0/0?map=answer",
    "/jobs/{job}/tiles/picture/1/0/0", "/jobs/none", "/health", "/docs", "/", "/static/page.js", "/session?token=x",
)  # fmt: skip


def _application(folder: Path, analyse: object) -> object:
    (folder / "scan.db").write_bytes(store_of_a_scan())
    settings = ServeSettings(max_megapixels=1, max_megabytes=1, queue=1000, scan=folder / "scan.db")
    jobs = Jobs(analyse, folder, settings)
    return make_app(settings, jobs, model="sharpness", precision="fp32", parser=FileParser()), jobs


async def _answer(
    app: object, method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Call an application as a server would."""
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path.decode("utf-8", "replace"), "raw_path": path, "query_string": query, "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
    sent: list[dict] = []

    async def receive() -> dict:
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def _require_sentence(status: int, body: bytes) -> None:
    if status >= 500 and status != 507:
        raise AssertionError(f"the server answered {status} {body[:200]!r}")


def _upload(folder: Path) -> Reader:
    app, jobs = _application(folder, lambda job, on_progress: None)
    headers = [(b"content-type", b"multipart/form-data; boundary=" + _BOUNDARY)]

    def read(data: bytes) -> object:
        status, found, body = asyncio.run(_answer(app, "POST", b"/inspect", headers, data))
        _require_sentence(status, body)
        if status == 202:
            jobs.delete(jobs.get(found[b"location"].decode().rpartition("/")[2]))
        return status

    return read


def _request(folder: Path) -> Reader:
    app, jobs = _application(folder, Analysis(Detector.from_name("sharpness"), 1, FileParser()))
    body = _form(b"a.jpg", jpeg_bytes(scene(80, 70)))
    headers = [(b"content-type", b"multipart/form-data; boundary=" + _BOUNDARY)]
    _, found, _ = asyncio.run(_answer(app, "POST", b"/inspect", headers, body))
    job = found[b"location"].rpartition(b"/")[2]
    while not jobs.get(job.decode()).is_over:
        asyncio.run(asyncio.sleep(0.01))

    def read(data: bytes) -> object:
        line, _, rest = data.partition(b"\n")
        headers = [tuple(part.lower().split(b":", 1)) for part in rest.split(b"\n") if b":" in part]
        status, _, body = asyncio.run(_answer(app, "GET", line.replace(b"{job}", job), headers, b""))
        _require_sentence(status, body)
        return status

    return read


def _form(name: bytes, data: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="picture"; filename="' + name + b'"\r\n'
    return (
        b"--"
        + _BOUNDARY
        + b"\r\n"
        + disposition
        + b"Content-Type: image/jpeg\r\n\r\n"
        + data
        + b"\r\n--"
        + _BOUNDARY
        + b"--\r\n"
    )


def _label(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        found = label(data.decode("utf-8", "surrogateescape"))
        if not 0 < len(found) <= 120 or "/" in found or not found.isprintable():
            raise AssertionError(f"a label is {found!r}")
        return found

    return read


def query_values(data: bytes, rng: random.Random) -> bytes:
    """Values of a query string, percent-encoded."""
    path, mark, query = data.partition(b"?")
    if not mark:
        return mutations.blind(data, rng)
    pairs = query.split(b"&")
    place = rng.randrange(len(pairs))
    value = rng.choice((*mutations.TEXTS, *map(str, mutations.NUMBERS), *map(str, mutations.FRACTIONS)))
    name = pairs[place].partition(b"=")[0]
    pairs[place] = name + b"=" + quote(value.encode("utf-8", "replace")).encode()
    return path + mark + b"&".join(pairs)


PARSERS = [
    Parser("upload", _upload, lambda: [_form(b"a.jpg", jpeg_bytes(scene(24, 16))), _form(b"", b"x")]),
    Parser(
        "request",
        _request,
        lambda: (
            [target.encode() for target in _TARGETS]
            + [b"/\norigin: http://127.0.0.1\ncookie: a=b\ncontent-length: 3\nsec-fetch-site: none"]
        ),
        query_values,
    ),
    Parser("label", _label, lambda: [b"photo.jpg", "C:\\x\\é\u202e.png".encode()]),
]
