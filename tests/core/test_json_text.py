import pytest

from doctored.core.json_text import parse_json


def test_json_is_parsed():
    assert (
        parse_json('{"a": [1, 2.5, null]}') == parse_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    )


@pytest.mark.parametrize("text", ["", "{", "nul", b"\xff", b"\xfe\xff\0"])
def test_anything_else_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 (the message is Python's)
        parse_json(text)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_so_is_what_would_exhaust_the_stack(opening):
    """Python raises a RecursionError, which nobody expects of a damaged file."""
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(opening * 100_000)
