"""The process that asks, against a real other process, also one that a picture has taken over."""

import importlib.util
import io
import json
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from apps.isolation.hostile_child import COMMAND, HOSTILE_PROGRAM
from apps.report.signing import signed_file
from core.made_files import HEIC, exif_block, jpeg_bytes, scene
from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import IsolatedParser, check_supported, file_parser, parent
from doctored.apps.report.file_evidence import gather_file_evidence
from doctored.core.errors import ConfigError, DoctoredError, ImageReadError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits processes so")
PHOTO = jpeg_bytes(scene(60, 50), quality=85)


@pytest.fixture(scope="module")
def parser():
    with IsolatedParser(4, 4, with_credentials=True) as parser:
        yield parser


@pytest.fixture
def taken_over(monkeypatch):
    """Parsers of the hostile program, by the seconds that a file may take."""
    monkeypatch.setattr(parent, "PROGRAM", HOSTILE_PROGRAM)
    opened = []

    def open_parser(seconds=30):
        opened.append(IsolatedParser(1, 1, seconds=seconds).__enter__())
        return opened[-1]

    yield open_parser
    for one in opened:
        one.close()


def decode(parser, data, name="photo.jpg"):
    return parser.decode(name, data, max_megapixels=1)


def refusal(parser, command, rest=b""):
    with pytest.raises(ImageReadError) as caught:
        decode(parser, COMMAND + command.encode() + b";" + rest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files():
    """A file of every format and of every kind of fact."""
    pixels = scene(70, 50)
    grey16 = (np.arange(70 * 50, dtype=np.uint16).reshape(50, 70) * 18).astype(np.uint16)
    image = Image.fromarray(pixels)
    exif = exif_block(
        {0x0112: 6, 271: "Maker", 306: "2024:05:01 12:30:00"},
        {0x9003: "2024:05:01 12:30:00", 0x9011: "+02:00"},
        {1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 15.0, 0.0)},
        thumbnail=jpeg_bytes(scene(16, 12)),
    )
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def saved(picture, kind, **options):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    yield "facts.jpg", saved(image, "JPEG", exif=exif, icc_profile=srgb, progressive=True)
    yield "grey.jpg", saved(image.convert("L"), "JPEG")
    yield "cmyk.jpg", saved(image.convert("CMYK"), "JPEG")
    yield "deep.png", saved(Image.fromarray(grey16), "PNG")
    yield "palette.png", saved(image.convert("P"), "PNG")
    for kind in ("WEBP", "BMP", "GIF", "AVIF", "TIFF"):
        yield f"photo.{kind.lower()}", saved(image, kind)
    if importlib.util.find_spec("pi_heif"):
        yield "photo.heic", HEIC
    yield "lossless.webp", saved(image, "WEBP", lossless=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield f"{compression}.tif", saved(image, "TIFF", compression=compression)


FILES = list(files())


@pytest.mark.parametrize(("name", "data"), FILES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_picture_is_the_same_as_without(parser, name, data):
    here, apart = decode(FileParser(), data, name), decode(parser, data, name)
    assert np.array_equal(apart.pixels, here.pixels)
    assert apart.pixels.dtype == np.uint8
    for field in here.__dataclass_fields__:
        if field != "pixels":
            assert getattr(apart, field) == getattr(here, field), field


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.jpg", PHOTO[:400]),
        ("b\udce9 @picture.png", b"\x89PNG\r\n\x1a\n" + bytes(50)),
        ("a.nef", b"II*\0" + bytes(50)),
        ("page.jpg", b"<html></html>"),
    ],
)
def test_refusals_are_those_without(parser, name, data):
    sentences = []
    for one in (parser, FileParser()):
        for ask in (one.decode, one.check_header):
            with pytest.raises(ImageReadError) as caught:
                ask(name, data, max_megapixels=1)
            sentences.append(str(caught.value))
    assert sentences[:2] == sentences[2:]


def test_headers_are_checked(parser):
    parser.check_header("photo.jpg", PHOTO, max_megapixels=1)
    with pytest.raises(
        ImageReadError, match=r"photo\.jpg is 60 x 50 pixels .* more than the limit of 0\.001"
    ):
        parser.check_header("photo.jpg", PHOTO, max_megapixels=0.001)


def test_evidence_of_the_file_is_that_without(parser, tmp_path):
    pytest.importorskip("c2pa")
    signed, anchors = signed_file(scene(120, 90))
    for name, data in (("signed.jpg", signed), *((name, data) for name, data in FILES if "jpg" in name)):
        path = tmp_path / name
        path.write_bytes(data)
        found = [
            gather_file_evidence(
                one.read(str(path), max_megapixels=1, max_megabytes=1), trust_anchors=anchors, parser=one
            ).to_json()
            for one in (parser, FileParser())
        ]
        assert found[0] == found[1]
    assert found[0]["exif"] is None
    assert parser.profile_name(b"no profile") == "Present but damaged."


