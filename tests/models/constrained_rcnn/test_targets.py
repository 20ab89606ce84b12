import pytest
import torch

from doctored.metrics.boxes import box_iou as metric_iou
from doctored.models.constrained_rcnn.anchors import cell_anchors, grid_anchors, inside_picture
from doctored.models.constrained_rcnn.boxes import encode
from doctored.models.constrained_rcnn.targets import label_anchors, on_ignored, sample_anchors, sample_rois

TRUE_BOXES = torch.tensor([[10.0, 12, 60, 60], [70, 20, 88, 40], [30, 70, 110, 90]])


@pytest.mark.parametrize("pixel_end", [0.0, 1.0])
def test_anchor_labels_equal_a_slow_loop(pixel_end: float):
    anchors = grid_anchors(cell_anchors((1, 2, 3), pixel_end), (6, 8))
    usable = inside_picture(anchors, (96, 128), pixel_end)
    overlaps = metric_iou(anchors.numpy(), TRUE_BOXES.numpy(), inclusive_pixels=pixel_end == 1)
    best_of_box = overlaps[usable.numpy()].max(axis=0)
    targets = label_anchors(anchors, TRUE_BOXES, usable, pixel_end)
    seen = set()
    for index, overlap in enumerate(overlaps):
        if not usable[index]:
            expected = -1
        elif overlap.max() >= 0.7 or (abs(overlap - best_of_box) < 1e-6).any():
            expected = 1
        else:
            expected = 0 if overlap.max() < 0.3 else -1
        assert targets.labels[index] == expected
        if expected == 1:
            seen.add(int(overlap.argmax()))
            box = TRUE_BOXES[int(overlap.argmax())][None]
            torch.testing.assert_close(targets.deltas[index], encode(box, anchors[index][None], pixel_end)[0])
    assert seen == {0, 1, 2}


def test_ties_for_a_box_are_all_positive_but_no_overlap_is_not_a_tie():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [40, 40, 50, 50]])
    usable = torch.ones(3, dtype=torch.bool)
    between = torch.tensor([[5.0, 0, 15, 10]])
    assert label_anchors(anchors, between, usable, 0.0).labels.tolist() == [1, 1, 0]
    far = torch.tensor([[80.0, 80, 90, 90]])
    assert label_anchors(anchors, far, usable, 0.0).labels.tolist() == [0, 0, 0]


def test_anchors_of_an_authentic_picture_are_negative():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10]])
    targets = label_anchors(anchors, torch.zeros(0, 4), torch.tensor([True, False]), 0.0)
    assert targets.labels.tolist() == [0, -1]
    assert targets.deltas.tolist() == [[0] * 4] * 2


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [(500, 500, (128, 128)), (10, 500, (10, 246)), (500, 10, (128, 10)), (0, 500, (0, 256)), (3, 4, (3, 4))],
)
def test_counts_of_sampled_anchors(positive: int, negative: int, expected: tuple[int, int]):
    torch.manual_seed(0)
    labels = torch.cat([torch.ones(positive), torch.zeros(negative), -torch.ones(7)]).long()
    sampled = sample_anchors(labels, 256)
    assert ((sampled == 1).sum(), (sampled == 0).sum()) == expected
    kept = sampled != -1
    assert torch.equal(sampled[kept], labels[kept])


def test_every_anchor_has_its_chance():
    torch.manual_seed(0)
    labels = torch.zeros(20, dtype=torch.int64)
    counts = sum((sample_anchors(labels, 5) == 0).int() for _ in range(400))
    assert counts.min() > 60  # 100 expected
    assert counts.max() < 140


def _proposals(foreground: int, background: int) -> torch.Tensor:
    near = torch.tensor([10.0, 10, 50, 50]).repeat(foreground, 1) + torch.arange(foreground)[:, None] % 7
    far = torch.tensor([60.0, 60, 80, 80]).repeat(background, 1) + torch.arange(background)[:, None] % 7
    return torch.cat([near, far])


