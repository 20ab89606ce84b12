import numpy as np
import pytest

from doctored.predict.crc32c import crc32c, unmasked


def slow(content: bytes) -> int:
    """Bit by bit, as the definition has it."""
    register = 0xFFFFFFFF
    for byte in content:
        for bit in range(8):
            carry = (register ^ (byte >> bit)) & 1
            register >>= 1
            if carry:
                register ^= 0x82F63B78
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # RFC 3720, appendix B.4.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_published_values(content: bytes, expected: int):
    assert crc32c(content) == expected


@pytest.mark.parametrize("length", [*range(1, 20), 63, 64, 65, 1000, 65_535, 65_536, 65_537, 200_001])
def test_every_length_agrees_with_the_slow_way(length: int):
    content = np.random.default_rng(length).bytes(length)
    assert crc32c(memoryview(content)) == slow(content)


def test_the_mask_comes_off():
    """Masking is rotating right by 15 bits and adding a constant."""
    for value in (0, 1, 0xE3069283, 0xFFFFFFFF):
        rotated = (value >> 15 | value << 17) & 0xFFFFFFFF
        assert unmasked((rotated + 0xA282EAD8) & 0xFFFFFFFF) == value
