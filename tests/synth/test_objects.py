import cv2
import numpy as np

from doctored.synth.masks import outline_stencil
from doctored.synth.objects import find_objects
from synth.scenes import photo


def scene_with_things(scale):
    """A quiet ground with a red disc and a blue box on it, and the masks of the two."""
    ground = photo(3, (240 * scale, 320 * scale)) // 8 + 100
    drawn = np.zeros(ground.shape[:2], np.uint8)
    cv2.circle(drawn, (90 * scale, 80 * scale), 30 * scale, 1, cv2.FILLED)
    cv2.rectangle(drawn, (180 * scale, 120 * scale), (260 * scale, 190 * scale), 2, cv2.FILLED)
    ground[drawn == 1] = (200, 40, 50)
    ground[drawn == 2] = (40, 60, 190)
    return ground, [drawn == 1, drawn == 2]


def overlap(outline, truth):
    stencil = outline_stencil(outline)
    found = np.zeros(truth.shape, bool)
    top, left = stencil.home_yx
    found[top : top + stencil.shape.shape[0], left : left + stencil.shape.shape[1]] = stencil.shape
    return (found & truth).sum() / (found | truth).sum()


def test_things_are_found_where_they_are_at_any_size():
    for scale in (1, 3):
        pixels, truths = scene_with_things(scale)
        outlines = find_objects(pixels)
        for truth in truths:
            assert max(overlap(outline, truth) for outline in outlines) > 0.9


def test_the_same_pixels_give_the_same_outlines():
    pixels, _ = scene_with_things(1)
    first, again = find_objects(pixels), find_objects(pixels)
    assert len(first) == len(again)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_a_flat_or_tiny_picture_has_no_things():
    assert find_objects(np.full((100, 120, 3), 90, np.uint8)) == ()
    assert find_objects(photo(0, (12, 40))) == ()