@pytest.mark.parametrize(
    ("foreground", "background", "expected"),
    [
        (100, 300, 64),
        (10, 300, 10),
        (100, 20, 64),
        (0, 300, 0),
        (5, 0, 256),
        (300, 0, 256),
        (0, 3, 0),
        (2, 2, 2),
    ],
)
def test_counts_of_sampled_rois(foreground: int, background: int, expected: int):
    torch.manual_seed(0)
    true_boxes, true_labels = torch.tensor([[10.0, 10, 50, 50]]), torch.tensor([3])
    targets = sample_rois(_proposals(foreground, background), true_boxes, true_labels, 256, 0.0)
    assert targets.rois.shape == (256, 4)
    assert targets.labels.tolist() == [3] * expected + [0] * (256 - expected)
    assert (targets.rois[:expected, 0] < 30).all()
    assert (targets.rois[expected:, 0] >= 60).all()


def test_rois_come_once_where_there_are_enough():
    torch.manual_seed(0)
    proposals = torch.cat([torch.arange(40.0).repeat(4, 1).T[:, :2], torch.full((40, 2), 100.0)], dim=1)
    targets = sample_rois(proposals, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 32, 0.0)
    assert len(targets.rois.unique(dim=0)) == 32


@pytest.mark.parametrize("pixel_end", [0.0, 1.0])
def test_box_targets_are_in_units_of_their_deviations(pixel_end: float):
    true_boxes = torch.tensor([[200.0, 0, 240, 40], [10, 10, 50 - pixel_end, 50 - pixel_end]])
    roi = torch.tensor([[14.0, 8, 54 - pixel_end, 58 - pixel_end]])  # 40 x 50 px around (34, 33)
    targets = sample_rois(roi, true_boxes, torch.tensor([1, 2]), 4, pixel_end)
    expected = torch.tensor([-4 / 40 / 0.1, -3 / 50 / 0.1, 0, torch.log(torch.tensor(0.8)) / 0.2])
    assert targets.labels.tolist() == [2] * 4
    torch.testing.assert_close(targets.deltas, expected.expand(4, 4))


def test_an_authentic_picture_gives_background_only():
    torch.manual_seed(0)
    targets = sample_rois(_proposals(5, 5), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 16, 0.0)
    assert targets.labels.tolist() == [0] * 16
    assert not targets.deltas.any()


def test_what_lies_on_an_ignored_region_by_hand():
    ignored = torch.tensor([[10.0, 10, 30, 30], [0, 0, 0, 0]])
    boxes = torch.tensor(
        [
            [10.0, 10, 30, 30],  # the same
            [12, 12, 20, 20],  # a part of it, IoU .16
            [25, 10, 35, 30],  # half of it inside, IoU .2
            [27, 10, 37, 30],  # 30 % of it inside, IoU .11
            [0, 0, 36, 36],  # around it, IoU .31
            [0, 0, 40, 40],  # around it, IoU .25
            [50, 50, 60, 60],
        ]
    )
    expected = [True, True, True, False, True, False, False]
    assert on_ignored(boxes, ignored, 0.0).tolist() == expected
    inclusive = torch.tensor([0.0, 0, 1, 1])
    assert on_ignored(boxes - inclusive, ignored[:1] - inclusive, 1.0).tolist() == expected


def test_ignored_anchors_are_neither_negative_nor_positive_unless_on_a_true_box():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    usable, ignored = torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])
    assert label_anchors(anchors, torch.zeros(0, 4), usable, 0.0, ignored).labels.tolist() == [-1, -1, 0]
    true_box = torch.tensor([[0.0, 0, 10, 11]])
    assert label_anchors(anchors, true_box, usable, 0.0, ignored).labels.tolist() == [1, -1, 0]


def test_ignored_proposals_are_no_background():
    proposals = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    ignored = torch.tensor([True, True, False])
    nothing, no_labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    drawn = sample_rois(proposals, nothing, no_labels, 16, 0.0, ignored)
    assert drawn.rois.unique(dim=0).tolist() == [[40, 0, 50, 10]]
    true_box, label = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([2])
    drawn = sample_rois(proposals, true_box, label, 16, 0.0, ignored)
    assert drawn.labels.tolist() == [2] + [0] * 15
    assert (drawn.rois[1:, 0] == 40).all()
    # Where nothing else is left, the count is kept.
    drawn = sample_rois(proposals[:2], nothing, no_labels, 16, 0.0, ignored[:2])
    assert drawn.labels.tolist() == [0] * 16
