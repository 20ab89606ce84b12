"""What fuzzing of one target starts from, and what it has found, read once more, without the fuzzer.

    python fuzz/replay.py TARGET

Ends with 1 and a line for each input that breaks the contract, and for each parser that reads none of its seeds: one
that refuses them at once would leave nearly all of itself untested.
"""

import faulthandler
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "fuzz")]

from contract import outcome_of  # noqa: E402 (found on the path above)
from targets import parsers_of  # noqa: E402


def complaints(target: str, folder: Path) -> Iterator[str]:
    """What is wrong, in a line or more each; parsers may write into the folder."""
    for parser in parsers_of(target):
        place = folder / parser.name
        place.mkdir()
        read = parser.prepare(place)
        inputs = [(f"seed {number}", seed) for number, seed in enumerate(parser.seeds())]
        outcomes = [(name, outcome_of(read, data)) for name, data in inputs]
        if not any(outcome.kind == "read" for _, outcome in outcomes):
            yield f"{parser.name}: none of its {len(outcomes)} seeds is read"
        outcomes += [(path.name, outcome_of(read, path.read_bytes())) for path in parser.corpus()]
        for name, outcome in outcomes:
            if outcome.broken:
                yield f"{parser.name}, {name}: {outcome.kind}, {outcome.detail}\n{outcome.trace}"


def main() -> None:
    faulthandler.enable()
    (target,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        found = list(complaints(target, Path(folder)))
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