def test_one_process_serves_all_files_and_ends(taken_over):
    parser = taken_over()
    pids = {refusal(parser, "tell").split()[0] for _ in range(3)}
    assert len(pids) == 1
    decode(parser, PHOTO)
    parser.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.pop()), 0)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("crash", "ended the process (SIGSEGV)"),
        ("abort", "ended the process (SIGABRT)"),
        ("exit", "ended the process (exit status 3)"),
        ("fill", "needs more than the"),
        ("fill slowly", "needs more than the"),
    ],
)
def test_what_ends_the_process_is_a_sentence_and_the_next_file_is_read(taken_over, command, sentence):
    parser = taken_over()
    found = refusal(parser, command)
    assert found.startswith("photo.jpg ")
    assert sentence in found
    assert decode(parser, PHOTO).size_hw == (50, 60)


@pytest.mark.parametrize("command", ["sleep", "spin"])
def test_what_hangs_is_given_up(taken_over, command):
    parser = taken_over(seconds=1)
    start = time.monotonic()
    assert "photo.jpg took longer than 1 s" in refusal(parser, command)
    assert time.monotonic() - start < 30, "it would have taken 600"
    assert decode(parser, PHOTO).size_hw == (50, 60)


def test_there_are_no_files_and_no_network_there(taken_over, tmp_path):
    told = refusal(taken_over(), "look around")
    for attempt in ("read", "write", "connect", "listen", "pipe"):
        assert f"'{attempt}': 'Too many open files'" in told
    assert not Path("/tmp/doctored-was-here").exists()


def test_secrets_are_not_passed_on(taken_over, monkeypatch):
    monkeypatch.setenv("DOCTORED_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    told = refusal(taken_over(), "tell")
    assert " [] [0, 0] " in told, "no secrets; no new files, no core dumps"
    assert "user 0" not in told


def message(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack(">I", len(text)) + text


FACTS = {
    "size_hw": [1, 1],
    "stored_size_hw": [1, 1],
    "format": "PNG",
    "orientation": 1,
    "bit_depth": 8,
    "mode": "RGB",
}


NONSENSE = [
    struct.pack(">I", 1 << 31) + b"x" * 100,
    message(b"[" * 60_000),
    message(b"no JSON"),
    message([1]),
    message({}),
    message({"picture": FACTS | {"size_hw": [10**6, 10**6]}}),
    message({"picture": FACTS | {"profile_bytes": 1 << 40}}),
    message({"picture": FACTS | {"format": "../../x"}}),
    message({"refused": "two\nlines"}),
    message({"refused": "x" * 5000}),
    message({"refused": ["x"]}),
    message({"picture": FACTS | {"bit_depth": float("nan")}}),
]


def test_nonsense_is_not_believed(taken_over):
    """Not a byte is taken for more than it was checked to be, and memory for it is never reserved."""
    parser = taken_over()
    for said in NONSENSE:
        found = refusal(parser, "say nonsense", said)
        assert "made the process that reads files answer nonsense" in found, said[:80]
    assert decode(parser, PHOTO).size_hw == (50, 60)


def test_an_answer_that_breaks_off_is_the_end_of_the_process(taken_over):
    parser = taken_over()
    assert "ended the process (exit status 0)" in refusal(parser, "say nonsense", message({"picture": FACTS}))
    assert decode(parser, PHOTO).size_hw == (50, 60)


def test_too_little_memory_here_leaves_nothing_behind(parser, monkeypatch):
    """What was not read of an answer was once taken for the next one."""

    def without_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(parent.np, "empty", without_memory)
        with pytest.raises(MemoryError):
            decode(parser, PHOTO)
    assert decode(parser, PHOTO).size_hw == (50, 60)


def test_a_process_that_cannot_begin_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "child.py").write_text("raise SystemExit(5)")
    monkeypatch.setattr(parent, "PROGRAM", tmp_path / "child.py")
    with pytest.raises(DoctoredError, match=r"cannot be started \(exit status 5\)"):
        IsolatedParser(1, 1).__enter__()


def test_a_process_that_ended_between_two_files_is_replaced(taken_over):
    parser = taken_over()
    pid = int(refusal(parser, "tell").split()[0])
    os.kill(pid, 9)
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert decode(parser, PHOTO).size_hw == (50, 60)


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="Linux has and darwin has not"):
        check_supported()
    with pytest.raises(ConfigError):
        file_parser(1, 1, isolate=True)
    assert type(file_parser(1, 1, isolate=False)) is FileParser
