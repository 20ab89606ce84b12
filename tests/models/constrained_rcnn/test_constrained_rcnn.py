import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from doctored.core.errors import ConfigError, ShapeError
from doctored.models.constrained_rcnn.boxes import iou
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.findings import Truth
from doctored.models.constrained_rcnn.paste import paste_masks
from doctored.models.constrained_rcnn.settings import NETWORKS, ConstrainedRCNNSettings, compat
from models.constrained_rcnn.toys import (
    NO_BOXES,
    TOY_COMPAT,
    TOY_SETTINGS,
    forgery,
    overfitted_toy,
    tiny_batch,
)


def _toy(settings: ConstrainedRCNNSettings = TOY_SETTINGS, seed: int = 0) -> ConstrainedRCNN:
    torch.manual_seed(seed)
    return ConstrainedRCNN(settings)


def _tensors(net: nn.Module) -> list[torch.Tensor]:
    return list(net.state_dict().values())


def _on_meta(settings: ConstrainedRCNNSettings) -> ConstrainedRCNN:
    with torch.device("meta"):
        return ConstrainedRCNN(settings)


def test_size_of_the_original():
    """601 variables of 65.29 M numbers, of which the original never uses five.

    Those are the constrained convolution's bias, which it holds at 0 (3 numbers), and the moving statistics of two
    BatchNorms that it never updates (4 x 64).
    """
    tensors = _tensors(_on_meta(compat()))
    assert len(tensors) + 5 == 601
    count = sum(tensor.numel() for tensor in tensors) + 3 + 4 * 64
    assert round(count / 1e6, 2) == 65.29


def test_sizes_of_the_originals_parts():
    net = _on_meta(compat())
    counts = {
        "block1": (len(_tensors(net.backbone.block1)), 50),
        "block2": (len(_tensors(net.backbone.block2)), 65),
        "block3": (len(_tensors(net.backbone.block3)), 350),
        "block4": (len(_tensors(net.box_head.block4)), 50),
        "conv1": (len(_tensors(net.backbone.conv1)), 5),
    }
    assert all(count == expected for count, expected in counts.values()), counts
    assert net.mask_stage is not None
    millions = [
        round(sum(tensor.numel() for tensor in _tensors(part)) / 1e6, 2)
        for part in (
            net.box_head.block4,
            net.mask_stage.head.block4,
            net.backbone.block3,
            net.rpn.conv,
            net.rpn.cbam,
        )
    ]
    assert millions == [14.99, 14.99, 26.16, 4.72, 0.26]
    assert net.rpn.cls_score.weight.shape == (24, 512, 1, 1)
    assert net.rpn.bbox_pred.weight.shape == (48, 512, 1, 1)
    assert net.box_head.bbox_pred.weight.shape == (16, 2048)


def test_small_is_under_ten_million():
    small = _on_meta(NETWORKS["constrained-rcnn-small"])
    assert 5e6 < sum(tensor.numel() for tensor in _tensors(small)) < 10e6


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
@pytest.mark.parametrize("size_hw", [(96, 96), (1, 1), (17, 70)])
@torch.no_grad()
def test_findings_of_any_size(settings: ConstrainedRCNNSettings, size_hw: tuple[int, int]):
    net = _toy(settings).eval()
    findings = net(torch.rand(1, 3, *size_hw))[0]
    regions = len(findings.scores)
    assert 1 <= regions <= 8
    assert findings.boxes_xyxy.shape == (regions, 4)
    assert findings.masks.shape == (regions, 14, 14)
    assert findings.scores.tolist() == sorted(findings.scores.tolist(), reverse=True)
    assert set(findings.labels.tolist()) <= {1, 2, 3, 4}
    assert findings.localization_map.shape == size_hw
    assert findings.localization_map.dtype == torch.float32
    assert 0 <= findings.localization_map.min() <= findings.localization_map.max() <= 1


@torch.no_grad()
def test_the_map_weighs_the_votes_of_all_rois_by_the_maximum_of_the_weighted_masks():
    findings = _toy().eval()(torch.rand(1, 3, 80, 112))[0]
    expected = torch.zeros(80, 112)
    for mask, box, score in zip(findings.masks, findings.boxes_xyxy, findings.scores, strict=True):
        pasted = paste_masks(mask[None].numpy(), box[None].numpy(), (80, 112))
        expected = torch.maximum(expected, score * torch.from_numpy(pasted))
    assert expected.max() > 0
    votes = torch.zeros(80, 112)
    for roi, logit in zip(findings.rois, findings.roi_logits, strict=True):
        left, top, right, bottom = roi.tolist()
        rows = (torch.arange(80) + 1 > top) & (torch.arange(80) < bottom)
        columns = (torch.arange(112) + 1 > left) & (torch.arange(112) < right)
        votes[rows[:, None] & columns] += logit.sigmoid()
    torch.testing.assert_close(findings.localization_map, 1 - (-votes * (expected + 0.05)).exp())


