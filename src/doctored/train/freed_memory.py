"""Memory that is freed at every step and needed again at the next."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for as long as it lives.

    The C library gives large blocks back to the system as soon as they are freed, and a training step frees all its
    maps. Getting them anew, page by page and zeroed, took 7 % of ManTra-Net's step on a CPU. Where the C library is not
    glibc there is nothing to set.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _NEVER)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
