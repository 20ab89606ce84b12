import pytest
import torch
import torch.nn.functional as F
from torch import nn

from doctored.models.constrained_rcnn.mask_stage import MaskHead, RoIBatchNorm, SkipFusion
from models.constrained_rcnn.toys import TOY_COMPAT, TOY_SETTINGS


def test_the_released_norm_is_two_batch_norms_that_never_leave_training():
    norm = RoIBatchNorm(5)
    references = [nn.BatchNorm2d(5, eps=1e-3) for _ in range(2)]
    with torch.no_grad():
        for offset, reference in zip((norm.first_offset, norm.second_offset), references, strict=True):
            reference.bias.copy_(offset.normal_(generator=torch.Generator().manual_seed(0)))
    features = torch.randn(4, 5, 14, 14) * 0.05 + 3
    torch.testing.assert_close(
        norm.eval()(features), references[1](references[0](features)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
@torch.no_grad()
def test_only_in_the_original_does_a_mask_depend_on_the_others(settings):
    torch.manual_seed(0)
    head = MaskHead(settings).eval()
    crops = torch.randn(3, 32, 7, 7)
    together, alone = head(crops), head(crops[:1])
    assert together.shape == (3, 2, 14, 14)
    assert torch.allclose(together[:1], alone, atol=1e-5) != settings.compat


@torch.no_grad()
def test_fusion_is_a_projected_mean():
    torch.manual_seed(0)
    fusion = SkipFusion(TOY_SETTINGS)
    conv_3x, attended = torch.randn(2, 1, 32, 4, 3)
    fused = fusion(conv_3x, attended)
    mean = (conv_3x + attended)[0, :, 2, 1] / 2
    expected = F.relu(fusion.conv.weight[:, :, 0, 0] @ mean + fusion.conv.bias)
    torch.testing.assert_close(fused[0, :, 2, 1], expected)
