"""Files that are refused, each with its sentence; limits; masks; and any bytes at all."""

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from doctored.core.errors import ConfigError, DataError, ImageReadError, ShapeError, TooLargeError
from doctored.core.read_image import read_image, read_mask

RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encode(image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


FILES = {
    "a.jpg": encode("JPEG"),
    "progressive.jpg": encode("JPEG", progressive=True),
    "a.png": encode("PNG"),
    "a.webp": encode("WEBP"),
    "lossless.webp": encode("WEBP", lossless=True),
    "a.avif": encode("AVIF"),
    "a.tif": encode("TIFF"),
    "packed.tif": encode("TIFF", compression="tiff_adobe_deflate"),
    "a.gif": encode("GIF"),
    "a.bmp": encode("BMP"),
}


def refusal(path: Path, data: bytes | None = None, **limits: float) -> str:
    """The sentence with which a file is refused."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImageReadError) as caught:
        read_image(path, **limits)
    message = str(caught.value)
    assert message.startswith(str(path)), "the sentence names the file"
    assert "; " in message, "the sentence says what to do"
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES["a.jpg"])
    picture = read_image(str(path))
    assert picture.path == str(path)
    assert picture.sha256 == hashlib.sha256(FILES["a.jpg"]).hexdigest()
    assert picture.file_bytes == len(FILES["a.jpg"])
    assert (read_image(path).pixels == picture.pixels).all()
    assert read_image(os.fsencode(path)).path == str(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_cut_files_are_errors(tmp_path: Path, name: str, kept: float) -> None:
    data = FILES[name]
    message = refusal(tmp_path / name, data[: int(len(data) * kept)])
    assert "damaged, cut off or of a rare variant" in message
    assert "get a complete copy" in message


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.jpg", b"", "is empty (0 bytes)"),
        (
            "notes.jpg",
            b"These are notes.\n",
            "is a text file, not a picture that can be read; give a JPEG, PNG",
        ),
        ("paper.pdf", b"%PDF-1.4\n%\xe2\xe3", "is a PDF document"),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomavc1", "is a video or audio file"),
        ("logo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "is an SVG drawing"),
        ("shot.cr2", b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 64, "camera RAW file, not a picture"),
        (
            "shot.nef",
            encode("TIFF"),
            "is a camera RAW file, not a picture that can be read; convert it to TIFF",
        ),
        ("shot.dng", encode("TIFF"), "is a camera RAW file"),
        ("shot.ARW", encode("TIFF"), "is a camera RAW file"),
        ("shot.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "is a camera RAW file"),
        ("shot.raf", b"FUJIFILMCCD-RAW 0201FF", "is a camera RAW file"),
        ("noise.png", bytes(range(128, 256)), "is a file of an unknown kind"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a PostScript document"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    assert says in refusal(tmp_path / name, data)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "missing.jpg")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 5000))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be opened" in refusal(tmp_path / "loop")
    with pytest.raises(ImageReadError, match="null"):
        read_image("a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a device or pipe" in refusal(tmp_path / "pipe")
    assert "is a device or pipe" in refusal(Path("/dev/zero"))


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES["a.jpg"])

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, who may read everything.
    monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be opened (Permission denied); check the path and its permissions" in refusal(path)


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES["a.jpg"])
    status = os.stat(path)
    monkeypatch.setattr("builtins.open", lambda *_: io.BytesIO(FILES["a.jpg"] + b"more"))
    assert "changed while it was read" in refusal(path)
    assert status.st_size == len(FILES["a.jpg"])


def test_memory_errors_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("doctored.core.read_image.decode_upright", exhaust)
    assert "does not fit into memory" in refusal(tmp_path / "a.jpg", FILES["a.jpg"])


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    bomb = png_header(60000, 60000) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    message = refusal(tmp_path / "bomb.png", bomb)
    assert "is 60000 x 60000 pixels (3600.0 megapixels), more than the limit of 400; crop it, or" in message


def test_a_webp_bomb_is_refused_before_its_reader_reserves_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reserve(*_: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr("doctored.core.read_image.open_picture", reserve)
    data = bytearray(encode("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff" * 6
    assert "is 16777216 x 16777216 pixels" in refusal(tmp_path / "a.webp", bytes(data))


def test_compressed_text_that_unpacks_to_too_much(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"a" * 100_000_000, 9))
    image = FILES["a.png"]
    assert "damaged" in refusal(tmp_path / "a.png", image[:33] + text + image[33:])


@pytest.mark.parametrize("name", FILES)
def test_limits_are_the_callers(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = FILES[name]
    megapixels, megabytes = 24 * 40 / 1e6, len(data) / 1e6
    message = refusal(path, data, max_megapixels=megapixels * 0.999)
    assert "is 40 x 24 pixels" in message
    assert "--max-mp" not in message, "which is an option of some commands only"
    message = refusal(path, data, max_megabytes=megabytes * 0.999)
    assert "more than the limit" in message
    assert "--max-mb" not in message
    assert read_image(path, max_megapixels=megapixels * 1.001, max_megabytes=megabytes * 1.001).size_hw == (
        24,
        40,
    )


@pytest.mark.parametrize("limit", ["max_megapixels", "max_megabytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_must_be_positive(tmp_path: Path, limit: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{limit} must be a positive number"):
        read_image(tmp_path / "a.jpg", **{limit: value})


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file with a few bytes overwritten, near its start more often than not, and perhaps cut or grown."""
    name = draw(st.sampled_from(sorted(FILES)))
    data = bytearray(FILES[name])
    for _ in range(draw(st.integers(0, 6))):
        reach = draw(st.sampled_from([64, 512, len(data)]))
        data[draw(st.integers(0, min(reach, len(data)) - 1))] = draw(st.integers(0, 255))
    start, stop = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    change = draw(st.sampled_from(["none", "cut", "remove", "repeat"]))
    if change == "cut":
        del data[stop:]
    elif change == "remove":
        del data[start:stop]
    elif change == "repeat":
        data[stop:stop] = data[start:stop]
    return name, bytes(data)


def read_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        picture = read_image(path, max_megapixels=1, max_megabytes=1)
    except ImageReadError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - either outcome is right
    else:
        assert picture.pixels.shape == (*picture.size_hw, 3)
        assert picture.pixels.size <= 3e6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage that it can work around
@settings(max_examples=300, deadline=None, database=None)
@given(file=damaged_files())
def test_damaged_files_give_a_picture_or_a_sentence(folder: Path, file: tuple[str, bytes]) -> None:
    name, data = file
    read_or_refuse(folder / name, data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None, database=None)
@given(
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0+", b"GIF89a", b"BM"]),
    rest=st.binary(max_size=200),
)
def test_any_bytes_give_a_picture_or_a_sentence(folder: Path, start: bytes, rest: bytes) -> None:
    read_or_refuse(folder / "a.bin", start + rest)


def test_masks(tmp_path: Path) -> None:
    values = np.array([[0, 127, 128, 255]], np.uint8)
    expected = [[False, False, True, True]]

    def mask_of(image: Image.Image, **options: Any) -> list[list[bool]]:
        image.save(tmp_path / "mask.png", **options)
        mask = read_mask(tmp_path / "mask.png", (1, 4))
        assert mask.dtype == bool
        return mask.tolist()  # type: ignore[no-any-return]

    grey = Image.fromarray(values)
    assert mask_of(grey) == expected
    assert mask_of(grey.convert("RGB")) == expected
    assert mask_of(grey.point(lambda value: 255 * (value > 127)).convert("1")) == expected
    assert mask_of(Image.fromarray(values.astype(np.uint16) * 257)) == expected
    # The alpha of a mask carries no label.
    assert mask_of(Image.merge("LA", [grey, Image.new("L", (4, 1), 0)])) == expected
    colours = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 100)]], np.uint8)
    # Luma: .299 R + .587 G + .114 B.
    assert mask_of(Image.fromarray(colours)) == [[False, True, False, True]]


