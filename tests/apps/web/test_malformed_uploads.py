"""Two hundred files that are no honest pictures: each gets its sentence, and the server lives on."""

import gc
import io
import random
import struct
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from apps.web.conftest import IMAGES, finish, running, send
from core.made_files import jpeg_bytes, scene

SCRIPT = b"<script>alert(1)</script>"
JPEG = (IMAGES / "splicing.jpg").read_bytes()


def encoded(image_format, **options):
    file = io.BytesIO()
    Image.fromarray(scene(60, 40)).save(file, image_format, **options)
    return file.getvalue()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def truncations():
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        data = encoded(image_format)
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
            yield f"{image_format}-{share}", data[: max(2, int(share * len(data)))]


def wrong_types():
    starts = {
        "pdf": b"%PDF-1.7\n",
        "zip": b"PK\x03\x04",
        "elf": b"\x7fELF",
        "exe": b"MZ\x90\0",
        "mp4": b"\0\0\0\x18ftypisom",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "html": b"<!doctype html>" + SCRIPT,
        "xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
        "ps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "gzip": b"\x1f\x8b\x08",
        "psd": b"8BPS",
        "mvg": b"push graphic-context\nimage over 0,0 0,0 'url(http://192.0.2.1/)'",
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "text": b"hello",
        "one": b"\xff",
    }
    for name, start in starts.items():
        for length in (0, 1, 5000):
            yield f"{name}-{length}", start + random.Random(name).randbytes(length)


def polyglots():
    for image_format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        data = encoded(image_format)
        yield f"{image_format}-html-behind", data + b"<html>" + SCRIPT
        yield f"{image_format}-zip-behind", data + b"PK\x03\x04" + bytes(100)
        yield f"{image_format}-html-before", SCRIPT + data
        yield f"{image_format}-as-svg", data[:20] + b"<svg onload=alert(1)>" + data[20:]


def huge_headers():
    signature = b"\x89PNG\r\n\x1a\n"
    for width, height in ((2**31 - 1, 1), (65_535, 65_535), (0, 0), (0, 5), (100_000, 100_000)):
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        yield (
            f"png-{width}x{height}",
            signature + header + png_chunk(b"IDAT", zlib.compress(b"\0")) + png_chunk(b"IEND", b""),
        )
    bomb = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)) + png_chunk(
        b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))
    )
    yield "png-text-bomb", signature + bomb
    yield "gif-huge", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(20)
    yield (
        "bmp-huge",
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 2**31 - 1, -(2**31), 1, 24, 0) + bytes(20),
    )
    yield "tiff-loop", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "tiff-many", b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + bytes(2000)
    yield "jpeg-markers", b"\xff\xd8" + b"\xff\xe1\xff\xff" * 5000
    yield "webp-huge", b"RIFF\xff\xff\xff\xffWEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + b"\xff" * 6


def damaged_bytes():
    chance = random.Random(0)
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF"):
        data = encoded(image_format)
        for number in range(15):
            noisy = bytearray(data)
            for _ in range(12):
                noisy[chance.randrange(2, len(noisy))] = chance.randrange(256)
            yield f"{image_format}-noise-{number}", bytes(noisy)


CASES = [*truncations(), *wrong_types(), *polyglots(), *huge_headers(), *damaged_bytes()]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("malformed"), max_megapixels=1, max_megabytes=1) as client:
        yield client


def test_each_gets_its_sentence(client):
    assert len(CASES) >= 200
    refused = 0
    for name, data in CASES:
        answer = send(client, data, f"{name}.jpg")
        if answer.status_code == 202:
            job = finish(client, answer)
            sentence = job["error"] if job["state"] == "failed" else "analysed"
        else:
            assert answer.status_code == 422, (name, answer.status_code, answer.text)
            sentence, refused = answer.json()["detail"], refused + 1
        assert sentence == "analysed" or f"{name}.jpg" in sentence, (name, sentence)
        assert "error in the program" not in sentence, (name, sentence)
        assert "\n" not in sentence
    assert refused > 100  # most cost nothing but a look at their first bytes
    assert client.get("/health").json()["waiting"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/dev/null",
        "con",
        "a" * 5000,
        "%2e%2e%2f",
        "x\0.jpg",
        "\u202egpj.exe",
        "'; rm -rf /",
    ],
)
def test_names_lead_nowhere(client, name):
    # Written by hand, since clients tidy names up.
    part = f'Content-Disposition: form-data; name="picture"; filename="{name}"'.encode()
    body = b"--x\r\n" + part + b"\r\n\r\n" + jpeg_bytes(scene(80, 70)) + b"\r\n--x--\r\n"
    answer = client.post(
        "/inspect", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    if answer.status_code == 202:
        job = finish(client, answer)
        assert job["error"] is None
        assert "/" not in job["name"]
        assert "\\" not in job["name"]
        client.get(f"/jobs/{job['id']}/files/map.png").raise_for_status()
    else:
        assert answer.status_code == 400
        assert answer.json()["detail"]


def test_scripts_in_a_file_stay_text(client):
    exif = Image.Exif()
    exif[0x0131] = exif[0x010E] = exif[0x013B] = SCRIPT.decode()
    answer = send(client, jpeg_bytes(scene(80, 70), exif=exif, comment=SCRIPT), "<svg onload=alert(1)>.jpg")
    job = finish(client, answer)
    report = client.get(f"/jobs/{job['id']}/files/report.html").text
    assert SCRIPT.decode() not in report
    assert "<svg onload" not in report
    result = client.get(f"/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "application/json"


@pytest.mark.filterwarnings(
    # Starlette leaves the file of a part that never ends to be collected.
    "ignore:Exception ignored in.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)
def test_broken_forms(client):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    picture = b'Content-Disposition: form-data; name="picture"; filename="a.jpg"\r\n'
    bodies = [
        b"",
        b"--x",
        b"--x\r\n",
        b"--x--\r\n",
        b"--x\r\n\r\n\r\n--x--\r\n",
        b"--x\r\n" + picture + b"\r\n" + JPEG[:100],  # it never ends
        b"--x\r\n" + picture + b"X-Huge: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--x--\r\n",
        b"--x\r\n" + picture + b"X-Many: a\r\n" * 5000 + b"\r\nx\r\n--x--\r\n",
        b"--x\r\nnonsense\r\n\r\nx\r\n--x--\r\n",
        np.random.default_rng(0).bytes(1000),
    ]
    for body in bodies:
        answer = client.post("/inspect", content=body, headers=headers)
        assert answer.status_code in (400, 422), (body[:60], answer.status_code)
        assert answer.json()["detail"]
    gc.collect()
    assert client.get("/health").json()["waiting"] == 0


def test_an_upload_that_breaks_off_frees_its_place(client):
    def broken():
        yield b"--x\r\n"
        raise OSError("the cable was pulled")

    headers = {"content-type": "multipart/form-data; boundary=x"}
    with pytest.raises((OSError, httpx.HTTPError)):
        client.post("/inspect", content=broken(), headers=headers)
    answer = send(client, jpeg_bytes(scene(80, 70)))
    assert finish(client, answer)["state"] == "done"
    assert client.get("/health").json()["waiting"] == 0
