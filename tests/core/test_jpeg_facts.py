import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from doctored.core.jpeg_facts import JpegFacts

RNG = np.random.default_rng(2)
PIXELS = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def facts_of(data: bytes) -> JpegFacts:
    with JpegImageFile(io.BytesIO(data)) as image:
        return JpegFacts.from_header(image)


def jpeg_bytes(mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def zigzag() -> list[int]:
    """Natural index of each coefficient in the order of a file: along the anti-diagonals, turning at each."""
    order = []
    for diagonal in range(15):
        cells = [(v, diagonal - v) for v in range(8) if 0 <= diagonal - v < 8]
        order += [8 * v + u for v, u in (reversed(cells) if diagonal % 2 == 0 else cells)]
    return order


def parse_tables(data: bytes) -> dict[int, list[int]]:
    """Quantization tables by identifier, from the markers of the file."""
    tables, position = {}, 2
    while data[position + 1] != 0xDA:
        length = struct.unpack(">H", data[position + 2 : position + 4])[0]
        segment = data[position + 4 : position + 2 + length]
        while data[position + 1] == 0xDB and segment:
            table = [0] * 64
            for stored, natural in enumerate(zigzag()):
                table[natural] = segment[1 + stored]
            tables[segment[0] & 15] = table
            segment = segment[65:]
        position += 2 + length
    return tables


def test_tables_are_those_that_were_written_in_natural_order() -> None:
    luma = list(range(1, 65))
    chroma = list(range(101, 165))
    facts = facts_of(jpeg_bytes(qtables=[luma, chroma]))
    assert facts.quantization_tables == (tuple(luma), tuple(chroma), tuple(chroma))


@pytest.mark.parametrize("quality", [10, 75, 92])
def test_tables_agree_with_a_parse_by_hand(quality: int) -> None:
    data = jpeg_bytes(quality=quality)
    tables = parse_tables(data)
    assert facts_of(data).quantization_tables == (tuple(tables[0]), tuple(tables[1]), tuple(tables[1]))
    # Steps grow with frequency along the first row, so a zig-zag left in place would show.
    assert tables[0][7] > tables[0][0]


@pytest.mark.parametrize("name", ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1"])
def test_subsampling_as_another_library_writes_it(name: str) -> None:
    factor = getattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR_" + name.replace(":", ""))
    done, data = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor])
    assert done
    facts = facts_of(data.tobytes())
    assert facts.subsampling == name
    assert facts.sampling_hv[1:] == ((1, 1), (1, 1))


def test_grey_has_one_component_and_cmyk_four() -> None:
    grey, cmyk = facts_of(jpeg_bytes("L")), facts_of(jpeg_bytes("CMYK"))
    assert (grey.subsampling, len(grey.quantization_tables)) == ("grey", 1)
    assert (cmyk.subsampling, len(cmyk.sampling_hv)) == ("4:4:4", 4)


@pytest.mark.parametrize(
    ("sampling", "name"),
    [((0x22, 0x12, 0x11), "other"), ((0x11, 0x22, 0x22), "other"), ((0x22, 0x22, 0x22), "4:4:4")],
)
def test_subsampling_from_edited_headers(sampling: tuple[int, int, int], name: str) -> None:
    data = bytearray(jpeg_bytes())
    frame = data.index(b"\xff\xc0")
    for component, factors in enumerate(sampling):
        data[frame + 11 + 3 * component] = factors
    assert facts_of(bytes(data)).subsampling == name


def test_progressive() -> None:
    assert facts_of(jpeg_bytes(progressive=True)).progressive
    assert not facts_of(jpeg_bytes()).progressive


@pytest.mark.parametrize("quality", [20, 30, 50, 70, 85, 95, 99])
def test_the_estimated_quality_is_that_of_the_encoder(quality: int):
    assert facts_of(jpeg_bytes(quality=quality)).estimated_quality == pytest.approx(quality, abs=1)


def test_the_estimated_quality_goes_by_the_mean_step_of_luma():
    def estimate(step: int) -> float:
        return JpegFacts(((step,) * 64, (1,) * 64), ((2, 2), (1, 1)), "4:2:0", False).estimated_quality

    # The mean luma step of quality 50 is 57.625: a fifth of it is 20 percent, that is quality 90.
    assert estimate(11) == pytest.approx(100 - 100 * 11 / 57.625 / 2, abs=0.05)
    assert estimate(115) == pytest.approx(5000 / (100 * 115 / 57.625), abs=0.05)
    assert estimate(1) == 99.1
    assert estimate(65535) == 1
