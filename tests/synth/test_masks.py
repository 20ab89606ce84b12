import cv2
import numpy as np
import pytest

from doctored.synth.masks import (
    FREE_SHAPES,
    MIN_VISIBLE_FRACTION,
    Window,
    bounding_box,
    free_stencil,
    outline_area_px,
    outline_extent_px,
    outline_stencil,
    place,
)

CANVAS_HW = (80, 80)
WINDOW = Window(7, 9, 71, 73)


def block_means(coverage, blocks=4):
    return coverage.reshape(blocks, coverage.shape[0] // blocks, blocks, -1).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", FREE_SHAPES)
def test_a_free_shape_has_the_area_asked_for_and_fills_its_box(kind):
    rng = np.random.default_rng(0)
    for area_px in (300, 3000):
        for _ in range(20):
            stencil = free_stencil(rng, area_px, 10_000, [kind])
            assert stencil.kind == kind
            assert stencil.home_yx is None
            assert stencil.shape.sum() == pytest.approx(area_px, rel=0.25)
            assert stencil.shape[0].any()
            assert stencil.shape[-1].any()
            assert stencil.shape[:, 0].any()
            assert stencil.shape[:, -1].any()


@pytest.mark.parametrize("kind", FREE_SHAPES)
def test_a_free_shape_is_never_empty_nor_larger_than_allowed(kind):
    rng = np.random.default_rng(1)
    for max_side_px in (1, 2, 5, 30):
        stencil = free_stencil(rng, 900, max_side_px, [kind])
        assert max(stencil.shape.shape) <= max_side_px
        assert stencil.shape.any()


def test_a_polygon_is_convex_and_strokes_are_thin():
    rng = np.random.default_rng(2)
    for _ in range(10):
        polygon = free_stencil(rng, 4000, 10_000, ["polygon"]).shape.astype(np.uint8)
        (outline,), _ = cv2.findContours(polygon, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert cv2.contourArea(outline) > 0.93 * cv2.contourArea(cv2.convexHull(outline))
        lines = free_stencil(rng, 4000, 10_000, ["lines"]).shape.astype(np.uint8)
        # half the width of the widest place, crossings included, against that of a disc of this area (36 px)
        assert cv2.distanceTransform(lines, cv2.DIST_L2, 5).max() < 20


def test_an_outline_becomes_the_shape_that_it_surrounds():
    canvas = np.zeros((60, 80), np.uint8)
    cv2.ellipse(canvas, (40, 30), (25, 12), 30, 0, 360, 1, cv2.FILLED)
    (outline,), _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    stencil = outline_stencil((outline[:, 0],))
    top, left = stencil.home_yx
    height, width = stencil.shape.shape
    np.testing.assert_array_equal(canvas[top : top + height, left : left + width] > 0, stencil.shape)
    assert stencil.shape.sum() == canvas.sum()
    assert outline_extent_px((outline[:, 0],)) == max(height, width)
    assert outline_area_px((outline[:, 0],)) == pytest.approx(canvas.sum(), rel=0.1)
    np.testing.assert_array_equal(stencil.mirrored().shape, stencil.shape[:, ::-1])


def test_a_placed_stencil_is_seen_enough_and_drawn_where_it_says():
    rng = np.random.default_rng(3)
    for _ in range(300):
        stencil = free_stencil(rng, rng.uniform(30, 1500), 64)
        mask, (top, left) = place(stencil, CANVAS_HW, WINDOW, rng)
        visible = mask[WINDOW.top : WINDOW.bottom, WINDOW.left : WINDOW.right].sum()
        assert visible >= min(MIN_VISIBLE_FRACTION * WINDOW.area_px, stencil.shape.sum() / 2)
        expected = np.zeros((240, 240), bool)
        expected[
            80 + top : 80 + top + stencil.shape.shape[0], 80 + left : 80 + left + stencil.shape.shape[1]
        ] = stencil.shape
        np.testing.assert_array_equal(mask, expected[80:160, 80:160])


def test_no_place_is_favoured():
    rng = np.random.default_rng(5)
    window = Window(0, 0, 64, 64)
    coverage = np.zeros((64, 64))
    count = 8000
    for _ in range(count):
        stencil = free_stencil(rng, rng.uniform(0.02, 0.15) * window.area_px, 64, ["polygon", "holes"])
        coverage += place(stencil, (64, 64), window, rng)[0]
    blocks = block_means(coverage / count, blocks=8)
    inner = blocks[1:-1, 1:-1]
    np.testing.assert_allclose(inner / inner.mean(), 1, atol=0.1)
    # One of which hardly anything would be seen is not placed, so the border gets less.
    assert (blocks / inner.mean()).min() > 0.5


def test_bounding_box_by_hand():
    mask = np.zeros((6, 9), bool)
    mask[2, 4] = mask[3, 7] = True
    assert bounding_box(mask) == (slice(2, 4), slice(4, 8))
    assert bounding_box(mask, 3) == (slice(0, 6), slice(1, 9))
