"""Messages stay one line, whatever a file puts into them."""

import pickle

import pytest

from doctored.core.errors import DataError, DoctoredError, TooLargeError


def test_an_ordinary_message_stays_as_it_is():
    message = "a/Bildschirmfoto\u202f2024 né.png is empty (0 bytes); get a complete copy of it"
    assert str(DataError(message)) == message


@pytest.mark.parametrize(
    ("sign", "shown"),
    [("\n", "\\n"), ("\x1b", "\\x1b"), ("\0", "\\x00"), ("\u2028", "\\u2028"), ("\u202e", "\\u202e")],
)
def test_what_would_break_or_turn_the_line_around_is_shown_as_an_escape(sign, shown):
    assert str(DoctoredError(f"a{sign}[31mb is no model")) == f"a{shown}[31mb is no model"


def test_of_a_very_long_message_both_ends_remain():
    message = str(DataError("begin " + "x" * 10**6 + " end"))
    assert len(message) <= 10_000
    assert message.startswith("begin ")
    assert message.endswith(" end")


def test_an_error_survives_the_way_from_a_worker_process():
    error = pickle.loads(pickle.dumps(DataError("a\nb")))
    assert str(error) == "a\\nb"


def test_what_is_too_large_comes_whole_out_of_a_worker_process():
    error = pickle.loads(
        pickle.dumps(TooLargeError("a.png has 9 MB, more than the limit of 1 MB", "max_megabytes"))
    )
    assert str(error) == "a.png has 9 MB, more than the limit of 1 MB; crop it, or leave it out"
    assert error.limit == "max_megabytes"