@torch.no_grad()
def test_the_originals_map_is_unweighted_and_in_whole_pixels():
    findings = _toy(TOY_COMPAT).eval()(torch.rand(1, 3, 80, 112))[0]
    expected = torch.zeros(80, 112)
    for mask, box in zip(findings.masks, findings.boxes_xyxy, strict=True):
        left, top, right, bottom = box.int().tolist()
        if right > left and bottom > top:
            resized = nn.functional.interpolate(
                mask[None, None], (bottom - top, right - left), mode="bilinear", align_corners=False
            )[0, 0]
            area = expected[top:bottom, left:right]
            expected[top:bottom, left:right] = torch.maximum(area, resized)
    torch.testing.assert_close(findings.localization_map, expected)


@torch.no_grad()
def test_the_original_answers_in_pixels_of_the_picture():
    settings = replace(TOY_COMPAT, short_side_px=64, long_side_px=160)
    findings = _toy(settings).eval()(torch.rand(1, 3, 32, 40))[0]
    assert findings.localization_map.shape == (32, 40)
    assert (findings.boxes_xyxy <= torch.tensor([39, 31, 39, 31])).all()
    assert (findings.boxes_xyxy >= 0).all()


def test_the_original_enlarges_true_boxes_with_the_picture():
    """A picture that the network doubles, and the same one doubled before with its boxes."""
    settings = replace(TOY_COMPAT, short_side_px=96, long_side_px=160)
    net = _toy(settings)
    picture = torch.rand(1, 3, 48, 48)
    doubled = nn.functional.interpolate(picture, (96, 96), mode="bilinear", align_corners=False)
    labels = torch.tensor([2])
    # Last pixels 31 and 35 become 62 and 70.
    truths = [
        Truth(torch.tensor([[10.0, 5, 32, 36]]), labels),
        Truth(torch.tensor([[20.0, 10, 63, 71]]), labels),
    ]
    all_losses = []
    for image, truth in zip((picture, doubled), truths, strict=True):
        torch.manual_seed(1)
        all_losses.append(net.losses(image, [truth]))
    for name in ("rpn_class", "rpn_box", "roi_class", "roi_box"):
        torch.testing.assert_close(getattr(all_losses[0], name), getattr(all_losses[1], name))
    assert all_losses[0].rpn_box > 0


@torch.no_grad()
def test_four_pictures_equal_four_singles():
    net = _toy()
    net(torch.rand(4, 3, 96, 96))  # gives the norms statistics
    net.eval()
    for layer in (net.box_head.cls_score, net.rpn.cls_score, net.rpn.bbox_pred, net.box_head.bbox_pred):
        nn.init.normal_(layer.weight, std=0.3)
    pictures = torch.stack([forgery(seed, 1 + seed % 2, (16, 24, 60 + seed, 70))[0] for seed in range(4)])
    for together, picture in zip(net(pictures), pictures, strict=True):
        alone = net(picture[None])[0]
        assert together.labels.tolist() == alone.labels.tolist()
        for name in ("boxes_xyxy", "scores", "masks", "localization_map"):
            torch.testing.assert_close(getattr(together, name), getattr(alone, name), rtol=1e-4, atol=1e-4)


def test_a_batch_of_pictures_has_the_mean_of_their_losses():
    """With as many anchors and RoIs as there are, nothing is left to chance."""
    settings = replace(TOY_SETTINGS, backbone_norm="frozen", rpn_batch=10_000)
    net = _toy(settings)
    pairs = [forgery(0, 1, (20, 20, 60, 60)), forgery(1, 2, (30, 10, 80, 50))]
    both = net.losses(torch.stack([picture for picture, _ in pairs]), [truth for _, truth in pairs])
    alone = [net.losses(picture[None], [truth]) for picture, truth in pairs]
    for name in ("rpn_class", "rpn_box"):
        mean = (getattr(alone[0], name) + getattr(alone[1], name)) / 2
        torch.testing.assert_close(getattr(both, name), mean, rtol=1e-4, atol=1e-6)


def test_losses_of_a_start_are_those_of_guessing():
    net = _toy()
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    losses = net.losses(picture[None], [truth])
    assert losses.rpn_class.item() == pytest.approx(math.log(2), abs=0.05)
    assert losses.roi_class.item() == pytest.approx(math.log(5), abs=0.3)


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
def test_every_trained_part_learns_and_the_frozen_ones_do_not(settings: ConstrainedRCNNSettings):
    net = _toy(settings)
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    net.losses(picture[None], [truth]).total.backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    # The original's sigmoid leaves the authentic mask logit out, but only its own row of the last layer.
    assert still == ({"constrained_conv.raw_kernel"} if settings.compat else set())


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
def test_authentic_pictures_are_negatives(settings: ConstrainedRCNNSettings):
    losses = _toy(settings).losses(torch.rand(1, 3, 96, 96), [NO_BOXES])
    assert losses.rpn_class > 0
    assert losses.roi_class > 0
    assert losses.rpn_box == losses.roi_box == 0
    assert (losses.mask > 0) == settings.compat  # whose surest regions are masked, right or wrong
    losses.total.backward()


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
def test_without_a_mask_the_mask_stage_does_not_learn(settings: ConstrainedRCNNSettings):
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    losses = _toy(settings).losses(picture[None], [replace(truth, gt_mask=None)])
    assert losses.mask == 0
    assert losses.roi_box > 0


