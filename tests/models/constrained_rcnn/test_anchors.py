import torch

from doctored.models.constrained_rcnn.anchors import cell_anchors, grid_anchors, inside_picture

# The original's, last pixels included, for scales 8, 16, 32, 64.
PUBLISHED = [
    [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199], [-728, -376, 743, 391],
    [-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263], [-504, -504, 519, 519],
    [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359], [-344, -696, 359, 711],
]  # fmt: skip


def test_the_published_table():
    assert cell_anchors((8, 16, 32, 64), pixel_end=1.0).tolist() == PUBLISHED


def test_half_open_boxes_cover_the_same_pixels():
    end = torch.tensor([0, 0, 1, 1])
    assert torch.equal(cell_anchors((8, 16, 32, 64), pixel_end=0.0), torch.tensor(PUBLISHED) + end)


def test_ours_start_at_32_px():
    assert cell_anchors((2,), pixel_end=0.0).tolist() == [
        [-15, -4, 31, 20],
        [-8, -8, 24, 24],
        [-3, -14, 19, 30],
    ]


def test_the_grid_of_a_600_by_800_picture():
    anchors = grid_anchors(cell_anchors((8, 16, 32, 64), 1.0), (38, 50))
    assert anchors.shape == (22_800, 4)
    # Anchor 5 (square, 256 px) of row 3, column 7.
    x, y = 7 * 16, 3 * 16
    expected = [-120 + x, -120 + y, 135 + x, 135 + y]
    assert anchors[(3 * 50 + 7) * 12 + 5].tolist() == expected


def test_inside_counts_pixels_under_both_conventions():
    closed = torch.tensor([[0.0, 0, 9, 4], [0, 0, 10, 4], [0, 0, 9, 5], [-1, 0, 5, 4], [0, -1, 5, 4]])
    opened = closed + torch.tensor([0, 0, 1, 1])
    expected = [True, False, False, False, False]
    assert inside_picture(closed, (5, 10), 1.0).tolist() == expected
    assert inside_picture(opened, (5, 10), 0.0).tolist() == expected
