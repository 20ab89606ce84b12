from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.resnet import Bottleneck as TorchvisionBottleneck

from doctored.models.constrained_rcnn.resnet import ConvNorm, SlimResNet, residual_block
from doctored.models.constrained_rcnn.settings import NETWORKS
from models.constrained_rcnn.toys import TOY_SETTINGS

FROZEN_TOY = replace(TOY_SETTINGS, backbone_norm="frozen")


def _random_norms(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "norm." in name and tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)


def test_a_frozen_norm_is_folded_exactly():
    conv = ConvNorm(4, 6, 3, stride=2)
    _random_norms(conv)
    features = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(1))
    norm = conv.norm
    expected = F.batch_norm(
        conv.conv(features), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5
    )
    torch.testing.assert_close(conv(features), expected, rtol=1e-4, atol=1e-5)
    assert [name for name, _ in conv.named_parameters()] == ["conv.weight"]


def test_a_learned_norm_freezes_without_changing_its_answers():
    torch.manual_seed(0)
    learned = SlimResNet(TOY_SETTINGS)
    learned(torch.randn(4, 3, 48, 48))
    frozen = SlimResNet(FROZEN_TOY)
    frozen.load_state_dict(learned.state_dict())
    image = torch.randn(1, 3, 50, 47)
    for a, b in zip(learned.eval()(image), frozen(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def _into_torchvision(ours: nn.Module, reference: nn.Module) -> None:
    renamed = {}
    for name, tensor in ours.state_dict().items():
        unit, rest = name.split(".", 1)
        rest = rest.replace("shortcut.conv", "downsample.0").replace("shortcut.norm", "downsample.1")
        for number in "123":
            rest = rest.replace(f"conv{number}.conv", f"conv{number}").replace(
                f"conv{number}.norm", f"bn{number}"
            )
        renamed[f"{unit}.{rest}"] = tensor
    missing, unexpected = reference.load_state_dict(renamed, strict=False)
    assert not unexpected
    assert all("num_batches_tracked" in name for name in missing)


@pytest.mark.parametrize(("number", "stride"), [(1, 2), (2, 2), (3, 1), (4, 1)])
@pytest.mark.parametrize("bottleneck", [True, False])
def test_a_block_is_torchvisions_units_with_the_stride_moved_to_the_last_one(
    number: int, stride: int, bottleneck: bool
):
    settings = replace(FROZEN_TOY, bottleneck=bottleneck, units=(3, 2, 2, 2), widths=(16, 32, 64, 64))
    in_channels, width = (8, 16, 32, 64)[number - 1], (16, 32, 64, 64)[number - 1]
    block = residual_block(settings, number)
    _random_norms(block)
    unit, planes = (TorchvisionBottleneck, width // 4) if bottleneck else (BasicBlock, width)
    projection = None
    if in_channels != width:
        projection = nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width))
    halving = nn.MaxPool2d(1, 2) if stride == 2 else None
    units = [unit(in_channels, planes, 1, projection)]
    units += [unit(width, planes) for _ in range(len(block) - 2)]
    units.append(unit(width, planes, stride, halving))
    reference = nn.Sequential(*units).eval()
    _into_torchvision(block, reference)
    features = torch.rand(2, in_channels, 11, 14, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block(features), reference(features), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_maps_of_a_600_by_800_picture():
    with torch.device("meta"):
        net = SlimResNet(NETWORKS["constrained-rcnn"])
        image = torch.empty(1, 3, 600, 800)
        stem = F.max_pool2d(net.conv1(image), 3, stride=2, padding=1)
        conv_2x = net.block1(stem)
        conv_3x, conv_4x = net(image)
    assert stem.shape == (1, 64, 150, 200)
    assert conv_2x.shape == (1, 256, 75, 100)
    assert conv_3x.shape == (1, 512, 38, 50)
    assert conv_4x.shape == (1, 1024, 38, 50)


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 17), (33, 15)])
def test_odd_sizes_round_up(size_hw: tuple[int, int]):
    conv_3x, conv_4x = SlimResNet(FROZEN_TOY)(torch.randn(1, 3, *size_hw))
    expected = tuple(-(-side // 16) for side in size_hw)
    assert conv_3x.shape[-2:] == conv_4x.shape[-2:] == expected


def test_a_deep_frozen_start_does_not_blow_up():
    """Thirty-three units that double the variance each once gave features of 1e5, and then infinite losses."""
    torch.manual_seed(0)
    net = SlimResNet(replace(FROZEN_TOY, units=(3, 4, 23, 3), widths=(16, 16, 16, 16)))
    _, conv_4x = net(torch.randn(1, 3, 64, 64))
    assert 0.01 < conv_4x.std() < 20