def test_stage_1_alone():
    net = _toy(replace(TOY_SETTINGS, mask_stage=False))
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    losses = net.losses(picture[None], [truth])
    assert losses.mask == 0
    losses.total.backward()
    with torch.no_grad():
        findings = net.eval()(picture[None])[0]
    assert findings.masks.min() == 1
    assert 0 < findings.localization_map.max() <= 1
    assert not any("mask" in name for name in net.state_dict())


def test_a_frozen_constraint_stays_and_a_learned_one_holds():
    for frozen in (True, False):
        net = _toy(replace(TOY_SETTINGS, freeze_constrained=frozen))
        before = net.constrained_conv.kernel.detach().clone()
        optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
        picture, truth = forgery(0, 1, (20, 20, 60, 60))
        net.losses(picture[None], [truth]).total.backward()
        optimiser.step()
        kernel = net.constrained_conv.kernel.detach()
        assert torch.equal(kernel, before) == frozen
        torch.testing.assert_close(kernel.sum(dim=(2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-5)


def test_overfits_one_tiny_batch():
    """Right techniques, boxes above 0.9 and masks above 0.9, on two forgeries and an authentic picture."""
    net, (image, truths) = overfitted_toy(), tiny_batch()
    with torch.no_grad():
        findings = net(image)
    for found, truth in zip(findings[:2], truths[:2], strict=True):
        assert truth.gt_mask is not None
        assert found.labels[0] == truth.labels[0]
        assert found.scores[0] > 0.5
        assert iou(found.boxes_xyxy[:1], truth.boxes_xyxy, 0.0).item() > 0.9
        mask = found.localization_map > 0.5
        assert (mask & truth.gt_mask).sum() / (mask | truth.gt_mask).sum() > 0.9
    assert findings[2].localization_map.max() < 0.5


@pytest.mark.parametrize("settings", [NETWORKS["constrained-rcnn"], compat()], ids=["ours", "compat"])
def test_two_training_steps_at_full_depth(settings: ConstrainedRCNNSettings):
    """The compat settings at a short side of 96 px instead of 600, and few RoIs."""
    if settings.compat:
        settings = replace(settings, short_side_px=96, long_side_px=160, anchor_scales=(1, 2, 4, 8))
    net = _toy(replace(settings, roi_batch=16))
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    label_of_noise = len(settings.classes) - 1
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    truth = replace(truth, labels=torch.tensor([label_of_noise]))
    for _ in range(2):
        optimiser.zero_grad()
        total = net.losses(picture[None], [truth]).total
        assert torch.isfinite(total)
        total.backward()
        optimiser.step()
    still = {name for name, parameter in net.named_parameters() if torch.equal(parameter, before[name])}
    assert still == ({"constrained_conv.raw_kernel"} if settings.compat else set())


def test_halved_precision_spares_the_first_layer_and_the_boxes():
    net = _toy(replace(TOY_SETTINGS, backbone_norm="frozen"))
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    with torch.autocast("cpu", torch.bfloat16):
        assert net.residual(picture[None]).dtype == torch.float32
        features = net.features(picture[None])
        assert features.conv_4x.dtype == torch.bfloat16
        assert features.deltas.dtype == torch.float32
        net.losses(picture[None], [truth]).total.backward()
        with torch.no_grad():
            findings = net.eval()(picture[None])[0]
    assert findings.boxes_xyxy.dtype == findings.localization_map.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@torch.no_grad()
def test_flat_pictures_give_no_residual_up_to_the_border():
    """A zero frame around the pixels is a step that the filters answer to; the original has it."""
    flat = torch.full((1, 3, 40, 40), 0.7)
    for settings in (TOY_SETTINGS, TOY_COMPAT):
        net = _toy(settings)
        residual = net.residual(flat).abs()
        assert residual[:, :, 2:-2, 2:-2].max() < 1e-5
        assert (residual.max() > 0.01) == settings.compat


def test_wrong_inputs_are_refused():
    net = _toy()
    picture, truth = forgery(0, 1, (20, 20, 60, 60))
    with pytest.raises(ShapeError, match=r"\(B, 3, H, W\), got \(3, 96, 96\)"):
        net(picture)
    with pytest.raises(ShapeError, match="2 pictures but 1 truths"):
        net.losses(torch.stack([picture, picture]), [truth])
    with pytest.raises(ShapeError, match="gt_mask is"):
        net.losses(picture[None, :, :80], [truth])
    with pytest.raises(ConfigError, match="label 5 is no technique"):
        net.losses(picture[None], [replace(truth, labels=torch.tensor([5]))])
    with pytest.raises(ConfigError, match="label 0 is no technique"):
        net.losses(picture[None], [replace(truth, labels=torch.tensor([0]))])
    with pytest.raises(ConfigError, match="one picture at a time"):
        _toy(TOY_COMPAT)(torch.rand(2, 3, 96, 96))
    with pytest.raises(ShapeError, match=r"\(T, 4\) boxes and \(T,\) labels"):
        Truth(torch.zeros(2, 4), torch.ones(1, dtype=torch.int64))
