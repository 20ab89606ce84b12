"""Which fast arithmetic this machine's processor has."""

import os
import platform
from pathlib import Path

import numpy as np

_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}

# Names of the same things in NumPy's table, which is what other systems than Linux have to go by.
_NUMPY_NAMES = {"AVX512VNNI": "avx512_vnni", "AVX512BF16": "avx512_bf16", "ASIMDDP": "asimddp"}

# What a limit on oneDNN's instruction sets, meant for trying out a lesser machine, still allows.
_ALLOWED_UNDER_LIMIT = {
    "AVX512_CORE_VNNI": {"avx512_vnni"},
    "AVX512_CORE_BF16": {"avx512_vnni", "avx512_bf16"},
    "AVX2_VNNI": {"avx_vnni"},
    "AVX2_VNNI_2": {"avx_vnni"},
    "AVX512_CORE": set(),
    "AVX2": set(),
    "SSE41": set(),
}


def fast_arithmetic() -> frozenset[str]:
    """The subset of {"int8", "bf16"} that the processor has instructions for.

    A limit that the environment sets with `ONEDNN_MAX_CPU_ISA` is honoured, as the engine honours it.
    """
    flags = _processor_flags()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit in _ALLOWED_UNDER_LIMIT:
        flags &= _ALLOWED_UNDER_LIMIT[limit]
    found = [name for name, needed in (("int8", _INT8_FLAGS), ("bf16", _BF16_FLAGS)) if flags & needed]
    return frozenset(found)


def _processor_flags() -> set[str]:
    if platform.system() == "Linux":
        return _linux_flags(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    table = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    features: dict[str, bool] = getattr(table, "__cpu_features__", {})
    return {ours for theirs, ours in _NUMPY_NAMES.items() if features.get(theirs)}


def _linux_flags(cpuinfo: str) -> set[str]:
    for line in cpuinfo.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(flags.split())
    return set()
