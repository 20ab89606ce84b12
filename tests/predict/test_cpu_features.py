from pathlib import Path

import pytest

from doctored.predict import cpu_features
from doctored.predict.cpu_features import fast_arithmetic

LAPTOP = "processor : 0\nmodel name : x\nflags\t\t: fpu avx2 avx_vnni\n\nprocessor : 1\nflags : fpu\n"


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


def _linux(monkeypatch: pytest.MonkeyPatch, cpuinfo: str) -> None:
    monkeypatch.setattr(cpu_features.platform, "system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (LAPTOP, {"int8"}),
        ("flags : fpu avx512f avx512_vnni avx512_bf16\n", {"int8", "bf16"}),
        ("flags : amx_tile amx_bf16 amx_int8\n", {"int8", "bf16"}),
        ("flags : avx2 avx512f\n", set()),
        ("Features : fp asimd asimddp bf16\n", {"int8"}),
        ("nothing known\n", set()),
    ],
)
def test_linux_flags(monkeypatch: pytest.MonkeyPatch, cpuinfo: str, expected: set[str]):
    _linux(monkeypatch, cpuinfo)
    assert fast_arithmetic() == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("AVX512_CORE_VNNI", {"int8"}),
        ("avx512_core_bf16", {"int8", "bf16"}),
        ("AVX2", set()),
        ("ALL", {"int8", "bf16"}),
    ],
)
def test_a_limit_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch, limit: str, expected: set[str]):
    _linux(monkeypatch, "flags : avx512_vnni avx512_bf16 amx_int8 amx_bf16\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert fast_arithmetic() == expected


def test_other_systems_go_by_numpys_table(monkeypatch: pytest.MonkeyPatch):
    table = type(
        "Table", (), {"__cpu_features__": {"AVX512VNNI": True, "AVX512BF16": False, "ASIMDDP": False}}
    )
    monkeypatch.setattr(cpu_features.platform, "system", lambda: "Windows")
    monkeypatch.setattr(cpu_features.np._core, "_multiarray_umath", table)
    assert fast_arithmetic() == {"int8"}
    monkeypatch.delattr(table, "__cpu_features__")
    assert fast_arithmetic() == set()
