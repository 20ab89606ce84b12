import subprocess
import sys

import numpy as np
import pytest


def _in_a_new_process(program: str) -> float:
    program = f"import numpy as np\nfrom doctored.predict.memory import peak_memory_mb\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_the_peak_counts_what_was_freed_again():
    small = _in_a_new_process("print(peak_memory_mb())")
    large = _in_a_new_process("used = np.ones(200_000_000, np.uint8); del used; print(peak_memory_mb())")
    assert large - small == pytest.approx(200, abs=20)


def test_the_memory_of_the_parent_does_not_count():
    """The system's resource usage starts at the parent's peak, which made every small process look large."""
    used = np.ones(400_000_000, np.uint8)
    child = _in_a_new_process("print(peak_memory_mb())")
    del used
    assert child < 300
