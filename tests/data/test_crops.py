from dataclasses import dataclass

import numpy as np

from doctored.core.sample import Sample
from doctored.data.crops import CropsInTurn, flipped, smaller_part

NO_BOXES = np.zeros((0, 4), np.int64)


@dataclass(frozen=True)
class Kept:
    sample: Sample

    @property
    def authentic(self):
        return self.sample.technique == "authentic"

    def read(self):
        return self.sample


def numbered(height, width):
    """A picture whose every pixel is another colour, so that a crop tells where it is from."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows ^ columns], axis=2).astype(np.uint8)


def forged(height=70, width=90, boxes=NO_BOXES, masked=True):
    mask = np.zeros((height, width), bool)
    mask[20:40, 50:80] = True
    ignore = np.zeros_like(mask)
    ignore[:10] = True
    return Kept(
        Sample(numbered(height, width), mask if masked else None, ignore, np.array(boxes), "splicing", "f")
    )


def authentic(height=70, width=90):
    nothing = np.zeros((height, width), bool)
    return Kept(Sample(numbered(height, width), nothing, None, NO_BOXES, "authentic", "a"))


def test_image_and_masks_are_cut_and_turned_together():
    crops = CropsInTurn([forged(), authentic()], 48, seed=0)
    turns = set()
    for number in range(24):
        sample = crops[number]
        assert sample.image.shape == (48, 48, 3)
        assert sample.technique == ("splicing", "authentic")[number % 2]
        rows, columns = sample.image[..., 0].astype(int), sample.image[..., 1].astype(int)
        turns.add((np.sign(rows[1, 0] - rows[0, 0]), np.sign(columns[0, 1] - columns[0, 0])))
        if number % 2 == 0:
            expected = (rows >= 20) & (rows < 40) & (columns >= 50) & (columns < 80)
            np.testing.assert_array_equal(sample.gt_mask, expected)
            np.testing.assert_array_equal(sample.ignore_mask, rows < 10)
            assert sample.gt_mask.any()
    assert len(turns) == 4


def test_boxes_follow_where_there_is_no_mask():
    crops = CropsInTurn([forged(boxes=[[50, 20, 80, 40]], masked=False)], 48, seed=1)
    for number in range(12):
        sample = crops[number]
        rows, columns = sample.image[..., 0].astype(int), sample.image[..., 1].astype(int)
        inside = (rows >= 20) & (rows < 40) & (columns >= 50) & (columns < 80)
        (box,) = sample.boxes_xyxy
        drawn = np.zeros((48, 48), bool)
        drawn[box[1] : box[3], box[0] : box[2]] = True
        np.testing.assert_array_equal(drawn, inside)


def test_a_side_shorter_than_the_crop_stays_whole():
    sample = CropsInTurn([authentic(height=30)], 48, seed=0)[0]
    assert sample.image.shape == (30, 48, 3)


def test_flipping_twice_gives_the_sample_back():
    before = forged(boxes=[[50, 20, 80, 40]]).sample
    for seed in range(4):
        once = flipped(before, np.random.default_rng(seed))
        twice = flipped(once, np.random.default_rng(seed))
        np.testing.assert_array_equal(twice.image, before.image)
        np.testing.assert_array_equal(twice.gt_mask, before.gt_mask)
        np.testing.assert_array_equal(twice.boxes_xyxy, before.boxes_xyxy)


def test_the_smaller_part_counts():
    mask = np.zeros((4, 5), bool)
    mask[0] = True
    np.testing.assert_array_equal(smaller_part(mask), mask)
    np.testing.assert_array_equal(smaller_part(~mask), mask)
