from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.convert import (
    from_imagenet,
    from_tensorflow,
    is_imagenet_resnet,
    is_training_state,
)
from doctored.models.constrained_rcnn.imagenet import from_torchvision
from doctored.models.constrained_rcnn.settings import NETWORKS, ConstrainedRCNNSettings, compat
from models.constrained_rcnn.released import (
    Arrays,
    imagenet_arrays,
    randomise,
    released_arrays,
    training_variables,
)

CASIA = ("authentic", "manipulated")


def narrow(settings: ConstrainedRCNNSettings) -> ConstrainedRCNNSettings:
    """The same with fewer units and channels; all widths differ, so that exchanging two axes anywhere fails."""
    return replace(settings, units=(1, 2, 1, 2), widths=(16, 32, 48, 64), stem_width=8)


def network(settings: ConstrainedRCNNSettings) -> ConstrainedRCNN:
    torch.manual_seed(0)
    return randomise(ConstrainedRCNN(narrow(settings)))


def loaded(settings: ConstrainedRCNNSettings, state: Mapping[str, NDArray[np.float32]]) -> ConstrainedRCNN:
    converted = ConstrainedRCNN(settings)
    converted.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return converted.eval()


@pytest.mark.parametrize("mask_stage", [True, False])
@pytest.mark.parametrize("classes", [CASIA, compat().classes])
@torch.no_grad()
def test_a_checkpoint_answers_as_before(classes: tuple[str, ...], mask_stage: bool):
    original = network(compat(classes, mask_stage))
    arrays = released_arrays(original)
    settings, state = from_tensorflow(arrays | training_variables(arrays))
    assert settings == narrow(compat(classes, mask_stage))
    assert state.keys() == original.state_dict().keys()
    image = torch.rand(1, 3, 90, 120)
    (expected,) = original(image)
    (found,) = loaded(settings, state)(image)
    assert expected.localization_map.std() > 0
    torch.testing.assert_close(found.localization_map, expected.localization_map, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.boxes_xyxy, expected.boxes_xyxy, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)


def test_the_published_depth_has_the_published_number_of_variables():
    settings = replace(compat(), widths=(16, 32, 48, 64), stem_width=8)
    arrays = released_arrays(ConstrainedRCNN(settings))
    assert len(arrays) == 601
    counts = [sum(name.startswith(f"resnet_v1_101/block{n}/") for name in arrays) for n in (1, 2, 3, 4)]
    assert counts == [50, 65, 350, 50]
    assert from_tensorflow(arrays)[0] == settings


def test_missing_and_unknown_variables_are_named():
    arrays = released_arrays(network(compat()))
    lacking = {name: array for name, array in arrays.items() if name != "mask_predict/Conv_1/biases"}
    with pytest.raises(
        ModelError, match=r"weights of Constrained R-CNN: 1 of .* \(mask_predict/Conv_1/biases\)"
    ):
        from_tensorflow(lacking)
    with pytest.raises(ModelError, match=r"1 arrays are unknown \(vgg_16/fc6/weights\)"):
        from_tensorflow(arrays | {"vgg_16/fc6/weights": np.zeros((2, 2), np.float32)})
    with pytest.raises(ModelError, match=r"first stage: 538 of its 538 arrays are missing .* and 533 more"):
        from_tensorflow({})


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("resnet_v1_101/cls_score/weights", lambda a: a[:, :3], "tells 3 classes apart; .* are 2 and 4"),
        ("resnet_v1_101/rpn_cls_score/weights", lambda a: a[..., :18], "rpn_cls_score/weights becomes"),
        ("resnet_v1_101/block2/unit_2/bottleneck_v1/conv2/weights", lambda a: a[..., :3], "unit_2.*becomes"),
        (
            "resnet_v1_101/block2/unit_1/bottleneck_v1/conv3/weights",
            lambda a: a[..., :3],
            "becomes an array of",
        ),
        ("resnet_v1_101/conv1/weights", lambda a: a.reshape(-1), "conv1/weights becomes"),
        ("resnet_v1_101/conv1/weights", lambda a: np.float32(1).reshape(()), "conv1/weights becomes"),
        ("mask_predict/Conv/weights", lambda a: a * np.inf, "Conv/weights holds values that are not finite"),
        ("noise/constrained_conv/weights", lambda a: a + 0.01, "do not obey their constraint"),
        ("noise/constrained_conv/biases", lambda a: a + 0.01, "biases are not 0"),
    ],
)
def test_damage_is_named(name: str, change, sentence: str):
    arrays = released_arrays(network(compat()))
    with np.errstate(invalid="ignore"):
        arrays[name] = change(arrays[name])
    with pytest.raises(ModelError, match=sentence):
        from_tensorflow(arrays)


