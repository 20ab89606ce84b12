from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ModelError
from doctored.models.mantranet.convert import from_keras, from_pytorch_port
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings, released_variant
from models.mantranet import numpy_reference as reference
from models.mantranet.toys import TOY_SETTINGS, as_batch, as_release_arrays, random_mantranet, random_picture

Arrays = dict[str, NDArray[np.float32]]
# Of the 26 arrays in the group of the extractor, 24 come from these layers.
LAYERS_3X3 = reference.FEATURE_LAYERS


def narrow(variant: int) -> ManTraNetSettings:
    return replace(
        TOY_SETTINGS,
        first_layer_filters=(32, 32, 16, 16, 16)[variant],
        transform_tanh=variant == 0,
        window_sizes=(7, 15, 31) if variant == 4 else (7, 15, 31, 63),
    )


def keras_arrays(network: ManTraNet) -> Arrays:
    """As the released files hold them: the layers of the extractor in a group, the others each in their own."""
    arrays = {}
    for name, array in as_release_arrays(network).items():
        layer = name.split("/")[0]
        group = "Featex" if layer in ("b1c1", *LAYERS_3X3) else layer
        arrays[f"{group}/{name}:0"] = array.astype(np.float32)
    return arrays


def port_arrays(network: ManTraNet) -> Arrays:
    """The same in the names and layouts of the port, whose first layers and LSTM are cut otherwise."""
    keras = {name: array.astype(np.float32) for name, array in as_release_arrays(network).items()}

    def kernel(name: str) -> NDArray[np.float32]:
        return np.einsum("hwio->oihw", keras[name])

    arrays = {
        "IMTFE.init_conv.weight": kernel("b1c1/regular_kernel"),
        "IMTFE.SRMConv2D.weight": np.einsum("hwio->oihw", reference.srm_stack()).astype(np.float32),
        "IMTFE.BayarConv2D.weight": kernel("b1c1/bayar_kernel"),
        "AnomalyDetector.adaptation.weight": kernel("outlierTrans/kernel"),
        "AnomalyDetector.sigma_F": np.moveaxis(keras["glbStd/min_std"], 3, 1),
        "AnomalyDetector.conv_lstm.cell_list.0.conv.weight": np.concatenate(
            [kernel("cLSTM/kernel"), kernel("cLSTM/recurrent_kernel")], axis=1
        ),
        "AnomalyDetector.conv_lstm.cell_list.0.conv.bias": keras["cLSTM/bias"],
        "AnomalyDetector.end.0.weight": kernel("pred/kernel"),
        "AnomalyDetector.end.0.bias": keras["pred/bias"],
    }
    for number, layer in zip(range(0, 24, 2), LAYERS_3X3, strict=True):
        arrays[f"IMTFE.middle_and_last_block.{number}.weight"] = kernel(f"{layer}/kernel")
        arrays[f"IMTFE.middle_and_last_block.{number}.bias"] = keras[f"{layer}/bias"]
    return arrays


def loaded(settings: ManTraNetSettings, state: Mapping[str, NDArray[np.float32]]) -> ManTraNet:
    network = ManTraNet(settings)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return network.eval()


@pytest.mark.parametrize("variant", range(5))
@torch.no_grad()
def test_every_variant_answers_as_before(variant: int):
    original = random_mantranet(narrow(variant))
    settings, state = from_keras(keras_arrays(original), variant)
    assert settings == narrow(variant)
    image = as_batch(random_picture(40, 50))
    torch.testing.assert_close(loaded(settings, state)(image), original(image), rtol=1e-4, atol=1e-5)


def test_the_published_widths_give_the_published_settings_and_count():
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in ManTraNet(released_variant(0)).state_dict().items()}
    network = ManTraNet(released_variant(0))
    settings, state = from_keras(keras_arrays(network), 0)
    assert settings == released_variant(0)
    assert {name: array.shape for name, array in state.items()} == shapes
    del state["ladn.bnorm.num_batches_tracked"]
    assert sum(array.size for array in state.values()) == 3_810_886


def test_names_with_wrappers_and_numbers_are_understood():
    arrays = keras_arrays(random_mantranet(narrow(4)))
    layers = ("b1c1/", "b1c2/", "outlierTrans/")
    renamed = {}
    for path, array in arrays.items():
        for layer in layers:
            path = path.replace(layer, f"{layer[:-1]}_1/")
        renamed[f"model_1/{path.removesuffix(':0')}"] = array
    _, state = from_keras(renamed, 4)
    _, expected = from_keras(arrays, 4)
    assert all(np.array_equal(state[name], expected[name]) for name in expected | state)


def test_a_variant_of_another_first_layer_is_refused():
    arrays = keras_arrays(random_mantranet(narrow(4)))
    with pytest.raises(
        ConfigError, match=r"has 16 filters, but that of variant 1 has 32; give .* \[2, 3, 4\]"
    ):
        from_keras(arrays, 1)
    with pytest.raises(ConfigError, match="variant 5 does not exist"):
        from_keras(arrays, 5)
    with pytest.raises(ConfigError, match=r"has 14 filters, .* no released variant has as many"):
        from_keras(keras_arrays(random_mantranet()), 4)


def _without(name: str) -> dict[str, NDArray[np.float32]]:
    arrays = keras_arrays(random_mantranet(narrow(4)))
    del arrays[name]
    return arrays


