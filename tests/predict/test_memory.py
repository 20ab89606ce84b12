import subprocess
import sys

import numpy as np
import pytest

from doctored.predict.memory import refused_memory_as_memory_error


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


@pytest.mark.parametrize(
    "text",
    [
        "Exception from core.cpp:117:\nCheck 'ptr' failed at cpu_memory.cpp:257:\nFailed to allocate 151851008 bytes",
        "Exception from plugin.cpp:54:\ncan't alloc",
        "Exception from plugin.cpp:54:\nResource temporarily unavailable",
        "Cannot load library libopenvino_intel_cpu_plugin.so: failed to map segment from shared object",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
        "CUDA out of memory. Tried to allocate 20.00 GiB",
    ],
)
def test_what_engines_say_when_they_get_no_memory(text):
    """Each was printed by OpenVINO or PyTorch under a limit, as a RuntimeError."""
    with pytest.raises(MemoryError), refused_memory_as_memory_error():
        raise RuntimeError(text)


def test_other_errors_of_engines_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), refused_memory_as_memory_error():
        raise RuntimeError("the input has another shape")
    with pytest.raises(ValueError, match="out of memory"), refused_memory_as_memory_error():
        raise ValueError("out of memory")


def test_pytorch_says_what_it_is_expected_to_say():
    torch = pytest.importorskip("torch")
    with pytest.raises(MemoryError), refused_memory_as_memory_error():
        torch.empty(1 << 50)
