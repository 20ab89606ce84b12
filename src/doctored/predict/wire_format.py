"""Numbers and messages as protocol buffers and TensorFlow's tables encode them; every length is checked."""

from collections.abc import Iterator

from doctored.core.errors import ModelError

_LONGEST_VARINT = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_varint(content: bytes, start: int) -> tuple[int, int]:
    """An unsigned number of seven bits per byte, the lowest first, and where it ends.

    Raises:
        ModelError: It runs over the end or over 64 bits.
    """
    number = 0
    for index, byte in enumerate(content[start : start + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if number >> 64:
                break
            return number, start + index + 1
    raise ModelError("a number has no end")


def as_signed(number: int) -> int:
    """A 64-bit number as two's complement; sizes and offsets are stored so."""
    return number - (1 << 64) if number >> 63 else number


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer message: number, and value as a whole number or as bytes.

    Raises:
        ModelError: A field is cut off or of a kind that is no longer used.
    """
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = read_varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = read_varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ModelError(f"a field has the kind {kind}")
        content = message[position : position + length]
        if len(content) < length:
            raise ModelError("a field runs over the end")
        position += length
        yield number, content if kind == _BYTES else int.from_bytes(content, "little")