def test_masks_of_zeros_and_ones_are_read_by_their_convention(tmp_path: Path) -> None:
    """Such masks once were all False, so a manipulated picture counted as authentic."""
    path = tmp_path / "mask.png"
    ones = [[False, True, True, False]]
    Image.fromarray(np.array([[0, 1, 1, 0]], np.uint8)).save(path)
    assert read_mask(path).tolist() == ones
    assert read_mask(path, convention="one").tolist() == ones
    assert not read_mask(path, convention="white").any()
    Image.fromarray(np.zeros((1, 4), np.uint8)).save(path)
    assert not read_mask(path).any()
    Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)).save(path)
    assert read_mask(path).tolist() == [[False, False, False, True]]
    with pytest.raises(DataError, match=r"mask\.png should hold 0 and 1 only, but holds 255"):
        read_mask(path, convention="one")
    # Compression leaves ones in the black of a JPEG file; they mean nothing.
    lossy = tmp_path / "mask.jpg"
    Image.fromarray(np.full((8, 8), 1, np.uint8)).save(lossy, quality=100)
    assert read_image(lossy).pixels.max() == 1
    assert not read_mask(lossy).any()
    assert read_mask(lossy, convention="one").all()


def test_masks_of_other_conventions(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 10, 11, 127, 128, 255]], np.uint8)).save(path)

    def count(**options: Any) -> int:
        return int(read_mask(path, **options).sum())

    assert [count(), count(convention="white"), count(convention="black")] == [2, 2, 4]
    assert [count(convention="white", threshold=10), count(convention="black", threshold=0)] == [4, 1]
    with pytest.raises(ConfigError, match="one of auto, white, black, one; got 'inverted'"):
        read_mask(path, convention="inverted")


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (4, 2)).save(path)
    assert read_mask(path).shape == (2, 4)
    with pytest.raises(ShapeError, match=r"mask\.png is \(2, 4\).*its picture is \(4, 2\)"):
        read_mask(path, (4, 2))
    with pytest.raises(TooLargeError, match="is 4 x 2 pixels"):
        read_mask(path, max_megapixels=1e-6)
