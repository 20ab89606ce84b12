"""Importing OpenVINO without the usage statistics that it would send."""

import importlib
import sys
from typing import Any


def load_openvino() -> Any:
    """The `openvino` package. Every use of it goes through here.

    Importing it sends an event to its maker, through the package `openvino_telemetry` that it brings along; where
    that cannot be imported, nothing is sent. So it is made impossible to import in this process.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python marks a blocked import
    return importlib.import_module("openvino")
