import math

import pytest
import torch

from doctored.metrics.boxes import box_iou as metric_iou
from doctored.models.constrained_rcnn.boxes import LARGEST_LOG_SCALE, clip, decode, encode, iou, suppress


def _random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 60
    return torch.cat([corners[:, :2], corners[:, :2] + 1 + corners[:, 2:] / 2], dim=1).round()


def test_overlap_by_hand():
    a, b = torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([[5.0, 0, 14, 9]])
    assert iou(a, b, pixel_end=1.0).item() == pytest.approx(50 / 150)  # 10 x 10 px each, 5 columns shared
    assert iou(a, b, pixel_end=0.0).item() == pytest.approx(36 / 126)  # 9 x 9 px each, 4 columns shared


@pytest.mark.parametrize("pixel_end", [0.0, 1.0])
def test_overlap_equals_the_metric(pixel_end: float):
    a, b = _random_boxes(20, 0), _random_boxes(15, 1)
    expected = torch.from_numpy(metric_iou(a.numpy(), b.numpy(), inclusive_pixels=pixel_end == 1))
    torch.testing.assert_close(iou(a, b, pixel_end).double(), expected, rtol=1e-5, atol=1e-7)


def test_a_box_without_area_overlaps_nothing():
    empty = torch.tensor([[3.0, 3, 3, 3]])
    assert iou(empty, empty, pixel_end=0.0).item() == 0


@pytest.mark.parametrize("pixel_end", [0.0, 1.0])
def test_suppression_equals_a_slow_loop(pixel_end: float):
    boxes = _random_boxes(60, 2)
    scores = torch.rand(60, generator=torch.Generator().manual_seed(3))
    overlaps = metric_iou(boxes.numpy(), boxes.numpy(), inclusive_pixels=pixel_end == 1)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if all(overlaps[index, other] <= 0.3 for other in kept):
            kept.append(index)
    assert suppress(boxes, scores, 0.3, pixel_end).tolist() == kept
    assert len(kept) < 60


def test_an_overlap_of_just_the_limit_stays_and_groups_leave_each_other_alone():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress(boxes, scores, 0.5, 0.0).tolist() == [0, 1]
    assert suppress(boxes, scores, 0.49, 0.0).tolist() == [0]
    assert suppress(boxes, scores, 0.49, 0.0, torch.tensor([1, 1, 2])).tolist() == [0, 2]


def test_deltas_by_hand():
    reference = torch.tensor([[10.0, 20, 29, 59]])  # inclusive: 20 x 40 px around (20, 40)
    box = torch.tensor([[15.0, 40, 34, 59]])  # 20 x 20 px around (25, 50)
    expected = torch.tensor([[0.25, 0.25, 0, math.log(0.5)]])
    torch.testing.assert_close(encode(box, reference, pixel_end=1.0), expected)
    # Right and bottom of the original's decoder come out one pixel further.
    torch.testing.assert_close(decode(expected, reference, pixel_end=1.0), torch.tensor([[15.0, 40, 35, 60]]))


def test_decoding_undoes_encoding():
    boxes, references = _random_boxes(30, 4), _random_boxes(30, 5)
    torch.testing.assert_close(decode(encode(boxes, references, 0.0), references, 0.0), boxes)


def test_growth_is_limited_on_demand():
    reference, deltas = torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([[0.0, 0, 6, 1]])
    limited = decode(deltas, reference, 0.0, LARGEST_LOG_SCALE)
    width, height = (limited[0, 2:] - limited[0, :2]).tolist()
    assert width == pytest.approx(1000)
    assert height == pytest.approx(16 * math.e)
    free = decode(deltas, reference, 0.0)
    assert (free[0, 2] - free[0, 0]).item() == pytest.approx(16 * math.exp(6), rel=1e-5)


def test_clipping_ends_at_the_last_pixel_or_just_outside():
    box = torch.tensor([[-3.0, 2, 50, 60]])
    assert clip(box, (20, 30), 0.0).tolist() == [[0, 2, 30, 20]]
    assert clip(box, (20, 30), 1.0).tolist() == [[0, 2, 29, 19]]
