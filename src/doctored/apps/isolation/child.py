"""The process that parses: it gives up what it does not need, then answers one request after the other.

It is started as a program and ends when its standard input does.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import messages
from doctored.core.errors import DoctoredError

_NOBODY = 65534


def main() -> None:
    """Answer requests from standard input on standard output."""
    memory_bytes, seconds, with_credentials = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "credentials"
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    _load(with_credentials=with_credentials)
    try:
        _give_up(memory_bytes)
    except OSError as error:
        sentence = f"root cannot become another user to read files apart ({error}); run doctored as a user"
        messages.send(answers, {"refused": sentence})
        return
    messages.send(answers, {"ready": True})
    while True:
        try:
            request = messages.receive(requests)
        except EOFError:
            return
        _allow_seconds(seconds)
        _answer(request, requests, answers)


def _load(*, with_credentials: bool) -> None:
    """Import what requests can need: afterwards no file can be opened."""
    wanted = ["pi_heif"]
    if with_credentials:
        report = "doctored.apps.report"
        wanted += ["c2pa", f"{report}.colour_profile", f"{report}.content_credentials"]
    for module in wanted:
        with suppress(ImportError):  # of an extra
            importlib.import_module(module)


def _give_up(memory_bytes: int) -> None:
    """Take from this process, for good, memory beyond what is allowed, all files and all connections."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    # A limit of 0 descriptors leaves those that are open and refuses every further one: a file as well as a socket.
    for kind, limit in (
        (resource.RLIMIT_AS, used + memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    if os.geteuid() == 0:  # who could take the limits back
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def _allow_seconds(seconds: int) -> None:
    """Let the kernel end this process if the request that follows takes more processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds + 1, most))


def _answer(request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    try:
        data = messages.read_exactly(requests, request["bytes"])
        message, blobs = _parse(request, data)
    except DoctoredError as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        message, blobs = {"out_of_memory": True} if out_of_memory else {"refused": _line(str(error))}, []
    except MemoryError:
        message, blobs = {"out_of_memory": True}, []
    messages.send(answers, message, *blobs)


def _line(sentence: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in sentence)
    return printable[: messages.LONGEST_TEXT]


def _parse(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Any]]:
    parser, wanted = FileParser(), request["do"]
    if wanted == "profile":
        return {"name": parser.profile_name(data)}, []
    if wanted == "credentials":
        found = parser.check_credentials(request["media_type"], data, request["trust_anchors"])
        return {"credentials": found.to_json()}, []
    name, max_megapixels = request["name"], request["max_megapixels"]
    if wanted == "check":
        parser.check_header(name, data, max_megapixels=max_megapixels)
        return {}, []
    picture = parser.decode(name, data, max_megapixels=max_megapixels)
    thumbnail = None if picture.exif is None else picture.exif.thumbnail
    blobs = [blob for blob in (picture.icc_profile, thumbnail) if blob is not None]
    return {"picture": messages.facts_of(picture)}, [picture.pixels, *blobs]


if __name__ == "__main__":
    main()
