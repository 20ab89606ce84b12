"""Checkpoints of TensorFlow (format V2, "tensor bundles"), read without TensorFlow.

A checkpoint `NAME` is an index `NAME.index`, a sorted table from each variable's name to its type, shape and place,
and shards `NAME.data-00000-of-00001` with the values. The graph in `NAME.meta` is not needed.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.predict.crc32c import crc32c, unmasked
from doctored.predict.sorted_table import read_table
from doctored.predict.wire_format import as_signed, read_fields

# TensorFlow's numbers of data types.
_TYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "<u1",
    5: "<i2",
    6: "<i1",
    9: "<i8",
    10: "?",
    17: "<u2",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
_OTHER_TYPES = {7: "strings", 8: "complex numbers", 14: "bfloat16 numbers", 18: "complex numbers"}
_LARGEST_INDEX = 16_000_000  # bytes; a hundred times that of Constrained R-CNN
_MOST_AXES = 8


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies.

    Attributes:
        dtype: TensorFlow's number.
        shape: Of the variable.
        shard: Number of the file.
        offset: In the file, in bytes.
        size: In bytes.
        checksum: CRC-32C of the bytes.
        sliced: Whether its values lie under other names, in parts.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


class TensorBundle:
    """A checkpoint whose index was read and checked; values are read when asked for.

    Args:
        name: Path of the checkpoint without ".index".

    Attributes:
        files: The index and the shards.
        names: Of all variables, sorted.

    Raises:
        ModelError: A file is missing, or the index is damaged or says something impossible.
    """

    def __init__(self, name: Path) -> None:
        self._index = name.with_name(f"{name.name}.index")
        try:
            if self._index.stat().st_size > _LARGEST_INDEX:
                raise self._damaged(f"it is larger than {_LARGEST_INDEX // 10**6} MB, which no index is")
            content = self._index.read_bytes()
        except OSError as error:
            raise ModelError(f"{self._index} cannot be read ({error.strerror})") from error
        try:
            table = read_table(content)
            shards = _shard_count(table.pop(b"", None))
            # Parts of partitioned variables have names that start with 0.
            self._entries = {
                key.decode(): _entry(value) for key, value in table.items() if not key.startswith(b"\0")
            }
        except ModelError as error:
            raise self._damaged(str(error)) from error
        except UnicodeDecodeError as error:
            raise self._damaged("a name in it is no text") from error
        self.names = tuple(self._entries)
        self._shards = [name.with_name(f"{name.name}.data-{n:05}-of-{shards:05}") for n in range(shards)]
        self.files = (self._index, *self._shards)
        self._check_places()

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """The values of some variables.

        Raises:
            ModelError: A shard is unreadable or damaged, or a variable is of a kind that cannot be read.
        """
        return {name: self._read(name, self._entries[name]) for name in names}

    def _check_places(self) -> None:
        """Every variable lies within its shard and no two overlap, so that reading allocates no more than there is."""
        sizes = []
        for path in self._shards:
            try:
                sizes.append(path.stat().st_size)
            except OSError as error:
                raise ModelError(
                    f"{path} cannot be read ({error.strerror}); a checkpoint needs all its {len(self._shards)} shards "
                    f"beside {self._index.name}"
                ) from error
        last = (-1, 0)
        places = [(entry.shard, entry.offset, entry.size, name) for name, entry in self._entries.items()]
        for _, _, _, name in sorted(places):
            entry = self._entries[name]
            if entry.sliced:
                continue
            if not 0 <= entry.shard < len(sizes):
                raise self._damaged(f"{name} lies in shard {entry.shard} of {len(sizes)}")
            start = last[1] if entry.shard == last[0] else 0
            end = entry.offset + entry.size
            if entry.offset < start or entry.size < 0:
                raise self._damaged(f"{name} lies where another variable lies")
            if end > sizes[entry.shard]:
                path = self._shards[entry.shard]
                raise ModelError(
                    f"{path} has {sizes[entry.shard]} bytes, but {name} ends at byte {end}; it is cut off or of "
                    "another checkpoint"
                )
            last = (entry.shard, end)

    def _read(self, name: str, entry: _Entry) -> NDArray[Any]:
        if entry.sliced:
            raise ModelError(
                f"{name} in {self._index} is partitioned; save the checkpoint without partitions"
            )
        if entry.dtype not in _TYPES:
            kind = _OTHER_TYPES.get(entry.dtype, f"values of TensorFlow's type {entry.dtype}")
            raise ModelError(f"{name} in {self._index} holds {kind}, which cannot be read here")
        dtype = np.dtype(_TYPES[entry.dtype])
        if entry.size != math.prod(entry.shape) * dtype.itemsize:
            raise self._damaged(f"{name} has the shape {entry.shape} in {entry.size} bytes")
        path = self._shards[entry.shard]
        try:
            with path.open("rb") as file:
                file.seek(entry.offset)
                content = file.read(entry.size)
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror})") from error
        if len(content) != entry.size or crc32c(content) != entry.checksum:
            raise ModelError(f"{path} is damaged: the checksum of {name} is wrong; get the file again")
        return np.frombuffer(content, dtype).reshape(entry.shape)

    def _damaged(self, reason: str) -> ModelError:
        return ModelError(f"{self._index} is no index of a TensorFlow checkpoint that can be read: {reason}")


def checkpoint_name(path: Path) -> Path:
    """The name that belongs to any file of a checkpoint, or is its name already."""
    return path.with_name(re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path.name))


def _shard_count(header: bytes | None) -> int:
    if header is None:
        raise ModelError("it has no header")
    shards = 1
    for number, value in read_fields(header):
        if number == 1 and isinstance(value, int):
            shards = value
        if number == 2 and value != 0:
            raise ModelError("its numbers are big-endian; save the checkpoint on a little-endian computer")
    if not 1 <= shards <= 99_999:
        raise ModelError(f"it has {shards} shards")
    return shards


def _entry(message: bytes) -> _Entry:
    numbers = dict.fromkeys((1, 3, 4, 5), 0)
    shape: tuple[int, ...] = ()
    checksum, sliced = 0, False
    for number, value in read_fields(message):
        if number in numbers and isinstance(value, int):
            numbers[number] = as_signed(value)
        elif number == 2 and isinstance(value, bytes):
            shape = _shape(value)
        elif number == 6 and isinstance(value, int):
            checksum = unmasked(value)
        elif number == 7:
            sliced = True
        else:
            raise ModelError(f"an entry has the unknown field {number}")
    return _Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5], checksum, sliced)


def _shape(message: bytes) -> tuple[int, ...]:
    sides = []
    for number, value in read_fields(message):
        if number == 2 and isinstance(value, bytes):
            sides.append(_side(value))
        elif number == 3:
            raise ModelError("the shape of a variable is not known")
    if len(sides) > _MOST_AXES or any(side < 0 for side in sides):
        raise ModelError(f"a variable has the impossible shape {tuple(sides[: _MOST_AXES + 1])}")
    return tuple(sides)


def _side(message: bytes) -> int:
    for number, value in read_fields(message):
        if number == 1 and isinstance(value, int):
            return as_signed(value)
    return 0
