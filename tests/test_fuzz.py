"""What fuzzing starts from, and what it has found, through every parser: no fuzzer is needed for that."""

import pickle
import subprocess
import sys

import pytest

from contract import LONGEST_SENTENCE, MOST_MEMORY_MB, outcome_of
from doctored.core.errors import DataError
from parser import CORPUS
from targets import TARGETS, parsers_of

PARSERS = [parser for target in TARGETS for parser in parsers_of(target)]


def test_each_parser_has_a_name_of_its_own():
    names = [parser.name for parser in PARSERS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_read_and_what_was_found_is_refused(target):
    """In a process of its own: what damaged input does to native libraries is no concern of other tests."""
    program = CORPUS.parent / "replay.py"
    result = subprocess.run([sys.executable, str(program), target], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_of_the_corpus_belongs_to_a_parser():
    assert {path.name for path in CORPUS.iterdir()} <= {parser.name for parser in PARSERS}


def test_the_program_can_be_called_without_the_fuzzer():
    program = CORPUS.parent / "run.py"
    result = subprocess.run([sys.executable, str(program), "--help"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert all(target in result.stdout for target in TARGETS)


def _fails(error):
    def read(data):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda data: None, "read"),
        (_fails(DataError("it is damaged; get it again")), "refused"),
        (_fails(ValueError("it is damaged")), "error"),
        (_fails(DataError("")), "sentence"),
        (lambda data: pickle.loads(pickle.dumps(DataError)), "forbidden"),
        (
            lambda data: subprocess.run([sys.executable, "--version"], check=True, capture_output=True),
            "forbidden",
        ),
        pytest.param(
            lambda data: bytearray(b"x") * ((MOST_MEMORY_MB + 300) << 20),
            "memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only"),
        ),
    ],
)
def test_the_contract_by_hand(read, kind):
    assert outcome_of(read, b"").kind == kind


def test_memory_that_was_not_to_be_had_breaks_the_contract():
    def read(data):
        try:
            raise MemoryError
        except MemoryError as error:
            raise DataError("it does not fit into memory") from error

    assert outcome_of(read, b"").kind == "sentence"


def test_slow_reading_breaks_the_contract(monkeypatch):
    monkeypatch.setattr("contract.MOST_SECONDS", -1.0)
    assert outcome_of(lambda data: None, b"").kind == "slow"


def test_messages_have_a_limit():
    error = DataError("x" * 10**6)
    assert len(str(error)) <= LONGEST_SENTENCE
    assert outcome_of(_fails(error), b"").kind == "refused"
