import math

import pytest
import torch
from torchvision.ops import roi_align

from doctored.models.constrained_rcnn.roi import crop_rois, mask_targets

ROIS = torch.tensor([[20.0, 36, 131, 120], [0, 0, 191, 143], [100, 90, 191, 143], [3, 50, 9, 140]])


def _features(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 3, 9, 12, generator=torch.Generator().manual_seed(seed))


def _crop_and_resize(features: torch.Tensor, box_yxyx: list[float], size: int) -> torch.Tensor:
    """What TensorFlow's operation of that name does, by its documentation: corners to corners, 0 outside."""
    channels, height, width = features.shape
    crop = torch.zeros(channels, size, size, dtype=torch.float64)
    y1, x1, y2, x2 = box_yxyx
    for row in range(size):
        for column in range(size):
            y = y1 * (height - 1) + row * (y2 - y1) * (height - 1) / (size - 1)
            x = x1 * (width - 1) + column * (x2 - x1) * (width - 1) / (size - 1)
            if not (0 <= y <= height - 1 and 0 <= x <= width - 1):
                continue
            top, left = math.floor(y), math.floor(x)
            low, right = math.ceil(y), math.ceil(x)
            upper = features[:, top, left] * (1 - (x - left)) + features[:, top, right] * (x - left)
            lower = features[:, low, left] * (1 - (x - left)) + features[:, low, right] * (x - left)
            crop[:, row, column] = upper * (1 - (y - top)) + lower * (y - top)
    return crop


def test_the_released_crop_is_crop_and_resize_between_the_middles_of_the_outer_bins():
    features = _features()
    crops = crop_rois(features, [ROIS], compat=True)
    assert crops.shape == (4, 3, 7, 7)
    for crop, (left, top, right, bottom) in zip(crops, ROIS.tolist(), strict=True):
        bin_width, bin_height = (right - left) / 7, (bottom - top) / 7
        inner = [top + bin_height / 2, left + bin_width / 2, bottom - bin_height / 2, right - bin_width / 2]
        ends = [8 * 16, 11 * 16, 8 * 16, 11 * 16]
        box = [value / end for value, end in zip(inner, ends, strict=True)]
        expected = _crop_and_resize(features[0].double(), box, 7)
        torch.testing.assert_close(crop.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_released_crop_is_black_beyond_the_last_cells_middle():
    crop = crop_rois(torch.ones(1, 1, 9, 12), [torch.tensor([[100.0, 90, 191, 143]])], compat=True)[0, 0]
    # Rows at 90 + 53 (i + .5) / 7, black from 128 on; columns at 100 + 91 (i + .5) / 7, black from 176 on.
    assert crop.sum(dim=1).tolist() == [6] * 5 + [0] * 2
    assert crop[0].tolist() == [1] * 6 + [0]


def test_the_released_crop_is_a_one_sample_roi_align_inside_the_map():
    inside = torch.tensor([[20.0, 36, 131, 120], [32, 16, 160, 100]])
    expected = roi_align(_features(), [inside], 7, 1 / 16, sampling_ratio=1, aligned=False)
    torch.testing.assert_close(crop_rois(_features(), [inside], compat=True), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compat", [False, True])
def test_a_crop_reads_the_place_of_its_bins(compat: bool):
    """On a map that rises by 1 per pixel a bin gives the place of its middle."""
    first = 0 if compat else 8  # pixel of the first cell's middle
    x = (torch.arange(12.0) * 16 + first).expand(1, 1, 9, 12)
    box = torch.tensor([[30.0, 40, 142, 110]])
    crop = crop_rois(x, [box], compat)[0, 0]
    torch.testing.assert_close(crop, (30 + 112 * (torch.arange(7) + 0.5) / 7).expand(7, 7))


@pytest.mark.parametrize("compat", [False, True])
def test_rois_are_cut_from_their_own_picture(compat: bool):
    features = _features(batch=3)
    rois = [ROIS[:2], ROIS[:0], ROIS[2:]]
    together = crop_rois(features, rois, compat)
    apart = [crop_rois(features[index : index + 1], [rois[index]], compat) for index in (0, 2)]
    torch.testing.assert_close(together, torch.cat(apart))


@pytest.mark.parametrize("compat", [False, True])
def test_gradients_reach_the_features(compat: bool):
    features = _features().requires_grad_()
    crop_rois(features, [ROIS], compat).square().sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0


def test_released_mask_targets_equal_a_slow_loop():
    mask = torch.rand(40, 50, generator=torch.Generator().manual_seed(1)) > 0.5
    rois = torch.tensor([[3.0, 4, 21, 30], [10.2, 0, 49, 39], [30, 20, 60, 45]])
    targets = mask_targets(mask, rois, compat=True)
    for target, (left, top, right, bottom) in zip(targets, rois.tolist(), strict=True):
        box = [top / 39, left / 49, bottom / 39, right / 49]
        share = _crop_and_resize(mask.double()[None], box, 14)[0]
        clear = (share - 0.5).abs() > 1e-4
        assert torch.equal(target[clear], (share > 0.5)[clear].float())
    assert not targets[2, -1].any()  # beyond the mask


def test_mask_targets_hold_what_is_manipulated_in_each_cell():
    mask = torch.zeros(60, 80, dtype=torch.bool)
    mask[10:24, 20:48] = True
    exact = mask_targets(mask, torch.tensor([[20.0, 10, 48, 24]]), compat=False)
    assert exact.min() == 1
    shifted = mask_targets(mask, torch.tensor([[6.0, 10, 34, 38]]), compat=False)[0]
    expected = torch.zeros(14, 14)
    expected[:7, 7:] = 1
    assert torch.equal(shifted, expected)
