import pytest

from doctored.core.errors import ModelError
from doctored.predict.wire_format import as_signed, read_fields, read_varint


@pytest.mark.parametrize(
    ("content", "number", "end"),
    [(b"\x00", 0, 1), (b"\x7f", 127, 1), (b"\xac\x02\xff", 300, 2), (b"\xff" * 9 + b"\x01", 2**64 - 1, 10)],
)
def test_numbers_worked_by_hand(content: bytes, number: int, end: int):
    assert read_varint(content, 0) == (number, end)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff" * 9 + b"\x02", b"\x80" * 11 + b"\x00"])
def test_numbers_without_an_end_or_beyond_64_bits(content: bytes):
    with pytest.raises(ModelError, match="a number has no end"):
        read_varint(content, 0)


def test_negative_numbers_are_twos_complement():
    assert as_signed(2**64 - 1) == -1
    assert as_signed(2**63 - 1) == 2**63 - 1


def test_a_message_worked_by_hand():
    """Field 1 = 150 and field 2 = "testing", the examples of the format's documentation; then both fixed sizes."""
    message = b"\x08\x96\x01" + b"\x12\x07testing" + b"\x1d\x01\x00\x00\x00" + b"\x21" + b"\x02" + bytes(7)
    assert list(read_fields(message)) == [(1, 150), (2, b"testing"), (3, 1), (4, 2)]
    assert list(read_fields(b"")) == []


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (b"\x12\x08testing", "runs over the end"),
        (b"\x1d\x01", "runs over the end"),
        (b"\x12\xff\xff\xff\xff\x0f", "runs over the end"),
        (b"\x0b", "has the kind 3"),
        (b"\x08", "no end"),
    ],
)
def test_damaged_messages(message: bytes, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        list(read_fields(message))
