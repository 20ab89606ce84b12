"""Tables of keys and values in TensorFlow's form of LevelDB's sorted tables, read whole and checked."""

import struct

from doctored.core.errors import ModelError
from doctored.predict.crc32c import crc32c, unmasked
from doctored.predict.wire_format import read_varint

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_SIZE = 48
_TRAILER_SIZE = 5  # of a block: how it is compressed, and its checksum
_MOST_ENTRIES = 100_000
_LONGEST_KEY = 1000


def is_table(end: bytes) -> bool:
    """Whether a file that ends so is such a table."""
    return len(end) >= _FOOTER_SIZE and end.endswith(_MAGIC)


def read_table(content: bytes) -> dict[bytes, bytes]:
    """All entries of a table, in its order.

    Raises:
        ModelError: The table is damaged, holds more or longer keys than a checkpoint's does, or is compressed. The
            message is the reason alone.
    """
    if not is_table(content):
        raise ModelError("it does not end like a table; it is cut off or no such file")
    footer = content[-_FOOTER_SIZE:]
    _, position = _read_handle(footer, 0)  # of a block for filters, which TensorFlow leaves empty
    index, _ = _read_handle(footer, position)
    entries: dict[bytes, bytes] = {}
    last = None
    end = 0
    for _, handle in _read_block(content, index):
        block, _ = _read_handle(handle, 0)
        # Blocks follow each other; one that came again and again would take forever.
        if block[0] < end:
            raise ModelError("its blocks overlap")
        end = sum(block) + _TRAILER_SIZE
        for key, value in _read_block(content, block):
            if last is not None and key <= last:
                raise ModelError("its keys are not in order")
            if len(entries) == _MOST_ENTRIES:
                raise ModelError(f"it has more than {_MOST_ENTRIES} entries, which no checkpoint has")
            entries[key] = value
            last = key
    return entries


def _read_handle(content: bytes, start: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the handle ends."""
    offset, position = read_varint(content, start)
    size, position = read_varint(content, position)
    return (offset, size), position


def _read_block(content: bytes, handle: tuple[int, int]) -> list[tuple[bytes, bytes]]:
    """Entries of a block: each key shares its first bytes with the one before."""
    offset, size = handle
    end = offset + size
    if end + _TRAILER_SIZE > len(content) - _FOOTER_SIZE:
        raise ModelError("a block runs over its end")
    (stored,) = struct.unpack("<I", content[end + 1 : end + _TRAILER_SIZE])
    # The checksum covers the byte that says how the block is compressed.
    if crc32c(memoryview(content)[offset : end + 1]) != unmasked(stored):
        raise ModelError("the checksum of a block is wrong")
    if content[end] != 0:
        raise ModelError(
            "its blocks are compressed, which TensorFlow does not do here and this reader cannot undo"
        )
    block = content[offset:end]
    restarts = int.from_bytes(block[-4:], "little")
    entries_end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or entries_end < 0:
        raise ModelError("a block is too short for its restart points")
    entries: list[tuple[bytes, bytes]] = []
    key, position = b"", 0
    while position < entries_end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or position + unshared + length > entries_end:
            raise ModelError("an entry runs over its block")
        if shared + unshared > _LONGEST_KEY:
            raise ModelError(f"a key is longer than {_LONGEST_KEY} bytes, which no checkpoint's is")
        if len(entries) == _MOST_ENTRIES:
            raise ModelError(f"it has more than {_MOST_ENTRIES} entries, which no checkpoint has")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        entries.append((key, block[position : position + length]))
        position += length
    return entries
