"""CRC-32C (Castagnoli), the checksum of TensorFlow's checkpoints, fast enough for hundreds of megabytes."""

import functools

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # x^32 is left out and the lowest power comes first, as everywhere in this file
_ONE = 0x80000000
_WIDEST_ROW = 1 << 14


def crc32c(content: bytes | memoryview) -> int:
    """Checksum of some bytes.

    A checksum is the remainder of a polynomial whose coefficients are the bits of the content, so that it can be
    computed like Horner's rule: here with rows of words instead of single bits, which NumPy does at once.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    # A checksum starts with all bits set, which is the same as inverting the first four bytes.
    start = bytes(byte ^ 0xFF for byte in bytes(content[:4]).ljust(4, b"\0"))
    if len(content) < 4:
        return _short(content)
    words = -(-len(content) // 4)
    width = min(_WIDEST_ROW, 1 << (words.bit_length() - 1))
    rows = -(-words // width)
    # Zeros in front change nothing.
    padded = np.zeros(rows * width * 4, np.uint8)
    padded[-len(content) :] = np.frombuffer(content, np.uint8)
    first = padded.size - len(content)
    padded[first : first + 4] = np.frombuffer(start, np.uint8)
    table = padded.view("<u4").reshape(rows, width)
    remainder = table[0].copy()
    for row in table[1:]:
        remainder = _shifted(remainder, width) ^ row
    while len(remainder) > 1:
        half = len(remainder) // 2
        remainder = _shifted(remainder[:half], half) ^ remainder[half:]
    return int(_shifted(remainder, 1)[0]) ^ 0xFFFFFFFF


def unmasked(stored: int) -> int:
    """The checksum behind one that TensorFlow has written, which it rotates and adds a constant to.

    So that a checksum of data that contains checksums stays a good one.
    """
    rotated = (stored - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def _short(content: bytes | memoryview) -> int:
    remainder = 0xFFFFFFFF
    for byte in bytes(content):
        remainder ^= byte
        for _ in range(8):
            remainder = _times_x(remainder)
    return remainder ^ 0xFFFFFFFF


def _times_x(polynomial: int) -> int:
    return polynomial >> 1 ^ (_POLYNOMIAL if polynomial & 1 else 0)


def _shifted(polynomials: NDArray[np.uint32], words: int) -> NDArray[np.uint32]:
    """The remainders of polynomials that are followed by so many words of zeros."""
    tables = _shift_tables(words)
    octets = np.ascontiguousarray(polynomials, "<u4").view(np.uint8).reshape(-1, 4)
    result: NDArray[np.uint32] = tables[0][octets[:, 0]]
    for number in (1, 2, 3):
        result ^= tables[number][octets[:, number]]
    return result


@functools.cache
def _shift_tables(words: int) -> NDArray[np.uint32]:
    """(4, 256): what each value of each byte of a polynomial becomes."""
    tables = np.zeros((4, 256), np.uint32)
    column = _power_of_x(32 * words)
    # x^0 is the highest bit of the last byte, x^31 the lowest of the first one.
    for bit in reversed(range(32)):
        number, value = bit // 8, 1 << bit % 8
        has_bit = np.arange(256) & value != 0
        tables[number, has_bit] ^= np.uint32(column)
        column = _times_x(column)
    return tables


def _power_of_x(exponent: int) -> int:
    power, square = _ONE, _times_x(_ONE)
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power


def _product(a: int, b: int) -> int:
    result = 0
    for bit in reversed(range(32)):
        if a >> bit & 1:
            result ^= b
        b = _times_x(b)
    return result
