import numpy as np
import pytest
import torch
import torch.nn.functional as F

from doctored.models.constrained_rcnn import paste
from doctored.models.constrained_rcnn.paste import localization_map, paste_masks, roi_votes
from doctored.models.constrained_rcnn.roi import mask_targets

ONES = np.ones((1, 14, 14), np.float32)


def _boxes(*boxes: list[float]) -> np.ndarray:
    return np.array(boxes, np.float32)


@pytest.mark.parametrize("band_px", [1, 100, 1 << 20])
def test_pasting_into_whole_pixels_is_bilinear_resizing(band_px: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paste, "_BAND_PX", band_px)
    masks = np.random.default_rng(2).random((1, 14, 14), np.float32)
    for width, height in ((30, 21), (5, 40), (14, 14)):
        pasted = paste_masks(masks, _boxes([3.0, 2, 3 + width, 2 + height]), (50, 50))
        assert pasted.dtype == np.float32
        expected = F.interpolate(
            torch.from_numpy(masks)[None], (height, width), mode="bilinear", align_corners=False
        )
        np.testing.assert_allclose(pasted[2 : 2 + height, 3 : 3 + width], expected[0, 0], atol=1e-6)
        pasted[2 : 2 + height, 3 : 3 + width] = 0
        assert not pasted.any()


def test_pasting_between_pixels_is_sampling_at_their_middles():
    masks = np.random.default_rng(3).random((1, 14, 14), np.float32)
    left, top, right, bottom = 2.3, 1.8, 25.1, 30.6
    pasted = paste_masks(masks, _boxes([left, top, right, bottom]), (40, 30))
    x, y = 11, 17
    point = [(x + 0.5 - left) / (right - left) * 2 - 1, (y + 0.5 - top) / (bottom - top) * 2 - 1]
    expected = F.grid_sample(
        torch.from_numpy(masks)[None], torch.tensor([[[point]]]), padding_mode="border", align_corners=False
    )
    assert pasted[y, x] == pytest.approx(expected.item(), abs=1e-6)


def test_overlapping_masks_give_their_maximum():
    masks = np.array([0.3, 0.8, 0.5], np.float32).reshape(3, 1, 1) * ONES
    pasted = paste_masks(masks, _boxes([0.0, 0, 20, 20], [10, 10, 30, 30], [12, 12, 14, 40]), (40, 30))
    assert pasted[5, 5] == pytest.approx(0.3)
    assert pasted[15, 13] == pytest.approx(0.8)
    assert pasted[35, 13] == pytest.approx(0.5)
    assert pasted[35, 20] == 0


def test_a_pixel_belongs_to_a_box_by_its_middle():
    pasted = paste_masks(ONES, _boxes([1.5, 0.6, 3.4, 9.0]), (4, 6))
    expected = np.zeros((4, 6))
    expected[1:, 1:3] = 1
    assert np.array_equal(pasted, expected)


@pytest.mark.parametrize("box", [[3, 3, 3, 9], [3, 9, 8, 2], [3.6, 3, 4.4, 9], [-9, 0, -2, 5]])
def test_boxes_that_hold_no_pixel_leave_nothing(box: list[float]):
    assert not paste_masks(ONES, _boxes(box), (20, 20)).any()


def test_half_pixel_masks_come_back_where_they_were():
    """Target and paste disagree by half a pixel in the original."""
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[16:44, 20:48] = True
    box = torch.tensor([[8.0, 8, 64, 64]])
    targets = mask_targets(mask, box, compat=False)
    pasted = paste_masks(targets.numpy(), box.numpy(), (64, 64)) > 0.5
    assert np.array_equal(pasted[30], mask[30])
    assert np.array_equal(pasted[:, 30], mask[:, 30])
    assert (pasted ^ mask.numpy()).sum() <= 4 * 4  # the corners come back rounded


def test_maps_weigh_votes_by_masks_and_scores_by_hand():
    scores, votes = np.array([0.25], np.float32), np.full((8, 8), 2, np.float32)
    votes[7] = 0
    ours = localization_map(ONES, _boxes([1.6, 1.6, 5, 5]), scores, votes, compat=False)
    assert ours[3, 3] == pytest.approx(1 - np.exp(-2 * (0.25 + 0.05)))
    assert ours[1, 1] == pytest.approx(1 - np.exp(-2 * 0.05))
    assert not ours[7].any()


def test_the_map_of_a_large_picture_made_in_bands_is_that_made_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paste, "_BAND_PX", 3 * 50)  # three rows
    rng = np.random.default_rng(5)
    masks, scores = rng.random((2, 14, 14), np.float32), np.array([0.9, 0.4], np.float32)
    boxes, votes = _boxes([1.6, -3.2, 38.1, 29.9], [20, 11.5, 49, 40.5]), rng.random((41, 50), np.float32)
    expected = 1 - np.exp(-votes * (paste_masks(masks * scores[:, None, None], boxes, (41, 50)) + 0.05))
    found = localization_map(masks, boxes, scores, votes, compat=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_originals_map_is_its_masks_alone():
    scores, votes = np.array([0.25], np.float32), np.zeros((8, 8), np.float32)
    original = localization_map(ONES, _boxes([1.6, 1.6, 5, 5]), scores, votes, compat=True)
    assert original[3, 3] == original[1, 1] == pytest.approx(1)


def test_votes_add_up_the_probabilities_of_what_covers_a_pixel():
    rois, logits = _boxes([0.5, 0, 4, 3], [2, 1, 6.2, 9]), np.log(np.array([3, 1 / 3], np.float32))
    votes = roi_votes(rois, logits, (5, 8))
    expected = np.zeros((5, 8))
    expected[0:3, 0:4] += 0.75
    expected[1:5, 2:7] += 0.25
    np.testing.assert_allclose(votes, expected, rtol=1e-6)
    assert roi_votes(_boxes([3, 3, 3, 3]), np.zeros(1, np.float32), (5, 8)).sum() == 0.5


def test_maps_do_not_exceed_one():
    """Sums of rounded weights do, and a result whose map does is refused."""
    pasted = paste_masks(
        np.repeat(ONES, 2, axis=0), _boxes([100, 200, 160, 300], [1010, 1000, 1190, 1190]), (1900, 2600)
    )
    assert pasted.max() == 1
