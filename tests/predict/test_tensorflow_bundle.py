import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.predict.tensorflow_bundle import TensorBundle, checkpoint_name
from predict.bundles import entry, field, header, table, varint, write_bundle

RNG = np.random.default_rng(0)
ARRAYS: dict[str, NDArray[Any]] = {
    "layer/weights": RNG.normal(size=(3, 4, 5)).astype(np.float32),
    "layer/biases": RNG.normal(size=5),
    "layer/half": RNG.normal(size=(2, 2)).astype(np.float16),
    "indices": np.arange(-3, 3, dtype=np.int32).reshape(2, 3),
    "step": np.array(123_456_789_012),
    "pixels": np.arange(7, dtype=np.uint8),
    "flags": np.array([True, False]),
    "nothing": np.zeros((0, 3), np.float32),
}
WEIGHTS = ARRAYS["layer/weights"]


@pytest.mark.parametrize("shards", [1, 3])
def test_every_type_and_shape_comes_back(tmp_path: Path, shards: int):
    bundle = TensorBundle(write_bundle(tmp_path / "model.ckpt-7", ARRAYS, shards))
    assert bundle.names == tuple(sorted(ARRAYS))
    assert [path.name for path in bundle.files[1:]] == [
        f"model.ckpt-7.data-{n:05}-of-{shards:05}" for n in range(shards)
    ]
    found = bundle.read(bundle.names)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_what_tensorflow_itself_wrote():
    """`parity/make_tiny_bundle.py` made it: two shards, and beside plain variables three of other kinds."""
    bundle = TensorBundle(Path(__file__).parent / "fixtures" / "tiny-bundle")
    expected = {
        "layer/weights": np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 7,
        "layer/biases": np.arange(5, dtype=np.float64) / 3,
        "layer/half": np.array([[0.5, -2], [65504, 0]], np.float16),
        "step": np.array(123_456_789_012),
        "indices": np.arange(-3, 3, dtype=np.int32).reshape(2, 3),
        "flags": np.array([True, False]),
        "pixels": np.arange(250, 256, dtype=np.uint8),
        "nothing": np.zeros((0, 3), np.float32),
    }
    assert set(bundle.names) == expected.keys() | {"brain", "words", "part"}
    assert len(bundle.files) == 3
    for name, array in bundle.read(expected).items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
    for name, sentence in (("brain", "bfloat16 numbers"), ("words", "strings"), ("part", "is partitioned")):
        with pytest.raises(ModelError, match=rf"{name} in .*tiny-bundle.index .*{sentence}"):
            bundle.read([name])


def test_any_file_names_the_checkpoint():
    for suffix in ("", ".index", ".meta", ".data-00000-of-00001", ".data-00012-of-00100"):
        assert checkpoint_name(Path("a/model.ckpt-7" + suffix)) == Path("a/model.ckpt-7")


def bundle_of(folder: Path, entries: dict[bytes, bytes], content: bytes = WEIGHTS.tobytes()) -> TensorBundle:
    """A checkpoint with one shard of this content, and with these entries."""
    (folder / "m.data-00000-of-00001").write_bytes(content)
    (folder / "m.index").write_bytes(table(entries))
    return TensorBundle(folder / "m")


GOOD = entry(WEIGHTS, 0, 0)
SHAPE = field(2, field(2, field(1, 60)))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({b"a": GOOD}, "has no header"),
        ({b"": header(0), b"a": GOOD}, "has 0 shards"),
        ({b"": header(10**9), b"a": GOOD}, "has 1000000000 shards"),
        ({b"": header() + field(2, 1), b"a": GOOD}, "are big-endian; save the checkpoint on a little-endian"),
        ({b"": b"\xff", b"a": GOOD}, "a number has no end"),
        ({b"": header(), b"a": GOOD + field(9, 1)}, "the unknown field 9"),
        ({b"": header(), b"a": GOOD + field(2, 1)}, "the unknown field 2"),
        ({b"": header(), b"\xff": GOOD}, "a name in it is no text"),
        ({b"": header(), b"a": GOOD, b"b": GOOD}, "b lies where another variable lies"),
        ({b"": header(), b"a": field(1, 1) + SHAPE + field(5, -8)}, "a lies where another variable lies"),
        ({b"": header(), b"a": field(1, 1) + SHAPE + field(4, -8)}, "a lies where another variable lies"),
        ({b"": header(), b"a": field(1, 1) + SHAPE + field(3, 4)}, "a lies in shard 4 of 1"),
        ({b"": header(), b"a": field(1, 1) + field(2, field(3, 1))}, "the shape of a variable is not known"),
        ({b"": header(), b"a": field(1, 1) + field(2, field(2, field(1, -1)))}, r"impossible shape \(-1,\)"),
        ({b"": header(), b"a": field(1, 1) + field(2, field(2, b"") * 9)}, "impossible shape"),
        (
            {b"": header(), b"a": field(1, 1) + SHAPE + field(5, 10**12)},
            "240 bytes, but a ends at byte 1000000000000",
        ),
    ],
)
def test_an_impossible_index_is_named(tmp_path: Path, entries: dict[bytes, bytes], sentence: str):
    with pytest.raises(ModelError, match=rf"m\.(index|data).*{sentence}"):
        bundle_of(tmp_path, entries)


