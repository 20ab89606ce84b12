import platform
import subprocess
import sys

import pytest

PAGES_OF_THE_LAST_STEPS = """
import resource, sys
import torch
from doctored.train.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def pages_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [torch.ones(count) for count in (20_000_000, 5_000_000, 300_000)]
    del maps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum([pages_of_a_step() for _ in range(12)][-4:]))
"""


def _pages(kept: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", PAGES_OF_THE_LAST_STEPS, kept], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_after_a_few_steps_no_memory_is_asked_of_the_system():
    assert _pages("kept") * 10 < _pages("given back")
