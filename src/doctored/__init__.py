"""Has this photo been doctored? Where, and how?"""

from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "inspect", "trace_features"]

if TYPE_CHECKING:
    from doctored.predict import inspect, trace_features

    __version__: str


def __getattr__(name: str) -> Any:
    # The two functions load on first use, so that `import doctored` starts no inference engine.
    if name in ("inspect", "trace_features"):
        from doctored import predict

        return getattr(predict, name)
    if name == "__version__":
        return _installed_version()
    raise AttributeError(f"module 'doctored' has no attribute {name!r}")


@cache  # every result names it, and reading the note takes longer than storing the result
def _installed_version() -> str:
    """What the installer noted; the version itself comes from the tags of the repository when a package is built."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("doctored")
    except PackageNotFoundError:
        return "0+unknown"  # the source alone, which nobody has installed
