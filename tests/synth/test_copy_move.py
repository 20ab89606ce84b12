import numpy as np

from doctored.synth.copy_move import copy_move
from synth.scenes import SIDE_PX, box, scene


def test_a_plain_copy_shows_its_source_pixel_by_pixel():
    rows, columns = np.indices((SIDE_PX, SIDE_PX))
    canvas = np.dstack((rows, columns, rows ^ columns)).astype(np.uint8)
    plain = 0
    for seed in range(60):
        composite = copy_move(scene("lossless", canvas=canvas), np.random.default_rng(seed))
        if composite.choices["retouches"]:
            continue
        plain += 1
        source_y, source_x = composite.image[composite.gt_mask][:, :2].T.astype(int)
        on_source = composite.source_mask[source_y, source_x] | composite.gt_mask[source_y, source_x]
        # but for what was mirrored in from outside the canvas
        assert on_source.mean() > 0.85
        assert composite.source_mask.sum() <= composite.gt_mask.sum()
    assert 1 <= plain < 0.2 * 60


def test_copy_moves_find_a_source_beside_the_target():
    overlaps = []
    for seed in range(40):
        composite = copy_move(scene("web", seed), np.random.default_rng(seed))
        overlaps.append(1 - composite.source_mask.sum() / composite.gt_mask.sum())
    assert np.median(overlaps) < 0.4


def test_an_object_is_copied_from_where_it_is():
    at_home = 0
    for seed in range(30):
        composite = copy_move(scene("lossless", seed, box(10, 12, 40, 36)), np.random.default_rng(seed))
        rows, columns = np.nonzero(composite.source_mask)
        at_home += len(rows) > 0 and rows.min() >= 12 and rows.max() <= 37 and columns.min() >= 9
    assert at_home > 15
