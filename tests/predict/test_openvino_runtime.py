import subprocess
import sys
from pathlib import Path

import pytest

from doctored.predict.weights import ExportedModel

_GUARD = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("a connection was tried")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
"""


def _run(program: str, home: Path, *arguments: str) -> str:
    environment = {"HOME": str(home), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_no_engine_and_no_training_library(tmp_path: Path):
    program = (
        "import sys, doctored.predict, doctored.models.catalog; print({n.split('.')[0] for n in sys.modules})"
    )
    loaded = _run(program, tmp_path)
    assert "'doctored'" in loaded
    for name in ("torch", "cv2", "openvino", "nncf", "safetensors"):
        assert f"'{name}'" not in loaded


def test_detection_sends_nothing_and_leaves_nothing_behind(tmp_path: Path, exported_toy: ExportedModel):
    """OpenVINO reports its own import to its maker, and puts a client id into the home folder, if it is let."""
    program = (
        _GUARD
        + """
import threading
import numpy as np
from doctored.core.picture import Picture
from doctored.predict import Detector
Detector.from_name(sys.argv[1]).inspect(Picture.from_array(np.zeros((70, 70, 3), np.uint8)))
print(threading.active_count(), "torch" in sys.modules, sys.modules["openvino_telemetry"])
"""
    )
    assert _run(program, tmp_path, str(exported_toy.folder)) == "1 False None"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["export", "torch_engine", "weights"])
def test_torch_waits_until_it_is_used(tmp_path: Path, module: str):
    program = (
        f"import sys, doctored.predict.{module}; print('torch' in sys.modules, 'openvino' in sys.modules)"
    )
    assert _run(program, tmp_path) == "False False"


_SIGNAL_AFTER_ENGINES = """
import signal, sys, threading
import numpy as np
from pathlib import Path
from doctored.predict.openvino_engine import OpenVINOEngine
from doctored.predict.weights import read_exported

def used():
    exported = read_exported(Path(sys.argv[1]))
    engine = OpenVINOEngine(exported, exported.settings, "fp32")
    engine.adapted(np.zeros((70, 70, 3), np.uint8))
    return engine

if sys.argv[2] == "two":
    first, second = used(), used()
    del first
    del second
else:
    engines = [used()]
    thread = threading.Thread(target=engines.clear)
    thread.start()
    thread.join()
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append("SIGTERM"))
signal.raise_signal(signal.SIGTERM)
print(*received)
"""


@pytest.mark.parametrize("engines", ["two", "freed in another thread"])
def test_a_signal_is_survived_after_engines_are_gone(
    tmp_path: Path, exported_toy: ExportedModel, engines: str
):
    """A core leaves its thread, when it goes, without the stack that signals are handled on."""
    assert _run(_SIGNAL_AFTER_ENGINES, tmp_path, str(exported_toy.folder), engines) == "SIGTERM"
