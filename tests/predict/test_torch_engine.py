import numpy as np
import pytest
import torch

from doctored.core.errors import ConfigError
from doctored.predict.torch_engine import TorchEngine
from models.mantranet.toys import as_batch, as_map, random_mantranet, random_picture

PIXELS = (random_picture(40, 50) * 255).astype(np.uint8)


@torch.no_grad()
def test_each_pass_is_the_networks_own():
    network = random_mantranet()
    features = network.imtfe(as_batch(PIXELS.astype(np.float32) / 255))
    adapted = network.ladn.adapt(features)
    logits = network.ladn(features)

    engine = TorchEngine(random_mantranet(), "cpu", "fp32")
    result = engine.adapted(PIXELS)
    np.testing.assert_allclose(result, as_map(adapted), rtol=0, atol=1e-5)
    np.testing.assert_allclose(engine.trace_features(PIXELS), as_map(features), rtol=0, atol=1e-6)
    mean, std = result.mean(axis=(0, 1)), result.std(axis=(0, 1))
    np.testing.assert_allclose(
        engine.anomaly_logits(result, mean, std), as_map(logits)[..., 0], rtol=0, atol=1e-4
    )


def test_bf16_lowers_the_large_convolutions_alone():
    engine = TorchEngine(random_mantranet(), "cpu", "bf16")
    dtypes = {}
    for name, module in engine.network.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: dtypes.update({name: output.dtype}))
    adapted = engine.adapted(PIXELS)
    logits = engine.anomaly_logits(adapted, adapted.mean(axis=(0, 1)), adapted.std(axis=(0, 1)))
    lowered = {name for name, dtype in dtypes.items() if dtype == torch.bfloat16}
    extractor = {
        name for name, module in engine.network.named_modules() if isinstance(module, torch.nn.Conv2d)
    }
    assert lowered == extractor
    assert len(lowered) == 12 + 3
    assert adapted.dtype == logits.dtype == np.float32


def test_bf16_stays_near_fp32():
    maps = []
    for precision in ("fp32", "bf16"):
        engine = TorchEngine(random_mantranet(), "cpu", precision)
        adapted = engine.adapted(PIXELS)
        logits = engine.anomaly_logits(adapted, adapted.mean(axis=(0, 1)), adapted.std(axis=(0, 1)))
        maps.append(1 / (1 + np.exp(-logits)))
    assert 0 < np.abs(maps[0] - maps[1]).mean() < 0.01


def test_int8_is_refused():
    with pytest.raises(ConfigError, match="int8 needs an exported model"):
        TorchEngine(random_mantranet(), "cpu", "int8")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_gives_the_same_map(precision: str):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    maps = []
    for device in ("cpu", "cuda"):
        engine = TorchEngine(random_mantranet(), device, "fp32" if device == "cpu" else precision)
        adapted = engine.adapted(PIXELS)
        logits = engine.anomaly_logits(adapted, adapted.mean(axis=(0, 1)), adapted.std(axis=(0, 1)))
        maps.append(1 / (1 + np.exp(-logits)))
    assert np.abs(maps[0] - maps[1]).mean() < (1e-4 if precision == "fp32" else 0.01)
