"""What is asked of everything that reads what others wrote: it works, or it says in one sentence why it does not."""

import sys
import time
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from doctored.core.errors import DoctoredError

MOST_SECONDS = 5.0
MOST_MEMORY_MB = 1000
"""Beyond what was in use before."""
LONGEST_SENTENCE = 10_000

FORBIDDEN = frozenset(
    {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}
)
"""What no input may cause, as Python's audit calls it: unpickling, other programs, the network."""

Reader = Callable[[bytes], object]

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        kind: "read", "refused", or what was broken: "forbidden", "error", "sentence", "slow" or "memory".
        detail: Where and how.
        seconds: Of computing.
        trace: Of an unexpected error.
    """

    kind: str
    detail: str = ""
    seconds: float = 0.0
    trace: str = ""

    @property
    def broken(self) -> bool:
        """Whether the contract was."""
        return self.kind not in ("read", "refused")

    @property
    def cause(self) -> str:
        """What the inputs of one fault have in common."""
        return self.kind if self.kind in ("slow", "memory") else f"{self.kind}: {self.detail}"


def outcome_of(read: Reader, data: bytes) -> Outcome:
    """Read one input and compare what happens with the contract."""
    caused = _forbidden_events()
    caused.clear()
    before_mb = _peak_memory_mb(anew=True)
    started = time.process_time()
    kind, detail, trace = "read", "", ""
    try:
        read(data)
    except DoctoredError as error:
        kind, detail = "refused", _fault_of(error)
        if detail:
            kind, trace = "sentence", traceback.format_exc()
    except Exception as error:
        kind, detail, trace = "error", _place_of(error), traceback.format_exc()
    seconds = time.process_time() - started
    memory_mb = _peak_memory_mb() - before_mb
    if caused:
        kind, detail = "forbidden", ", ".join(sorted(set(caused)))
    elif kind in ("read", "refused"):
        if seconds > MOST_SECONDS:
            kind, detail = "slow", f"{seconds:.0f} s"
        elif memory_mb > MOST_MEMORY_MB:
            kind, detail = "memory", f"{memory_mb:.0f} MB"
    return Outcome(kind, detail, seconds, trace)


@cache
def _forbidden_events() -> list[str]:
    """Where they are noted from the first call on; an audit hook stays until the process ends."""
    caused: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event in FORBIDDEN:
            caused.append(event)

    sys.addaudithook(note)
    return caused


def _fault_of(error: DoctoredError) -> str:
    """What is wrong with a message; empty if nothing is."""
    message = str(error)
    if isinstance(error.__cause__, MemoryError):
        return f"out of memory, {_place_of(error.__cause__)}"
    if not message:
        return f"no message, {_place_of(error)}"
    if len(message) > LONGEST_SENTENCE:
        return f"longer than {LONGEST_SENTENCE} characters, {_place_of(error)}"
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") for sign in message):
        return f"line breaks or control characters, {_place_of(error)}"
    return ""


def _place_of(error: BaseException) -> str:
    """Type of an error and the innermost line of ours that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT / "src")] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "nowhere"
    return f"{type(error).__name__} at {place}"


def _peak_memory_mb(*, anew: bool = False) -> float:
    """The most memory that this process has held, since now if anew; 0 on other systems than Linux."""
    if sys.platform != "linux":
        return 0.0
    if anew:
        Path("/proc/self/clear_refs").write_bytes(b"5")
    status = Path("/proc/self/status").read_bytes()
    return int(status.split(b"VmHWM:")[1].split()[0]) / 1024
