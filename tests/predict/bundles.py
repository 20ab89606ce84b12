"""A writer of TensorFlow checkpoints for tests, made from the description of the format alone."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.predict.crc32c import crc32c

MAGIC = bytes.fromhex("57fb808b247547db")
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10, "float16": 19}


def varint(number: int) -> bytes:
    """Seven bits per byte, the lowest first; negative numbers as 64-bit two's complement."""
    number &= (1 << 64) - 1
    octets = bytearray()
    while number > 127:
        octets.append(number % 128 + 128)
        number //= 128
    return bytes([*octets, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked_crc(content: bytes) -> bytes:
    checksum = crc32c(content)
    rotated = (checksum >> 15) + (checksum << 17) % 2**32
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def block(entries: list[tuple[bytes, bytes]], restart_every: int = 16, compressed: int = 0) -> bytes:
    """Entries, restart points, and the trailer."""
    content, restarts, previous = b"", [], b""
    for index, (key, value) in enumerate(entries):
        if index % restart_every == 0:
            restarts.append(len(content))
            previous = b""
        shared = 0
        while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
            shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    content += struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))
    content += bytes([compressed])
    return content + masked_crc(content)


def table(entries: Mapping[bytes, bytes], per_block: int = 20, compressed: int = 0) -> bytes:
    """A sorted table."""
    content, index = b"", []
    ordered = sorted(entries.items())
    for start in range(0, len(ordered), per_block):
        part = ordered[start : start + per_block]
        written = block(part, compressed=compressed)
        index.append((part[-1][0], varint(len(content)) + varint(len(written) - 5)))
        content += written
    handles = b""
    for entries_of_block in ([], index):
        written = block(entries_of_block, restart_every=1)
        handles += varint(len(content)) + varint(len(written) - 5)
        content += written
    return content + handles.ljust(40, b"\0") + MAGIC


def entry(array: NDArray[Any], shard: int, offset: int) -> bytes:
    shape = b"".join(field(2, field(1, side)) for side in array.shape)
    message = field(1, DTYPES[array.dtype.name]) + field(2, shape)
    # A number that is 0 is left out.
    message += b"".join(field(number, value) for number, value in ((3, shard), (4, offset)) if value)
    return message + field(5, array.nbytes) + varint(6 << 3 | 5) + masked_crc(array.tobytes())


def header(shards: int = 1) -> bytes:
    return field(1, shards) + field(3, field(1, 1))


def write_bundle(name: Path, arrays: Mapping[str, NDArray[Any]], shards: int = 1) -> Path:
    """Write the index and the shards of a checkpoint; variables go to the shards in turn."""
    contents = [b""] * shards
    entries = {b"": header(shards)}
    for index, key in enumerate(sorted(arrays)):
        array = np.asarray(arrays[key])
        shard = index % shards
        entries[key.encode()] = entry(array, shard, len(contents[shard]))
        contents[shard] += array.tobytes()
    for shard, content in enumerate(contents):
        name.with_name(f"{name.name}.data-{shard:05}-of-{shards:05}").write_bytes(content)
    name.with_name(f"{name.name}.index").write_bytes(table(entries))
    return name
