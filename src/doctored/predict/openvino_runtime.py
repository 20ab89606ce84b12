"""OpenVINO without the usage statistics that it would send, and its core, of which a process has one."""

import functools
import importlib
import sys
import threading
from typing import Any

_making_the_core = threading.Lock()


def load_openvino() -> Any:
    """The `openvino` package. Every use of it goes through here.

    Importing it sends an event to its maker, through the package `openvino_telemetry` that it brings along; where
    that cannot be imported, nothing is sent. So it is made impossible to import in this process.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python marks a blocked import
    return importlib.import_module("openvino")


def openvino_core() -> Any:
    """The one `openvino.Core` of this process, which reads and compiles models and is never freed.

    With its first network a core gives the running thread another stack for signals, and takes it back when it is
    freed. After several cores freed in any order, or one freed by another thread, the thread is left with a stack
    that is gone; the next signal that Python handles, SIGTERM for one, then ends the process with a segmentation
    fault.
    """
    with _making_the_core:  # two threads at once would make two, and free one
        return _core()


@functools.cache
def _core() -> Any:
    return load_openvino().Core()
