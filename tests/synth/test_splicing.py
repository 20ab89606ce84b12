import numpy as np

from doctored.synth.splicing import splice
from synth.scenes import SIDE_PX, box, photo, scene


def numbered():
    """Blue tells donor from canvas; red and green say where a pixel of the donor was."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX))
    return np.dstack((rows, columns, np.full_like(rows, 255))).astype(np.uint8)


def test_a_lossless_splice_is_made_of_the_donors_own_pixels():
    canvas = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    for seed in range(10):
        composite = splice(scene("lossless", canvas=canvas, donor=numbered()), np.random.default_rng(seed))
        np.testing.assert_array_equal(composite.image[..., 2] == 255, composite.gt_mask)
        # Each of them once: nothing is mirrored at the donor's end.
        pasted = composite.image[composite.gt_mask]
        assert len(np.unique(pasted, axis=0)) == len(pasted)


def test_an_object_is_pasted_whole_and_moved_with_its_outline():
    canvas = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    flipped = []
    for seed in range(20):
        before = scene("lossless", outline=box(20, 30, 59, 49), canvas=canvas, donor=numbered())
        composite = splice(before, np.random.default_rng(seed))
        rows, columns = composite.image[composite.gt_mask][:, :2].T
        assert rows.min() >= 30
        assert rows.max() <= 49
        assert columns.min() >= 20
        assert columns.max() <= 59
        flipped.append(composite.choices["flipped"])
        on_one_row = composite.image[composite.gt_mask.any(axis=1)][0][:, 1].astype(int)
        steps = np.diff(on_one_row[on_one_row > 0])
        assert set(steps) <= {-1 if flipped[-1] else 1}
    assert 0 < sum(flipped) < 20


def test_colours_come_closer_to_those_of_the_canvas():
    canvas, donor = np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8), photo(1, (SIDE_PX, SIDE_PX)) // 4 + 160
    donor[..., 2] //= 2
    adapted = 0
    for seed in range(20):
        composite = splice(scene("web", canvas=canvas, donor=donor), np.random.default_rng(seed))
        distance = np.abs(composite.image[composite.gt_mask].mean(axis=0) - 90).mean()
        plain = np.abs(donor.mean(axis=(0, 1)) - 90).mean()
        if composite.choices["colour_adaptation"] > 0.4:
            adapted += 1
            assert distance < 0.85 * plain
    assert adapted > 3
