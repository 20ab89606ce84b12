from dataclasses import replace

import pytest
import torch

from doctored.core.errors import ConfigError, MissingExtraError
from doctored.predict import precision
from doctored.predict.precision import check_device, exported_precision, torch_device, torch_precision
from doctored.predict.weights import ExportedModel


def _cpu_with(monkeypatch: pytest.MonkeyPatch, *fast: str) -> None:
    monkeypatch.setattr(precision, "fast_arithmetic", lambda: frozenset(fast))


@pytest.mark.parametrize(
    ("fast", "passed", "expected"),
    [
        (("int8", "bf16"), True, "int8"),
        (("int8",), True, "int8"),
        (("int8", "bf16"), False, "bf16"),
        (("int8",), False, "fp32"),
        (("bf16",), True, "bf16"),
        ((), True, "fp32"),
    ],
)
def test_unasked(
    monkeypatch: pytest.MonkeyPatch,
    quantised_toy: ExportedModel,
    fast: tuple[str, ...],
    passed: bool,
    expected: str,
):
    _cpu_with(monkeypatch, *fast)
    assert exported_precision("auto", replace(quantised_toy, int8_passed=passed)) == expected


def test_a_model_without_int8_files_never_gets_int8(
    monkeypatch: pytest.MonkeyPatch, exported_toy: ExportedModel
):
    _cpu_with(monkeypatch, "int8", "bf16")
    assert exported_precision("auto", exported_toy) == "bf16"
    with pytest.raises(
        ConfigError, match="was exported without int8; give one of bf16, fp32, or export it again"
    ):
        exported_precision("int8", exported_toy)


def test_asked_for(monkeypatch: pytest.MonkeyPatch, quantised_toy: ExportedModel):
    _cpu_with(monkeypatch, "bf16")
    unchecked = replace(quantised_toy, int8_passed=False)
    for asked in ("int8", "bf16", "fp32"):
        assert exported_precision(asked, unchecked) == asked
    _cpu_with(monkeypatch)
    assert exported_precision("int8", unchecked) == "int8"


def test_bf16_is_refused_where_it_would_be_emulated(
    monkeypatch: pytest.MonkeyPatch, exported_toy: ExportedModel
):
    _cpu_with(monkeypatch, "int8")
    for choose in (lambda: exported_precision("bf16", exported_toy), lambda: torch_precision("bf16", "cpu")):
        with pytest.raises(ConfigError, match=r"no bfloat16 instructions \(AMX or AVX512_BF16\); give fp32"):
            choose()
    assert torch_precision("bf16", "cuda") == "bf16"


@pytest.mark.parametrize(
    ("device", "fast", "expected"),
    [
        ("cpu", ("bf16",), "bf16"),
        ("cpu", ("int8",), "fp32"),
        ("cuda", (), "bf16"),
        ("mps", ("bf16",), "fp32"),
    ],
)
def test_unasked_on_pytorch(
    monkeypatch: pytest.MonkeyPatch, device: str, fast: tuple[str, ...], expected: str
):
    _cpu_with(monkeypatch, *fast)
    assert torch_precision("auto", device) == expected


def test_unknown_words_are_refused(exported_toy: ExportedModel):
    with pytest.raises(ConfigError, match="precision is 'fp8'; give one of auto, int8, bf16, fp32"):
        exported_precision("fp8", exported_toy)
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        torch_precision("fp8", "cpu")
    with pytest.raises(ConfigError, match="int8 needs an exported model"):
        torch_precision("int8", "cpu")
    with pytest.raises(ConfigError, match="device is 'gpu'; give one of auto, cpu, cuda, mps"):
        check_device("gpu")


def test_devices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("auto") == "cuda"
    assert torch_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="no cuda device that PyTorch can use here; give --device cpu"):
        torch_device("cuda")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'doctored\[train\]'"):
        torch_device("auto")
