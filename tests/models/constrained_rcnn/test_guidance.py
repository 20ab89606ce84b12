from dataclasses import replace

import pytest
import torch

from doctored.models.constrained_rcnn.boxes import clip, decode
from doctored.models.constrained_rcnn.guidance import surest_regions
from models.constrained_rcnn.toys import TOY_COMPAT, TOY_SETTINGS

SIZE_HW = (90, 120)
CLASSES = len(TOY_SETTINGS.classes)


def _answers(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=generator) * 60
    rois = torch.cat([corners, corners + 10 + 40 * torch.rand(count, 2, generator=generator)], dim=1)
    logits = torch.randn(count, CLASSES, generator=generator)
    return rois, logits, torch.randn(count, CLASSES, 4, generator=generator)


def test_the_original_takes_the_surest_candidates_as_they_are():
    rois, logits, deltas = _answers(7)
    candidates = []
    for index in range(7):
        for label in range(1, CLASSES):
            move = deltas[index, label] * torch.tensor([0.1, 0.1, 0.2, 0.2])
            box = clip(decode(move[None], rois[index][None], 1.0), SIZE_HW, 1.0)[0]
            candidates.append((logits[index].softmax(dim=0)[label].item(), label, box))
    candidates.sort(key=lambda candidate: -candidate[0])
    boxes, scores, labels = surest_regions(rois, logits, deltas, SIZE_HW, TOY_COMPAT)
    assert len(boxes) == 8
    assert labels.tolist() == [label for _, label, _ in candidates[:8]]
    assert scores.tolist() == pytest.approx([score for score, _, _ in candidates[:8]])
    torch.testing.assert_close(boxes, torch.stack([box for _, _, box in candidates[:8]]))


def _near_duplicates() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two RoIs that overlap by 0.8; the first is a splicing or, less so, a copy-move, the second a splicing."""
    rois = torch.tensor([[10.0, 10, 60, 60], [10, 10, 60, 50]])
    logits = torch.tensor([[0.0, 6, 3, -9, -9], [0, 1.5, -9, -9, -9]])
    return rois, logits, torch.zeros(2, CLASSES, 4)


def test_ours_names_a_place_once():
    boxes, _, labels = surest_regions(*_near_duplicates(), SIZE_HW, TOY_SETTINGS)
    assert labels.tolist() == [1]
    assert boxes.tolist() == [[10, 10, 60, 60]]


def test_the_original_thins_out_within_each_class_in_training_only():
    settings = replace(TOY_COMPAT, mask_rois_training=3, mask_rois_test=3)
    _, _, training = surest_regions(*_near_duplicates(), SIZE_HW, settings, training=True)
    _, _, test = surest_regions(*_near_duplicates(), SIZE_HW, settings)
    assert training.tolist()[:2] == [1, 2]
    assert test.tolist() == [1, 1, 2]
    assert len(training) == 3
    assert 3 in training.tolist() or 4 in training.tolist()


def test_no_more_than_asked_for_and_no_gradient():
    rois, logits, deltas = _answers(40)
    settings = replace(TOY_COMPAT, mask_rois_training=4)
    boxes, scores, _ = surest_regions(
        rois, logits.requires_grad_(), deltas.requires_grad_(), SIZE_HW, settings, training=True
    )
    assert len(boxes) == 4
    assert not boxes.requires_grad
    assert not scores.requires_grad
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
