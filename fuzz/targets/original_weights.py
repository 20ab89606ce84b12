"""Weight files of other programs: Keras, PyTorch and TensorFlow."""

import io
import random
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch

import mutations
from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.settings import compat
from doctored.predict.crc32c import crc32c
from doctored.predict.original_weights import convert_original, read_hdf5, read_pytorch
from doctored.predict.sorted_table import read_table
from doctored.predict.tensorflow_bundle import TensorBundle
from doctored.predict.wire_format import read_fields
from models.constrained_rcnn.released import released_arrays
from models.constrained_rcnn.test_convert import network as random_rcnn
from models.mantranet.test_convert import keras_arrays, narrow, port_arrays
from models.mantranet.toys import random_mantranet
from parser import Parser, Reader, file_reader
from predict.bundles import block, masked_crc, table, varint, write_bundle
from predict.test_original_weights import write_keras, write_pytorch

_ARRAYS = {
    "a/weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros((), np.int64),
    "c": np.ones(5, np.float16),
}


def _written(write: object, arrays: dict[str, np.ndarray], **options: object) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "file", arrays, **options).read_bytes()


def _compressed_hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.create_dataset(
            "a/kernel",
            data=np.zeros((30, 30), np.float32),
            chunks=(10, 10),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
        root["a/link"] = h5py.SoftLink("/a/kernel")
        root["a/outside"] = h5py.ExternalLink("other.h5", "/x")
        root["a"].attrs["text"] = "words"
    return file.getvalue()


def _bundle(folder: Path, part: str) -> Reader:
    name = write_bundle(folder / "model.ckpt", _ARRAYS)

    def read(data: bytes) -> object:
        name.with_name(f"{name.name}.{part}").write_bytes(data)
        bundle = TensorBundle(name)
        return bundle.read(bundle.names)

    return read


def _bundle_file(part: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _bundle(Path(folder), part)
        return (Path(folder) / f"model.ckpt.{part}").read_bytes()


def _whole_bundle() -> bytes:
    """The index of a whole network's checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        name = write_bundle(Path(folder) / "model.ckpt", released_arrays(random_rcnn(compat())))
        return name.with_name(f"{name.name}.index").read_bytes()


def _converted_bundle(folder: Path) -> Reader:
    name = write_bundle(folder / "model.ckpt", released_arrays(random_rcnn(compat())))

    def read(data: bytes) -> object:
        name.with_name(f"{name.name}.index").write_bytes(data)
        return convert_original(name)

    return read


def table_entries(data: bytes, rng: random.Random) -> bytes:
    """Keys, values and blocks of a sorted table, with checksums that are right."""
    try:
        entries = list(read_table(data).items())
        if not entries:
            return mutations.blind(data, rng)
    except ModelError:
        return mutations.blind(data, rng)
    if rng.random() < 0.2:
        return _odd_block(entries, rng)
    place = rng.randrange(len(entries))
    key, value = entries[place]
    choice = rng.random()
    if choice < 0.6:
        entries[place] = key, mutations.blind(value, rng)
    elif choice < 0.7:
        entries[place] = mutations.blind(key, rng), value
    elif choice < 0.8:
        entries[place] = key, entries[rng.randrange(len(entries))][1]
    elif choice < 0.9:
        entries[place] = key, value + mutations.blind(value, rng)
    else:
        del entries[place]
    return table(dict(entries))


def _odd_block(entries: list[tuple[bytes, bytes]], rng: random.Random) -> bytes:
    """One block whose bytes were changed blindly before its checksum was computed."""
    content = mutations.blind(block(entries)[:-4], rng)
    content += masked_crc(content)
    handles = b""
    for one in ([], [(entries[-1][0], varint(0) + varint(max(0, len(content) - 5)))]):
        written = block(one, restart_every=1)
        handles += varint(len(content)) + varint(len(written) - 5)
        content += written
    return content + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def _table(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        crc32c(data)
        return read_table(data)

    return read


PARSERS = [
    Parser(
        "hdf5", file_reader("a.h5", read_hdf5), lambda: [_written(write_keras, _ARRAYS), _compressed_hdf5()]
    ),
    Parser(
        "keras-weights",
        file_reader("ManTraNet_Ptrain4.h5", convert_original),
        lambda: [_written(write_keras, keras_arrays(random_mantranet(narrow(4))))],
    ),
    Parser(
        "pytorch",
        file_reader("a.pt", read_pytorch),
        lambda: [
            _written(write_pytorch, _ARRAYS),
            _written(write_pytorch, _ARRAYS, _use_new_zipfile_serialization=False),
        ],
        mutations.zip_members,
    ),
    Parser(
        "pytorch-weights",
        file_reader("a.pt", convert_original),
        lambda: [_written(write_pytorch, port_arrays(random_mantranet(narrow(4))))],
        mutations.zip_members,
    ),
    Parser(
        "tensorflow-index",
        lambda folder: _bundle(folder, "index"),
        lambda: [_bundle_file("index")],
        table_entries,
    ),
    Parser(
        "tensorflow-shard",
        lambda folder: _bundle(folder, "data-00000-of-00001"),
        lambda: [_bundle_file("data-00000-of-00001")],
    ),
    Parser("tensorflow-weights", _converted_bundle, lambda: [_whole_bundle()], table_entries),
    Parser(
        "sorted-table",
        _table,
        lambda: [table({b"a": b"1", b"ab": b"2", b"b": b""}, per_block=2)],
        table_entries,
    ),
    Parser(
        "wire-format",
        lambda folder: lambda data: list(read_fields(data)),
        lambda: [b"\x08\x96\x01\x12\x03abc\x1d\1\2\3\4"],
    ),
]
assert torch  # imported first, since its libraries must not come after HDF5's