def test_missing_unknown_and_doubled_arrays_are_named():
    with pytest.raises(ModelError, match=r"1 of its 35 arrays are missing \(b3c2/bias\)"):
        from_keras(_without("Featex/b3c2/bias:0"), 4)
    arrays = keras_arrays(random_mantranet(narrow(4)))
    with pytest.raises(ModelError, match=r"1 arrays are unknown \(dense/dense/kernel:0\)"):
        from_keras(arrays | {"dense/dense/kernel:0": np.zeros(3, np.float32)}, 4)
    with pytest.raises(ModelError, match="two arrays are called pred/bias"):
        from_keras(arrays | {"pred_1/pred/bias:0": arrays["pred/pred/bias:0"]}, 4)
    with pytest.raises(
        ModelError, match=r"35 of its 35 arrays are missing .* 2 arrays are unknown \(a/b, c/d\)"
    ):
        from_keras({"a/b": np.zeros(1, np.float32), "c/d": np.zeros(1, np.float32)}, 4)


@pytest.mark.parametrize(
    ("path", "change", "sentence"),
    [
        ("Featex/b1c1/bayar_kernel:0", lambda a: a * 1.01, r"b1c1/bayar_kernel do not obey their constraint"),
        ("Featex/b1c1/bayar_kernel:0", lambda a: a.mean((0, 1), keepdims=True) + 0 * a, "constraint"),
        (
            "outlierTrans/outlierTrans/kernel:0",
            lambda a: a * 1.01,
            r"norms from 1.01 to 1.01, .* have norm 1",
        ),
        ("glbStd/glbStd/min_std:0", lambda a: a - 1, r"glbStd/min_std holds -1, but it can not be below 0"),
        ("bnorm/bnorm/moving_variance:0", lambda a: -a, "bnorm/moving_variance holds -0.0"),
        ("cLSTM/cLSTM/bias:0", lambda a: np.roll(a, 3), "forget biases in cLSTM/bias"),
        (
            "Featex/b2c1/kernel:0",
            lambda a: a[..., :-1],
            r"b2c1/kernel becomes .* shape \(6, 6, 3, 3\), but .* \(7, 6",
        ),
        ("Featex/b2c1/kernel:0", lambda a: a[0], "b2c1/kernel becomes"),
        ("Featex/b2c1/kernel:0", lambda a: a * np.nan, "b2c1/kernel holds values that are not finite"),
        ("Featex/b2c1/kernel:0", lambda a: a.astype(np.int32), "holds int32 values"),
        ("Featex/b1c2/kernel:0", lambda a: a[..., :0], "is empty"),
        ("cLSTM/cLSTM/recurrent_kernel:0", lambda a: a[..., :3], "becomes an array of shape"),
        ("pred/pred/bias:0", lambda a: a[0], r"pred/bias becomes an array of shape \(\)"),
        ("pred/pred/kernel:0", lambda a: a[0, 0, 0, 0], r"pred/kernel becomes an array of shape \(\)"),
        ("glbStd/glbStd/min_std:0", lambda a: a.ravel(), "glbStd/min_std becomes an array of shape"),
    ],
)
def test_damage_is_named(path: str, change, sentence: str):
    arrays = keras_arrays(random_mantranet(narrow(4)))
    arrays[path] = change(arrays[path])
    with pytest.raises(ModelError, match=sentence):
        from_keras(arrays, 4)


@torch.no_grad()
def test_the_port_answers_as_before():
    """Its BatchNorm takes the statistics of the picture; where the floor acts, that shows."""
    original = random_mantranet(narrow(4))
    original.ladn.raw_min_std.mul_(0.0115 / 1.2)  # the largest floor of the released network
    settings, state = from_pytorch_port(port_arrays(original))
    assert settings == narrow(4)
    image = as_batch(random_picture(40, 50))
    # The less contrast, the more channels lie under the floor: none, none, and four of five.
    for contrast, tolerance in ((1, 1e-4), (0.02, 1e-3), (0.001, 5e-3)):
        dim = image * contrast + 0.4
        adapted = original.ladn.adaptation(original.imtfe(dim))
        original.ladn.bnorm.running_mean.copy_(adapted.mean((0, 2, 3)))
        original.ladn.bnorm.running_var.copy_(adapted.var((0, 2, 3), correction=0))
        torch.testing.assert_close(loaded(settings, state)(dim), original(dim), rtol=0, atol=tolerance)


def test_the_ports_extractor_alone_gives_the_extractor():
    original = random_mantranet(narrow(4))
    arrays = {
        name.removeprefix("IMTFE."): array
        for name, array in port_arrays(original).items()
        if name.startswith("IMTFE.")
    }
    settings, state = from_pytorch_port(arrays)
    assert settings.widths == TOY_SETTINGS.widths
    assert state.keys() == {name for name in original.state_dict() if name.startswith("imtfe.")}
    np.testing.assert_array_equal(state["imtfe.b4c2.weight"], original.imtfe.b4c2.weight.detach())


def test_what_is_no_port_is_named():
    arrays = port_arrays(random_mantranet(narrow(4)))
    detector = {
        name.removeprefix("AnomalyDetector."): array
        for name, array in arrays.items()
        if name.startswith("AnomalyDetector.")
    }
    with pytest.raises(ModelError, match=r"without the extractor that it needs; give .* MantraNetv4.pt"):
        from_pytorch_port(detector)
    with pytest.raises(ModelError, match=r"IMTFE.SRMConv2D.weight does not hold"):
        from_pytorch_port(arrays | {"IMTFE.SRMConv2D.weight": arrays["IMTFE.SRMConv2D.weight"][::-1]})
    with pytest.raises(ModelError, match=r"1 arrays are unknown \(fc.weight\)"):
        from_pytorch_port(arrays | {"fc.weight": np.zeros((2, 2), np.float32)})
    lstm = "AnomalyDetector.conv_lstm.cell_list.0.conv.weight"
    with pytest.raises(ModelError, match=r"ConvLSTM's kernel is \(12, 5, 7, 7\)"):
        from_pytorch_port(arrays | {lstm: arrays[lstm][:, :5]})
