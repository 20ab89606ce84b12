import cv2
import numpy as np
import pytest

from doctored.core.forgery import TECHNIQUES, Source
from doctored.core.sample import Sample
from doctored.data.forgery_stream import ForgeryStream
from doctored.data.region_samples import (
    Disturbance,
    GeneratedSamples,
    RegionSamples,
    label_of,
    regions_of,
)

NO_BOXES = np.zeros((0, 4), np.int64)


def sample(gt_mask, ignore_mask=None, technique="copy_move", boxes=NO_BOXES):
    shape = (96, 128) if gt_mask is None else gt_mask.shape
    pixels = np.full((*shape, 3), 120, np.uint8)
    return Sample(pixels, gt_mask, ignore_mask, np.array(boxes, np.int64), technique, "x")


def test_regions_by_hand():
    mask = np.zeros((96, 128), bool)
    mask[10:30, 20:50] = True  # one part
    mask[30:40, 50:60] = True  # touches it at a corner, so it is the same part
    mask[60:68, 100:108] = True  # just large enough
    mask[80:87, 0:30] = True  # too flat
    ignore = np.zeros_like(mask)
    ignore[50:70, 10:30] = True
    regions = regions_of(sample(mask, ignore))
    assert regions.boxes_xyxy.tolist() == [[20, 10, 60, 40], [100, 60, 108, 68]]
    assert regions.ignored_boxes_xyxy.tolist() == [[10, 50, 30, 70], [0, 80, 30, 87]]


def test_the_largest_eight_count_and_the_rest_is_neither():
    mask = np.zeros((96, 128), bool)
    for number in range(10):
        top, left = 40 * (number // 5), 25 * (number % 5)
        mask[top : top + 9 + number, left : left + 10] = True
    regions = regions_of(sample(mask))
    assert (regions.boxes_xyxy[:, 3] - regions.boxes_xyxy[:, 1]).tolist() == [*range(18, 10, -1)]
    assert (regions.ignored_boxes_xyxy[:, 3] - regions.ignored_boxes_xyxy[:, 1]).tolist() == [10, 9]


def test_boxes_stand_where_a_set_has_no_masks():
    regions = regions_of(sample(None, boxes=[[0, 0, 20, 20], [10, 10, 90, 80], [3, 3, 5, 50]]))
    assert regions.boxes_xyxy.tolist() == [[10, 10, 90, 80], [0, 0, 20, 20]]
    assert regions.ignored_boxes_xyxy.tolist() == [[3, 3, 5, 50]]
    image, gt_mask, has_mask, *_ = RegionSamples(
        [sample(None, boxes=[[0, 0, 20, 20]])], TECHNIQUES, Disturbance(), 0
    )[0]
    assert gt_mask.shape == image.shape[:2]
    assert not has_mask


def test_arrays_have_one_size_whatever_is_in_the_picture():
    mask = np.zeros((96, 128), bool)
    mask[10:30, 20:50] = True
    nothing = np.zeros_like(mask)
    samples = RegionSamples(
        [sample(mask), sample(nothing, technique="authentic")], TECHNIQUES, Disturbance(), 0
    )
    for forged, authentic in zip(samples[0], samples[1], strict=True):
        assert np.shape(forged) == np.shape(authentic)
    assert samples[0][5].tolist() == [2] + [0] * 7
    assert not samples[1][4].any()
    assert not samples[1][5].any()
    assert samples[1][2]


def test_labels():
    assert [label_of(name, TECHNIQUES) for name in TECHNIQUES] == [0, 1, 2, 3, 4]
    two = ("authentic", "manipulated")
    assert [label_of(name, two) for name in ("authentic", "removal", "manipulated")] == [0, 1, 1]


@pytest.mark.parametrize("where", ["whole", "boxes"])
def test_noise(where):
    mask = np.zeros((96, 128), bool)
    mask[10:60, 20:90] = True
    image, *_ = RegionSamples([sample(mask)], TECHNIQUES, Disturbance(where, noise_share=1.0), 0)[0]
    difference = image.astype(float) - 120
    outside = np.ones_like(mask)
    outside[10:60, 20:90] = where == "boxes"
    assert difference[10:60, 20:90].std() == pytest.approx(5**0.5, rel=0.1)
    if where == "boxes":
        assert not difference[~mask].any()
    else:
        assert difference[~mask].std() == pytest.approx(5**0.5, rel=0.1)


def test_saving_once_more_is_one_jpeg_of_the_whole_picture():
    rng = np.random.default_rng(0)
    picture = sample(np.zeros((96, 128), bool), technique="authentic")
    picture.image[:] = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (128, 96))
    samples = RegionSamples([picture], TECHNIQUES, Disturbance(jpeg_share=1.0), 0)
    saved = samples[0][0]
    possible = []
    for quality in range(60, 96):
        _, file = cv2.imencode(".jpg", picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        possible.append(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1])
    assert any(np.array_equal(saved, once) for once in possible)
    np.testing.assert_array_equal(samples[0][0], saved)


