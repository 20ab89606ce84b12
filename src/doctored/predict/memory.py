"""How much memory this process has used at most, and engines that got none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What engines say whose memory, or whose threads, the system refused; neither has an error of its own for that.
_REFUSALS = (
    *(
        "can't alloc",
        "cannot alloc",
        "failed to alloc",
        "bad_alloc",
        "bad alloc",
        "not enough memory",
        "out of memory",
    ),
    *("resource temporarily unavailable", "failed to map segment"),
)


@contextmanager
def refused_memory_as_memory_error() -> Iterator[None]:
    """Turn an engine's RuntimeError into a MemoryError where that is what it stands for.

    Raises:
        MemoryError: The engine got no memory, or no threads.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if any(refusal in text for refusal in _REFUSALS):
            raise MemoryError("the engine that runs the network got no memory") from error
        raise


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, in millions of bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count the memory of the process that started this one, if that was larger.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
