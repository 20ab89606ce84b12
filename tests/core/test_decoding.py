"""Pixels of every format against what was written, or against a second library."""

import io
import struct
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from core.made_files import HEIC
from doctored.core import decoding
from doctored.core.errors import ImageReadError, MissingExtraError
from doctored.core.picture import Picture
from doctored.core.read_image import read_image

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (21, 34, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (21, 34), dtype=np.uint8)
ALPHA[:5] = 0
DEEP = RNG.integers(0, 65536, (21, 34, 4), dtype=np.uint16)


def read(path: Path, data: bytes) -> Picture:
    path.write_bytes(data)
    return read_image(path)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(samples: np.ndarray, bit_depth: int, colour_type: int, *after: tuple[bytes, bytes]) -> bytes:
    """A PNG file by hand, from rows of packed samples; chunks in `after` follow the pixels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def grey_as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def scaled(deep: np.ndarray) -> np.ndarray:
    return np.rint(deep * (255 / 65535)).astype(np.uint8)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
@pytest.mark.parametrize("size_hw", [(21, 34), (1, 1), (1, 9), (9, 1)])
def test_lossless_formats_return_what_was_written(
    tmp_path: Path, image_format: str, options: dict[str, object], size_hw: tuple[int, int]
) -> None:
    pixels = RGB[: size_hw[0], : size_hw[1]]
    picture = read(tmp_path / "picture", encode(Image.fromarray(pixels), image_format, **options))
    tolerance = 3 if image_format == "AVIF" else 0  # its conversion to YCbCr rounds
    assert picture.size_hw == picture.stored_size_hw == size_hw
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= tolerance
    assert (picture.format, picture.mode, picture.bit_depth) == (image_format, "RGB", 8)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pixels_agree_with_opencv(tmp_path: Path, subsampling: int, progressive: bool) -> None:
    data = encode(Image.fromarray(RGB), "JPEG", quality=85, subsampling=subsampling, progressive=progressive)
    picture = read(tmp_path / "a.jpg", data)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(picture.pixels.astype(int) - other).max() <= 1
    assert picture.jpeg is not None
    assert picture.jpeg.progressive == progressive


def test_only_jpeg_files_have_jpeg_facts(tmp_path: Path) -> None:
    assert read(tmp_path / "a.png", encode(Image.fromarray(RGB), "PNG")).jpeg is None


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
def test_grey_becomes_rgb(tmp_path: Path, image_format: str) -> None:
    flat = np.full((16, 16), 77, np.uint8)
    flat[:, 8:] = 200
    picture = read(tmp_path / "grey", encode(Image.fromarray(flat), image_format))
    assert (picture.pixels == grey_as_rgb(flat)).all()


def test_bilevel_palette_and_low_depth(tmp_path: Path) -> None:
    bits = np.array([[0b10100000], [0b01000000]], np.uint8)
    black_white = read(tmp_path / "a.png", encode(Image.fromarray(ALPHA > 127), "PNG"))
    assert (black_white.pixels == grey_as_rgb(np.where(ALPHA > 127, 255, 0))).all()
    assert (black_white.mode, black_white.bit_depth) == ("1", 1)

    # 8 pixels of 1 bit fill one byte, so the header says 1 pixel per byte of `bits`; mend its width.
    data = bytearray(png(bits, 4, 0))
    data[16:20] = struct.pack(">I", 2)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    four_bits = read(tmp_path / "b.png", bytes(data))
    assert four_bits.pixels[:, :, 0].tolist() == [[170, 0], [68, 0]]
    assert four_bits.bit_depth == 4

    palette = Image.fromarray(RGB).quantize(7)
    looked_up = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(palette)]
    for image_format in ("PNG", "GIF", "BMP", "TIFF"):
        picture = read(tmp_path / "c", encode(palette, image_format))
        assert (picture.pixels == looked_up).all()
        assert (picture.mode, picture.bit_depth) == ("P", 8)


def test_alpha_is_dropped_and_never_composited(tmp_path: Path) -> None:
    rgba = Image.fromarray(np.dstack([RGB, ALPHA]))
    for image_format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        picture = read(tmp_path / "rgba", encode(rgba, image_format, **options))
        assert (picture.pixels == RGB).all()
        assert picture.mode == "RGBA"

    grey_alpha = Image.merge("LA", [Image.fromarray(RGB[:, :, 0].copy()), Image.fromarray(ALPHA)])
    picture = read(tmp_path / "la.png", encode(grey_alpha, "PNG"))
    assert (picture.pixels == grey_as_rgb(RGB[:, :, 0])).all()


def test_transparency_of_palettes_and_colour_keys_is_dropped(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(5)
    looked_up = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(palette)]
    for image_format, transparency in (("PNG", bytes([0, 100, 255, 0, 7])), ("PNG", 2), ("GIF", 2)):
        picture = read(tmp_path / "p", encode(palette, image_format, transparency=transparency))
        assert (picture.pixels == looked_up).all()

    keyed = encode(Image.fromarray(RGB), "PNG", transparency=tuple(int(c) for c in RGB[3, 3]))
    assert (read(tmp_path / "k.png", keyed).pixels == RGB).all()


def test_deep_grey_is_scaled_and_rounded(tmp_path: Path) -> None:
    every_value = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "a.png"), every_value)
    cv2.imwrite(str(tmp_path / "a.tif"), every_value)
    tifffile.imwrite(tmp_path / "big-endian.tif", every_value, byteorder=">")
    for name in ("a.png", "a.tif", "big-endian.tif"):
        picture = read_image(tmp_path / name)
        assert (picture.pixels == grey_as_rgb(scaled(every_value))).all()
        assert picture.bit_depth == 16


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_grey_with_white_as_zero_is_inverted(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DEEP[:, :, 0], photometric="miniswhite", compression=compression)
    assert (read_image(path).pixels == grey_as_rgb(scaled(65535 - DEEP[:, :, 0]))).all()


def test_twelve_bit_grey_fills_the_range(tmp_path: Path) -> None:
    # Two samples of 12 bits, 0xFFF and 0x800, in three bytes.
    entries = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 1)]
    entries += [(279, 4, 3)]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00\0" + struct.pack("<H", len(entries))
    picture = read(tmp_path / "a.tif", head + directory + b"\0" * 4)
    assert picture.pixels[0, :, 0].tolist() == [255, 128]
    assert picture.bit_depth == 12


def test_deep_colour_keeps_the_high_byte(tmp_path: Path) -> None:
    high = (DEEP >> 8).astype(np.uint8)[:, :, :3]
    assert np.abs(high.astype(int) - scaled(DEEP[:, :, :3])).max() == 1
    cv2.imwrite(str(tmp_path / "rgb.png"), DEEP[:, :, 2::-1])
    cv2.imwrite(str(tmp_path / "rgba.png"), DEEP[:, :, [2, 1, 0, 3]])
    tifffile.imwrite(tmp_path / "raw.tif", DEEP[:, :, :3], photometric="rgb")
    tifffile.imwrite(tmp_path / "be.tif", DEEP[:, :, :3], photometric="rgb", byteorder=">")
    tifffile.imwrite(tmp_path / "tiles.tif", DEEP[:, :, :3], photometric="rgb", tile=(16, 16))
    tifffile.imwrite(tmp_path / "rgba.tif", DEEP, photometric="rgb", extrasamples=["unassalpha"])
    planes = DEEP[:, :, :3].transpose(2, 0, 1)
    tifffile.imwrite(
        tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate", compression="zlib"
    )
    for path in sorted(tmp_path.iterdir()):
        picture = read_image(path)
        assert (picture.pixels == high).all(), path.name
        assert picture.bit_depth == 16

    grey_alpha = png(DEEP[:, :, :2].astype(">u2"), 16, 4)
    assert (read(tmp_path / "la.png", grey_alpha).pixels == high[:, :, :1]).all()


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (RGB[:, :, 0].astype(np.float32), {}),
        (RGB[:, :, 0].astype(np.int32), {}),
        (RGB[:, :, 0].astype(np.int16), {}),
        (RGB, {"photometric": "cielab"}),
    ],
)
def test_samples_without_a_white_are_refused(
    tmp_path: Path, array: np.ndarray, options: dict[str, str]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    with pytest.raises(ImageReadError, match=r"a\.tif stores pixels that have no fixed.*save it as 8-bit"):
        read_image(tmp_path / "a.tif")


def test_separate_deep_planes_are_refused_rather_than_read_as_noise(tmp_path: Path) -> None:
    planes = DEEP[:, :, :3].transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageReadError, match=r"separate planes of 16 bits.*interleaved"):
        read_image(tmp_path / "a.tif")
    eight = planes.astype(np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", eight, photometric="rgb", planarconfig="separate")
    assert (read_image(tmp_path / "b.tif").pixels == eight.transpose(1, 2, 0)).all()


@pytest.mark.parametrize("extratags", [[(0xC612, "B", 4, (1, 4, 0, 0), False)], [(254, "I", 1, 1, False)]])
def test_raw_files_that_look_like_tiff_are_refused(
    tmp_path: Path, extratags: list[tuple[object, ...]]
) -> None:
    subfile = 1 if extratags[0][0] == 254 else 0
    tags = [tag for tag in extratags if tag[0] != 254]
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", subfiletype=subfile, extratags=tags)
    with pytest.raises(ImageReadError, match=r"camera RAW file.*convert it to TIFF or JPEG first"):
        read_image(tmp_path / "a.tif")


def test_cmyk(tmp_path: Path) -> None:
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16] = (255, 0, 0, 0)
    inks[:, 16:32] = (0, 100, 0, 0)
    inks[:, 32:] = (0, 0, 0, 200)
    expected = np.zeros((16, 48, 3), np.uint8)
    expected[:, :16] = (0, 255, 255)
    expected[:, 16:32] = (255, 155, 255)
    expected[:, 32:] = 55
    image = Image.frombytes("CMYK", (48, 16), inks.tobytes())
    jpeg = encode(image, "JPEG", quality=100)
    assert b"Adobe" in jpeg[:64]
    for data in (jpeg, encode(image, "TIFF")):
        picture = read(tmp_path / "a", data)
        assert np.abs(picture.pixels.astype(int) - expected).max() <= 2
        assert picture.mode == "CMYK"


def test_the_first_of_several_pictures_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    several = {"save_all": True, "append_images": [second]}
    for image_format, options in (
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ):
        picture = read(tmp_path / "a", encode(first, image_format, **several, **options))
        assert np.abs(picture.pixels.astype(int) - RGB).max() <= 3

    grey = [Image.fromarray(values) for values in (RGB[:, :, 0].copy(), RGB[:, :, 1].copy())]
    animation = read(tmp_path / "a.gif", encode(grey[0], "GIF", save_all=True, append_images=grey[1:]))
    assert (animation.pixels == grey_as_rgb(RGB[:, :, 0])).all()

    alone = encode(first, "JPEG")
    expected = read(tmp_path / "a.jpg", alone).pixels
    multi_picture = read(tmp_path / "a.mpo", encode(first, "MPO", **several))
    assert b"MPF\0" in (tmp_path / "a.mpo").read_bytes()
    gain_map = read(tmp_path / "b.jpg", alone + encode(second.resize((8, 8)), "JPEG"))
    for picture in (multi_picture, gain_map):
        assert (picture.pixels == expected).all()
        assert picture.format == "JPEG"
        assert picture.jpeg is not None


SMALL = np.array([[[10, 0, 0], [20, 0, 0], [30, 0, 0]], [[40, 0, 0], [50, 0, 0], [60, 0, 0]]], np.uint8)
# The red values of SMALL as they stand upright, by hand from the EXIF definition of the tag: where row 0
# and column 0 of the file are in the upright picture.
UPRIGHT = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    for image_format, options in (
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ):
        data = encode(Image.fromarray(SMALL), image_format, exif=exif(orientation), **options)
        picture = read(tmp_path / "a", data)
        assert picture.pixels[:, :, 0].tolist() == UPRIGHT[orientation]
        assert (picture.orientation, picture.stored_size_hw) == (orientation, (2, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_large_and_lossy_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    monkeypatch.setattr(decoding, "_BAND_PIXELS", 4 * 34)  # so that the picture has many bands
    for image_format in ("JPEG", "AVIF"):
        data = encode(Image.fromarray(RGB), image_format, exif=exif(orientation))
        picture = read(tmp_path / "a", data)
        with Image.open(io.BytesIO(data)) as image:
            assert (picture.pixels == np.asarray(ImageOps.exif_transpose(image))).all()
        assert (picture.orientation, picture.stored_size_hw) == (orientation, (21, 34))


def test_an_orientation_after_the_pixels_counts(tmp_path: Path) -> None:
    data = png(SMALL, 8, 2, (b"eXIf", exif(6).tobytes()[6:]))
    assert read(tmp_path / "a.png", data).pixels[:, :, 0].tolist() == UPRIGHT[6]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, and goes on
@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", exif(9).tobytes()]
)
def test_an_orientation_nobody_can_read_is_none(tmp_path: Path, block: bytes) -> None:
    picture = read(tmp_path / "a.jpg", encode(Image.fromarray(RGB), "JPEG", exif=block))
    assert (picture.orientation, picture.size_hw) == (1, (21, 34))


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF", "WEBP", "PNG"])
def test_an_orientation_in_xmp_is_not_followed(tmp_path: Path, image_format: str) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, object] = {"xmp": packet}
    if image_format == "TIFF":
        options = {"tiffinfo": {700: packet}}
    picture = read(tmp_path / "a", encode(Image.fromarray(RGB), image_format, **options))
    assert packet in (tmp_path / "a").read_bytes() or image_format == "PNG"
    assert (picture.orientation, picture.size_hw) == (1, (21, 34))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_the_colour_profile_is_kept_and_not_applied(tmp_path: Path, image_format: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain = read(tmp_path / "a", encode(Image.fromarray(RGB), image_format))
    profiled = read(tmp_path / "b", encode(Image.fromarray(RGB), image_format, icc_profile=profile))
    assert plain.icc_profile is None
    assert profiled.icc_profile == profile
    assert (profiled.pixels == plain.pixels).all()


def test_avif_bit_depth() -> None:
    data = encode(Image.fromarray(RGB), "AVIF")
    flags = data.index(b"av1C") + 6
    image = decoding.open_picture("a.avif", data, "AVIF")
    for bits, depth in ((0x00, 8), (0x40, 10), (0x60, 12)):
        edited = data[:flags] + bytes([data[flags] & ~0x60 | bits]) + data[flags + 1 :]
        assert decoding.stored_bit_depth(image, edited) == depth


def test_heic(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    picture = read(tmp_path / "a.heic", HEIC)
    quarters = picture.pixels[[4, 4, 12, 12], [4, 16, 4, 16]].astype(int)
    expected = [(200, 40, 40), (40, 160, 60), (50, 60, 190), (230, 230, 220)]
    assert np.abs(quarters - expected).max() <= 2
    assert (picture.format, picture.size_hw, picture.bit_depth) == ("HEIF", (16, 24), 8)


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(MissingExtraError, match=r"a\.heic.*pip install 'doctored\[heif\]'"):
        read(tmp_path / "a.heic", HEIC)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP"])
def test_pillows_own_limit_does_not_interfere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_format: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = encode(Image.fromarray(RGB), image_format)
    assert read(tmp_path / "a", data).size_hw == (21, 34)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_pillows_own_limit_returns_after_the_last_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with decoding.pillow_limit_lifted():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    assert inside.wait(10)
    with decoding.pillow_limit_lifted():
        pass
    assert Image.MAX_IMAGE_PIXELS is None
    leave.set()
    other.join()
    assert Image.MAX_IMAGE_PIXELS == 10