def test_a_unit_of_an_absurd_number_builds_no_absurd_network():
    arrays = released_arrays(network(compat()))
    with pytest.raises(
        ModelError, match=r"arrays are missing .* arrays are unknown \(resnet_v1_101/block1/unit_999/x"
    ):
        from_tensorflow(arrays | {"resnet_v1_101/block1/unit_999/x": np.zeros(1, np.float32)})


def test_imagenets_resnet_starts_every_block_as_torchvisions_would():
    """The first layer too, though the one reads RGB in 0..255 and the other RGB divided by a deviation."""
    original = network(compat())
    arrays = imagenet_arrays(original)
    assert is_imagenet_resnet(arrays)
    assert not is_imagenet_resnet(released_arrays(original))
    assert not is_imagenet_resnet({})
    settings, state = from_imagenet(arrays)
    assert settings == narrow(NETWORKS["constrained-rcnn"])
    std = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    in_torchvision = _torchvision_names(original)
    in_torchvision["conv1.weight"] = in_torchvision["conv1.weight"] * torch.from_numpy(std * 255)
    expected = from_torchvision(in_torchvision, settings)
    assert state.keys() == expected.keys()
    for name, array in state.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)


def _torchvision_names(net: ConstrainedRCNN) -> dict[str, torch.Tensor]:
    arrays = {"conv1.weight": net.backbone.conv1.conv.weight.detach()}
    arrays |= {f"bn1.{name}": value for name, value in net.backbone.conv1.norm.state_dict().items()}
    blocks = (net.backbone.block1, net.backbone.block2, net.backbone.block3, net.box_head.block4)
    for number, block in enumerate(blocks, start=1):
        for index, unit in enumerate(block):
            for name, layer in unit.named_children():
                if not name.startswith("conv") and not layer.state_dict():
                    continue
                conv, norm = name, name.replace("conv", "bn")
                if name == "shortcut":
                    conv, norm = "downsample.0", "downsample.1"
                place = f"layer{number}.{index}"
                arrays[f"{place}.{conv}.weight"] = layer.conv.weight.detach()
                arrays |= {f"{place}.{norm}.{part}": value for part, value in layer.norm.state_dict().items()}
    return arrays


def test_an_imagenet_checkpoint_of_another_network_is_refused():
    arrays: Arrays = imagenet_arrays(network(compat()))
    del arrays["resnet_v1_101/block3/unit_1/bottleneck_v1/conv1/weights"]
    with pytest.raises(ModelError, match=r"TF-slim's ResNet-101: 1 of .*block3/unit_1"):
        from_imagenet(arrays)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet_v1_101/conv1/weights/Momentum", True),
        ("Variable", True),
        ("Fix_Resnet_V1/resnet_v1_101/conv1/weights", True),
        ("resnet_v1_101/logits/weights", True),
        ("resnet_v1_101/mean_rgb", True),
        ("global_step", True),
        ("resnet_v1_101/conv1/weights", False),
        ("mask_predict/Conv_1/biases", False),
    ],
)
def test_what_only_training_needs(name: str, expected: bool):
    assert is_training_state(name) is expected
