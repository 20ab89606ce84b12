from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.imagenet import from_torchvision
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings, compat
from models.constrained_rcnn.toys import TOY_SETTINGS

SETTINGS = replace(
    TOY_SETTINGS, units=(1, 2, 1, 1), widths=(256, 512, 1024, 2048), stem_width=64, backbone_norm="frozen"
)


def _torchvision(seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(Bottleneck, [1, 2, 1, 1]).eval()


def _started(settings: ConstrainedRCNNSettings, reference: ResNet) -> ConstrainedRCNN:
    net = ConstrainedRCNN(settings)
    missing, unexpected = net.load_state_dict(
        from_torchvision(reference.state_dict(), settings), strict=False
    )
    assert not unexpected
    assert not any("block" in name or "backbone" in name for name in missing)
    return net


@torch.no_grad()
def test_blocks_without_stride_give_the_same_answers():
    reference = _torchvision()
    net = _started(SETTINGS, reference)
    reference.layer4[0].conv2.stride = reference.layer4[0].downsample[0].stride = (1, 1)
    crops = torch.rand(2, 1024, 3, 3)
    expected = reference.layer4(crops)
    torch.testing.assert_close(net.box_head.block4(crops), expected, rtol=1e-3, atol=1e-4)
    assert net.mask_stage is not None
    torch.testing.assert_close(net.mask_stage.head.block4(crops), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("original", [False, True])
@torch.no_grad()
def test_the_first_layer_sees_the_contrast_it_knows(original: bool):
    settings = replace(SETTINGS, compat=original)
    reference = _torchvision()
    net = _started(settings, reference)
    contrast = torch.rand(1, 3, 20, 20) * 0.2 - 0.1  # of RGB in [0, 1]
    expected = F.conv2d(
        contrast / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
        reference.conv1.weight,
        stride=2,
        padding=3,
    )
    ours = (contrast * 255).flip(1) if original else contrast * 2
    torch.testing.assert_close(net.backbone.conv1.conv(ours), expected, rtol=1e-4, atol=1e-5)


def test_a_wider_layer_4_is_left_out():
    settings = replace(
        SETTINGS, bottleneck=False, units=(2, 2, 2, 2), widths=(64, 128, 256, 256), backbone_norm="learned"
    )
    state = from_torchvision(ResNet(BasicBlock, [2, 2, 2, 2]).state_dict(), settings)
    missing, unexpected = ConstrainedRCNN(settings).load_state_dict(state, strict=False)
    assert not unexpected
    assert any("block4" in name for name in missing)
    assert all("num_batches" in name for name in missing if name.startswith("backbone"))


def test_other_depths_and_foreign_arrays_are_refused():
    state = _torchvision().state_dict()
    with pytest.raises(ConfigError, match=r"layer2\.2\.conv1\.weight is missing"):
        from_torchvision(state, replace(SETTINGS, units=(1, 3, 1, 1)))
    with pytest.raises(ConfigError, match="more than the 1 units of block 2"):
        from_torchvision(state, replace(SETTINGS, units=(1, 1, 1, 1)))
    with pytest.raises(ConfigError, match="layer1 has 256 channels, expected 128"):
        from_torchvision(state, replace(SETTINGS, widths=(128, 512, 1024, 2048)))
    with pytest.raises(ConfigError, match=r"conv1\.weight is missing"):
        from_torchvision({}, compat())
