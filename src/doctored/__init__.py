"""Has this photo been doctored? Where, and how?"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "inspect", "trace_features"]

if TYPE_CHECKING:
    from doctored.predict import inspect, trace_features


def __getattr__(name: str) -> Any:
    # The two functions load on first use, so that `import doctored` starts no inference engine.
    if name in ("inspect", "trace_features"):
        from doctored import predict

        return getattr(predict, name)
    raise AttributeError(f"module 'doctored' has no attribute {name!r}")
