"""Feed what reads foreign files with damaged and hostile ones, for as long as it is told.

    python fuzz/run.py pictures --minutes 10

Inputs that broke the contract (contract.py) are written to fuzz/found/TARGET; see docs/fuzzing.md.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "fuzz")]

from contract import outcome_of  # noqa: E402 (found on the path above)
from targets import TARGETS, parsers_of  # noqa: E402

_LONGEST_INPUT = 1 << 18
_HANGS_AFTER_S = 60
_MOST_RESIDENT_MB = 6000
_STRUCTURED_SHARE = 0.6
_NOTED_EVERY_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument(
        "--found", type=Path, default=ROOT / "fuzz" / "found", help="folder of what was found"
    )
    parser.add_argument(
        "--kept", type=Path, help="folder of inputs that reached new code, kept from run to run"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _fuzz(options)
    else:
        _watch(options)


def _watch(options: argparse.Namespace) -> None:
    """Run the fuzzer in a process of its own, and again after a crash or hang of native code ended it."""
    found = options.found / options.target
    found.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    total = {"executions": 0, "read": 0, "refused": 0, "broken": 0, "restarts": -1}
    with tempfile.TemporaryDirectory() as folder:
        kept = options.kept or Path(folder) / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        while (left := end - time.monotonic()) > 5:
            note = Path(folder) / "note.json"
            note.unlink(missing_ok=True)
            command = [
                sys.executable,
                __file__,
                options.target,
                "--minutes",
                str(left / 60),
                "--kept",
                str(kept),
            ]
            command += ["--found", str(options.found), "--child", str(note)]
            subprocess.run(command, check=False)
            total["restarts"] += 1
            if not note.is_file():
                sys.exit("the fuzzer did not start")
            for name, count in json.loads(note.read_text()).items():
                total[name] += count
    print(json.dumps({"target": options.target, "minutes": options.minutes, **total}), flush=True)


def _fuzz(options: argparse.Namespace) -> None:
    import atheris

    # Once around, so that what is imported inside functions is instrumented too.
    with atheris.instrument_imports(include=["doctored", "PIL"]), tempfile.TemporaryDirectory() as folder:
        parsers = parsers_of(options.target)
        readers = []
        for number, parser in enumerate(parsers):
            (Path(folder) / str(number)).mkdir()
            readers.append(parser.prepare(Path(folder) / str(number)))
            for seed in parser.all_seeds():
                outcome_of(readers[-1], seed)
                name = hashlib.sha256(seed).hexdigest()[:16]
                (options.kept / f"{number}-{name}").write_bytes(bytes([number]) + seed)
        _run(atheris, options, parsers, readers)


def _run(atheris: Any, options: argparse.Namespace, parsers: Any, readers: Any) -> None:
    counts = {"executions": 0, "read": 0, "refused": 0, "broken": 0}
    causes: set[tuple[str, str]] = set()
    noted = 0.0

    def one_input(data: bytes) -> None:
        nonlocal noted
        if not data:
            return
        number = data[0] % len(parsers)
        outcome = outcome_of(readers[number], data[1:])
        counts["executions"] += 1
        counts["broken" if outcome.broken else outcome.kind] += 1
        cause = parsers[number].name, outcome.cause
        if outcome.broken and cause not in causes:
            causes.add(cause)
            name = f"{parsers[number].name}-{outcome.kind}-{hashlib.sha256(data[1:]).hexdigest()[:12]}"
            (options.found / options.target / name).write_bytes(data[1:])
            print(f"FOUND {name}: {outcome.detail}\n{outcome.trace}", flush=True)
        if time.monotonic() > noted + _NOTED_EVERY_S:
            noted = time.monotonic()
            options.child.write_text(json.dumps(counts))

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        number = data[0] % len(parsers) if data else 0
        structured = parsers[number].mutate
        if structured is None or rng.random() > _STRUCTURED_SHARE:
            return bytes([number]) + atheris.Mutate(data[1:], max_size - 1)
        return (bytes([number]) + structured(data[1:], rng))[:max_size]

    arguments = [
        sys.argv[0],
        f"-max_total_time={max(1, int(options.minutes * 60))}",
        f"-timeout={_HANGS_AFTER_S}",
        f"-rss_limit_mb={_MOST_RESIDENT_MB}",
        f"-max_len={_LONGEST_INPUT}",
        "-len_control=0",
        "-mutate_depth=2",
        f"-artifact_prefix={options.found / options.target}/",
        "-print_final_stats=1",
        "-report_slow_units=5",
        str(options.kept),
    ]
    atheris.Setup(arguments, one_input, custom_mutator=mutated)
    try:
        atheris.Fuzz()
    finally:
        options.child.write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
