"""What a target is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract import Reader
from mutations import Mutation

CORPUS = Path(__file__).parent / "corpus"
"""Files that broke the contract once, by the parser that read them."""


@dataclass(frozen=True)
class Parser:
    """One thing that reads what others wrote.

    Attributes:
        name: Of its folder in the corpus.
        prepare: From an empty folder, where other files that it needs may be put, to what reads one input.
        seeds: Valid inputs.
        mutate: Changes that keep inputs well-formed; None for a format in which any bytes will do.
    """

    name: str
    prepare: Callable[[Path], Reader]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutation | None = None

    def corpus(self) -> list[Path]:
        """Its files in the corpus."""
        return sorted((CORPUS / self.name).glob("*"))

    def all_seeds(self) -> list[bytes]:
        """Where fuzzing starts."""
        return [*self.seeds(), *(path.read_bytes() for path in self.corpus())]


def file_reader(name: str, read: Callable[[Path], object]) -> Callable[[Path], Reader]:
    """Prepare for a parser that wants a file.

    Args:
        name: Of the file.
        read: What reads it.
    """

    def prepare(folder: Path) -> Reader:
        path = folder / name

        def one(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        return one

    return prepare


def text_reader(read: Callable[[str], object]) -> Callable[[Path], Reader]:
    """Prepare for a parser that wants text, which files give it with replacements for what is no UTF-8."""
    return lambda folder: lambda data: read(data.decode("utf-8", "replace"))
