import struct

import pytest

from doctored.core.errors import ModelError
from doctored.predict.sorted_table import is_table, read_table
from predict.bundles import MAGIC, block, masked_crc, table, varint

ENTRIES = {f"layer{n // 7}/unit{n}".encode(): bytes([n]) * n for n in range(50)}


@pytest.mark.parametrize("per_block", [1, 7, 100])
def test_all_entries_come_back_in_order(per_block: int):
    content = table(ENTRIES, per_block)
    assert is_table(content[-48:])
    assert list(read_table(content).items()) == sorted(ENTRIES.items())


def test_the_smallest_table_byte_by_byte():
    """One entry "a" = "b": two blocks of entries, an empty one, and the footer."""
    data = b"\0\1\1ab" + b"\0\0\0\0" + b"\1\0\0\0" + b"\0"
    empty = b"\0\0\0\0" + b"\0"
    index = b"\0\1\2a" + b"\0\x0d" + b"\0\0\0\0" + b"\1\0\0\0" + b"\0"
    content = b"".join(part + masked_crc(part) for part in (data, empty, index))
    assert read_table(content + bytes([18, 4, 27, 14]).ljust(40, b"\0") + MAGIC) == {b"a": b"b"}


def with_blocks(data: bytes, index: list[tuple[bytes, bytes]], handle: bytes | None = None) -> bytes:
    """A table of given blocks."""
    written = block(index, restart_every=1)
    own = varint(len(data)) + varint(len(written) - 5)
    return data + written + (varint(0) + varint(0) + (handle or own)).ljust(40, b"\0") + MAGIC


def handle_of(start: int, written: bytes) -> bytes:
    return varint(start) + varint(len(written) - 5)


ONE = block([(b"a", b"1")])
TWO = block([(b"b", b"2")])


def raw_block(content: bytes, restarts: bytes = struct.pack("<II", 0, 1)) -> bytes:
    content += restarts + b"\0"
    return content + masked_crc(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "does not end like a table"),
        (table(ENTRIES)[:-1], "does not end like a table"),
        (MAGIC, "does not end like a table"),
        (table(ENTRIES)[60:], "checksum of a block is wrong|block runs over"),
        (table(ENTRIES, compressed=1), "are compressed"),
        (
            with_blocks(ONE, [(b"a", handle_of(0, ONE))], varint(0) + varint(10**6)),
            "a block runs over its end",
        ),
        (with_blocks(ONE, [(b"a", varint(10**18) + varint(1))]), "a block runs over its end"),
        (with_blocks(ONE, [(b"a", b"\x80")]), "a number has no end"),
        (with_blocks(ONE, [(b"a", handle_of(0, ONE)), (b"b", handle_of(0, ONE))]), "its blocks overlap"),
        (
            with_blocks(TWO + ONE, [(b"b", handle_of(0, TWO)), (b"c", handle_of(len(TWO), ONE))]),
            "its keys are not in order",
        ),
        (
            with_blocks(
                block([(b"b", b""), (b"a", b"")]), [(b"b", handle_of(0, block([(b"b", b""), (b"a", b"")])))]
            ),
            "its keys are not in order",
        ),
        *(
            (with_blocks(bad, [(b"a", handle_of(0, bad))]), sentence)
            for bad, sentence in (
                (raw_block(b"\5\1\1ab"), "an entry runs over its block"),
                (raw_block(b"\0\1\x7fab"), "an entry runs over its block"),
                (raw_block(b"\0\1\1ab", struct.pack("<I", 10**6)), "too short for its restart points"),
                (raw_block(b"", b"\0"), "too short for its restart points"),
                (raw_block(b"\0" + varint(1001) + b"\0" + b"a" * 1001), "a key is longer than 1000 bytes"),
            )
        ),
    ],
)
def test_damage_is_named(content: bytes, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        read_table(content)


def test_one_changed_bit_in_a_block_is_noticed():
    content = bytearray(table(ENTRIES))
    content[10] ^= 4
    with pytest.raises(ModelError, match="the checksum of a block is wrong"):
        read_table(bytes(content))


def test_endless_entries_are_refused():
    """A hundred thousand and one, of one shared byte and four of their own."""
    many = block([(n.to_bytes(4, "big"), b"") for n in range(100_001)])
    with pytest.raises(ModelError, match="more than 100000 entries"):
        read_table(with_blocks(many, [(b"\xff", handle_of(0, many))]))
