import subprocess
import sys

import numpy as np

from doctored.predict.memory import peak_memory_mb


def test_the_peak_rises_with_use_and_never_falls():
    before = peak_memory_mb()
    assert before is not None
    used = np.ones(60_000_000, np.uint8)
    during = peak_memory_mb()
    del used
    assert during >= before
    assert peak_memory_mb() == during or peak_memory_mb() > during
    assert during > 60


def test_the_memory_of_the_parent_does_not_count():
    """The system's resource usage starts at the parent's peak, which made every small process look large."""
    used = np.ones(400_000_000, np.uint8)
    program = "from doctored.predict.memory import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    del used
    assert float(done.stdout) < 300