@pytest.mark.parametrize(
    ("of_entry", "sentence"),
    [
        (field(1, 7) + SHAPE + field(5, 240), "holds strings, which cannot be read here"),
        (field(1, 14) + SHAPE + field(5, 120), "holds bfloat16 numbers"),
        (field(1, 99) + SHAPE + field(5, 240), "holds values of TensorFlow's type 99"),
        (field(1, 1) + SHAPE + field(7, b""), "a in .* is partitioned"),
        (field(1, 2) + SHAPE + field(5, 240), r"a has the shape \(60,\) in 240 bytes"),
        (field(1, 1) + field(2, field(2, field(1, 2**62)) * 2) + field(5, 240), "has the shape"),
        (field(1, 1) + SHAPE + field(5, 240), "the checksum of a is wrong"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(tmp_path: Path, of_entry: bytes, sentence: str):
    bundle = bundle_of(
        tmp_path,
        {b"": header(), b"a": of_entry, b"b": entry(np.float32([1]), 0, 240)},
        WEIGHTS.tobytes() + np.float32([1]).tobytes(),
    )
    np.testing.assert_array_equal(bundle.read(["b"])["b"], [1])  # the others can be read all the same
    with pytest.raises(ModelError, match=sentence):
        bundle.read(["a"])


def test_the_parts_of_a_partitioned_variable_are_no_variables(tmp_path: Path):
    assert bundle_of(tmp_path, {b"": header(), b"\0v\0\1\x80": GOOD, b"w": GOOD[:0]}).names == ("w",)


def test_missing_and_cut_files_are_named(tmp_path: Path):
    name = write_bundle(tmp_path / "m", ARRAYS, shards=2)
    shard = tmp_path / "m.data-00001-of-00002"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(
        ModelError, match=r"m.data-00001-of-00002 has \d+ bytes, but .* cut off or of another"
    ):
        TensorBundle(name)
    shard.unlink()
    with pytest.raises(
        ModelError, match=r"00001-of-00002 cannot be read .* needs all its 2 shards beside m.index"
    ):
        TensorBundle(name)
    (tmp_path / "m.index").unlink()
    with pytest.raises(ModelError, match=r"m.index cannot be read \(No such file"):
        TensorBundle(name)


def test_files_that_shrink_or_vanish_while_they_are_read(tmp_path: Path):
    bundle = TensorBundle(write_bundle(tmp_path / "m", ARRAYS))
    bundle.files[1].write_bytes(b"")
    with pytest.raises(ModelError, match="the checksum of layer/weights is wrong"):
        bundle.read(["layer/weights"])
    bundle.files[1].unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        bundle.read(["layer/weights"])


def test_one_changed_bit_of_a_value_is_noticed(tmp_path: Path):
    name = write_bundle(tmp_path / "m", {"layer/weights": WEIGHTS})
    shard = tmp_path / "m.data-00000-of-00001"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"is damaged: the checksum of layer/weights is wrong; get the file again"
    ):
        TensorBundle(name).read(["layer/weights"])


def test_a_huge_index_is_not_read(tmp_path: Path):
    with (tmp_path / "m.index").open("wb") as file:
        file.truncate(16_000_001)
    with pytest.raises(ModelError, match="larger than 16 MB, which no index is"):
        TensorBundle(tmp_path / "m")


def _try(index: bytes, shard: bytes) -> None:
    """Read everything; only a ModelError may come, and little memory may go."""
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder) / "m"
        (Path(folder) / "m.index").write_bytes(index)
        (Path(folder) / "m.data-00000-of-00001").write_bytes(shard)
        tracemalloc.start()
        try:
            bundle = TensorBundle(name)
            for variable in bundle.names:
                bundle.read([variable])
        except ModelError:
            pass
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 20e6
    assert not os.path.exists(folder)


MUTATIONS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)


def _mutated(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    octets = bytearray(content)
    for place, value in changes:
        if octets:
            octets[place % len(octets)] = value
    return bytes(octets)


INDEX = table({b"": header(), **{name.encode(): entry(WEIGHTS, 0, 240 * n) for n, name in enumerate("abc")}})


@settings(max_examples=60, deadline=None)
@given(MUTATIONS, st.integers(0, 400), st.booleans())
def test_any_damage_is_one_sentence(changes: list[tuple[int, int]], cut: int, shorten: bool):
    _try(_mutated(INDEX[: -cut or None] if shorten else INDEX, changes), WEIGHTS.tobytes() * 3)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["", "a", "b"]), MUTATIONS, min_size=1),
    st.binary(max_size=3),
    st.booleans(),
)
def test_lies_under_right_checksums_are_one_sentence(
    lies: dict[str, list[tuple[int, int]]], tail: bytes, huge: bool
):
    """Random bytes in the header and the entries, the table itself being sound."""
    entries = {b"": header(), b"a": GOOD, b"b": entry(WEIGHTS, 0, 240)}
    for name, changes in lies.items():
        entries[name.encode()] = _mutated(entries[name.encode()], changes) + tail
    if huge:
        entries[b"c"] = (
            field(1, 1) + field(2, field(2, field(1, 2**40))) + field(5, 2**42) + varint(6 << 3 | 5) + tail
        )
    _try(table(entries), WEIGHTS.tobytes() * 2)
