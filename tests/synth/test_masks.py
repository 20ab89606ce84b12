import cv2
import numpy as np
import pytest

from doctored.synth.masks import (
    FREE_SHAPES,
    MIN_VISIBLE_FRACTION,
    Stencil,
    Window,
    bounding_box,
    free_stencil,
    place,
    place_wrapped,
    segment_stencil,
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


def test_a_segment_is_the_disc_in_the_picture():
    picture = np.full((120, 160, 3), (40, 90, 60), np.uint8)
    cv2.circle(picture, (100, 50), 20, (220, 60, 60), cv2.FILLED)
    truth = (picture == (220, 60, 60)).all(axis=2)
    rng = np.random.default_rng(0)
    found = [segment_stencil(picture, rng, 800, 2000) for _ in range(30)]
    stencils = [stencil for stencil in found if stencil is not None]
    assert len(stencils) > 3
    for stencil in stencils:
        grown = np.zeros(truth.shape, bool)
        top, left = stencil.home_yx
        grown[top : top + stencil.shape.shape[0], left : left + stencil.shape.shape[1]] = stencil.shape
        assert (grown & truth).sum() / (grown | truth).sum() > 0.95


def test_a_picture_without_outlines_has_no_segment():
    assert segment_stencil(np.full((60, 60, 3), 90, np.uint8), np.random.default_rng(0), 50, 500) is None


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


def test_a_wrapped_stencil_is_seen_whole_and_repeats_outside():
    rng = np.random.default_rng(4)
    stencil = Stencil(rng.random((20, 50)) < 0.5, "noise")
    for _ in range(20):
        mask = place_wrapped(stencil, CANVAS_HW, WINDOW, rng)
        assert mask[WINDOW.top : WINDOW.bottom, WINDOW.left : WINDOW.right].sum() == stencil.shape.sum()
        np.testing.assert_array_equal(mask[:16], mask[64:])
        np.testing.assert_array_equal(mask[:, :16], mask[:, 64:])


@pytest.mark.parametrize("wrapped", [True, False])
def test_no_place_is_favoured(wrapped):
    rng = np.random.default_rng(5)
    window = Window(0, 0, 64, 64)
    coverage = np.zeros((64, 64))
    count = 8000
    for _ in range(count):
        stencil = free_stencil(rng, rng.uniform(0.02, 0.15) * window.area_px, 64, ["polygon", "holes"])
        coverage += (
            place_wrapped(stencil, (64, 64), window, rng)
            if wrapped
            else place(stencil, (64, 64), window, rng)[0]
        )
    blocks = block_means(coverage / count)
    # All sixteen blocks of a wrapped mask; one in one piece is rarer where it would hardly be seen.
    inner = blocks if wrapped else blocks[1:-1, 1:-1]
    np.testing.assert_allclose(inner / inner.mean(), 1, atol=0.1)
    np.testing.assert_allclose(blocks / inner.mean(), 1, atol=0.2)


def test_bounding_box_by_hand():
    mask = np.zeros((6, 9), bool)
    mask[2, 4] = mask[3, 7] = True
    assert bounding_box(mask) == (slice(2, 4), slice(4, 8))
    assert bounding_box(mask, 3) == (slice(0, 6), slice(1, 9))