def test_a_filter_is_one_of_ten_over_the_whole_picture():
    picture = sample(np.zeros((96, 128), bool), technique="authentic")
    picture.image[:] = np.random.default_rng(0).integers(0, 255, picture.image.shape, np.uint8)
    samples = RegionSamples([picture] * 80, TECHNIQUES, Disturbance(filter_share=1.0), 0)
    possible = [cv2.medianBlur(picture.image, side) for side in (3, 5, 7)]
    possible += [cv2.GaussianBlur(picture.image, (side, side), 0) for side in (3, 5, 7, 9, 11, 15, 19)]
    drawn = [
        [number for number, one in enumerate(possible) if np.array_equal(one, samples[n][0])]
        for n in range(80)
    ]
    assert sorted({number for (number,) in drawn}) == list(range(10))


def test_generated_forgeries_keep_what_a_copy_move_copied_apart():
    rng = np.random.default_rng(0)
    photographs = [
        Source(str(n), "", np.kron(rng.integers(0, 255, (10, 10, 3)), np.ones((32, 32, 1))).astype(np.uint8))
        for n in range(2)
    ]
    stream = ForgeryStream(photographs, 96, 0, {"copy_move": 1.0})
    flips = GeneratedSamples(stream)
    straight = GeneratedSamples(stream, flip=False)
    for number in range(4):
        forgery = stream[number]
        kept = straight[number]
        np.testing.assert_array_equal(kept.image, forgery.image)
        np.testing.assert_array_equal(kept.ignore_mask, forgery.source_mask)
        assert kept.technique == "copy_move"
        assert flips[number].gt_mask.sum() == forgery.gt_mask.sum()
    assert any(not np.array_equal(flips[n].gt_mask, straight[n].gt_mask) for n in range(4))


def test_some_forgeries_are_made_large_and_halved():
    rng = np.random.default_rng(0)
    photographs = [
        Source(str(n), "", np.kron(rng.integers(0, 255, (20, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8))
        for n in range(2)
    ]
    small, large = (ForgeryStream(photographs, size, 0, {"copy_move": 1.0}) for size in (96, 192))
    mixed = GeneratedSamples(small, flip=False, large=large, halved_share=0.5)
    halved = 0
    for number in range(12):
        sample = mixed[number]
        assert sample.image.shape == (96, 96, 3)
        if np.array_equal(sample.image, small[number].image):
            np.testing.assert_array_equal(sample.gt_mask, small[number].gt_mask)
            continue
        halved += 1
        forgery = large[number]
        for row, column in ((0, 0), (40, 17), (95, 95)):
            block = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert np.abs(sample.image[row, column] - forgery.image[block].mean(axis=(0, 1))).max() <= 1
        means = [
            mask[0::2, 0::2].astype(float) + mask[1::2, 0::2] + mask[0::2, 1::2] + mask[1::2, 1::2]
            for mask in (forgery.gt_mask, forgery.ignore_mask)
        ]
        np.testing.assert_array_equal(sample.gt_mask, means[0] >= 2)
        np.testing.assert_array_equal(sample.ignore_mask, means[1] >= 2)
    assert 2 <= halved <= 10
