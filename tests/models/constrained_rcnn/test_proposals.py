from dataclasses import replace

import pytest
import torch

from doctored.metrics.boxes import box_iou as metric_iou
from doctored.models.constrained_rcnn.anchors import cell_anchors, grid_anchors
from doctored.models.constrained_rcnn.boxes import LARGEST_LOG_SCALE
from doctored.models.constrained_rcnn.proposals import propose
from models.constrained_rcnn.toys import TOY_COMPAT, TOY_SETTINGS

SIZE_HW = (96, 128)


def _answers(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 2, generator=generator), torch.randn(count, 4, generator=generator) * 0.3


@pytest.mark.parametrize("settings", [TOY_SETTINGS, TOY_COMPAT], ids=["ours", "compat"])
@pytest.mark.parametrize("training", [True, False])
def test_proposals_equal_a_slow_loop(settings, training: bool):
    settings = replace(
        settings, candidates_training=150, candidates_test=40, proposals_training=60, proposals_test=30
    )
    end = settings.pixel_end
    anchors = grid_anchors(cell_anchors((1, 2), end), (6, 8))
    logits, deltas = _answers(len(anchors))
    probability = logits.softmax(dim=1)[:, 1]
    kept: list[list[float]] = []
    for index in probability.argsort(descending=True)[: 150 if training else 40].tolist():
        left, top, right, bottom = anchors[index].tolist()
        dx, dy, dw, dh = deltas[index].double()
        width, height = right - left + end, bottom - top + end
        x, y = left + width / 2 + dx * width, top + height / 2 + dy * height
        half_width, half_height = dw.exp() * width / 2, dh.exp() * height / 2
        box = [
            float(value.clamp(0, side - end))
            for value, side in zip(
                (x - half_width, y - half_height, x + half_width, y + half_height),
                (128, 96, 128, 96),
                strict=True,
            )
        ]
        if not kept or metric_iou(box, kept, inclusive_pixels=end == 1).max() <= 0.7:
            kept.append(box)
    limit = 60 if training else 30
    assert len(kept) > limit
    expected = torch.tensor(kept[:limit])
    proposals = propose(logits, deltas, anchors, SIZE_HW, settings, training)
    torch.testing.assert_close(proposals, expected, rtol=1e-5, atol=1e-4)


def test_only_compat_lets_boxes_grow_without_limit():
    anchors, logits = torch.tensor([[56.0, 40, 57, 41]]), torch.zeros(1, 2)
    deltas = torch.tensor([[0, 0, LARGEST_LOG_SCALE + 5, 0.0]])
    size_hw = (100, 4000)
    ours = propose(logits, deltas, anchors, size_hw, TOY_SETTINGS, False)
    compat = propose(logits, deltas, anchors, size_hw, TOY_COMPAT, False)
    assert (ours[0, 2] - 56.5).item() == pytest.approx(1000 / 16 / 2)
    assert compat[0, 2] == 3999


def test_no_gradient_passes():
    logits, deltas = (answer.requires_grad_() for answer in _answers(12))
    anchors = grid_anchors(cell_anchors((1, 2), 0.0), (1, 2))
    assert not propose(logits, deltas, anchors, SIZE_HW, TOY_SETTINGS, True).requires_grad
