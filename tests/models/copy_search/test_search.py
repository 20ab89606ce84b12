"""Copies that the test makes, and pictures without any."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import data

from doctored.models.copy_search import find_copies, search

PHOTO = data.astronaut()[:, :384].copy()
BLOB = np.hypot(*(np.mgrid[:90, :90] - 44.5)) < 42


def paste(photo, affine, top_left=(30, 120)):
    """A blob of the photo, moved: the picture, the mask of the original and that of the copy."""
    here = np.zeros(photo.shape[:2], np.uint8)
    here[top_left[0] : top_left[0] + 90, top_left[1] : top_left[1] + 90] = BLOB
    size = photo.shape[1::-1]
    there = cv2.warpAffine(here, affine, size, flags=cv2.INTER_NEAREST)
    moved = cv2.warpAffine(photo, affine, size, flags=cv2.INTER_CUBIC)
    return np.where(there[..., None] > 0, moved, photo), here > 0, there > 0


def turned_about(x, y, degrees, scale, shift):
    affine = cv2.getRotationMatrix2D((x, y), degrees, scale)
    affine[:, 2] += shift
    return affine


def whole(place, shape):
    mask = np.zeros(shape[:2], bool)
    left, top, right, bottom = place.box_xyxy
    mask[top:bottom, left:right] = place.mask
    return mask


def iou(mask, other):
    return (mask & other).sum() / (mask | other).sum()


def assert_found(picture, original, copied, least=0.6):
    copy = find_copies(picture)[0]
    places = [whole(place, picture.shape) for place in copy.places]
    assert max(iou(places[0], a) + iou(places[1], b) for a, b in [(original, copied), (copied, original)]) > (
        2 * least
    )
    return copy


SHIFT = np.array([[1.0, 0, -60], [0, 1, 250]])
MOVEMENTS = {
    "shifted": SHIFT,
    "turned": turned_about(165, 75, 40, 1, (-30, 260)),
    "smaller": turned_about(165, 75, 0, 0.7, (30, 240)),
    "larger": turned_about(165, 75, 15, 1.4, (0, 260)),
    "mirrored": np.array([[-1.0, 0, 330], [0, 1, 250]]),
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_a_copy_is_found_with_its_original_and_its_movement(name):
    picture, original, copied = paste(PHOTO, MOVEMENTS[name])
    copy = assert_found(picture, original, copied)
    linear = copy.affine[:, :2]
    expected = MOVEMENTS[name][:, :2]
    assert min(np.abs(linear - expected).max(), np.abs(linear - np.linalg.inv(expected)).max()) < 0.03


def test_a_copy_is_found_after_compression_and_in_other_light():
    picture, original, copied = paste(PHOTO, SHIFT)
    picture[copied] = np.clip(0.85 * picture[copied].astype(float) + 10, 0, 255)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    compressed = np.asarray(Image.open(file))
    assert_found(compressed, original, copied, least=0.5)


def test_a_copy_in_a_large_picture_is_found_at_its_own_size():
    picture, original, copied = paste(PHOTO, SHIFT)
    large = np.asarray(Image.fromarray(picture).resize((1155, 1539), Image.Resampling.BICUBIC))
    masks = [
        np.asarray(Image.fromarray(mask).resize((1155, 1539), Image.Resampling.NEAREST))
        for mask in (original, copied)
    ]
    copy = assert_found(large, *masks)
    shift = copy.affine[:, 2]
    assert min(np.abs(shift - (-180, 752)).max(), np.abs(shift - (180, -752)).max()) < 6


def test_two_copies_are_both_found():
    picture, _, first = paste(PHOTO, SHIFT)
    picture, _, second = paste(picture, np.array([[1.0, 0, 110], [0, 1, 300]]))
    marked = [whole(place, picture.shape) for copy in find_copies(picture) for place in copy.places]
    for copied in (first, second):
        assert max(iou(mask, copied) for mask in marked) > 0.6


def test_a_photograph_that_nobody_touched_has_no_copies():
    assert find_copies(PHOTO) == []
    assert find_copies(np.dstack([data.camera()] * 3)) == []


def test_what_is_pasted_from_elsewhere_is_no_copy():
    other = np.dstack([data.camera()] * 3)
    picture = PHOTO.copy()
    picture[280:370, 60:150][BLOB] = other[100:190, 200:290][BLOB]
    assert find_copies(picture) == []


def test_an_edge_and_flat_areas_are_no_copies():
    rng = np.random.default_rng(0)
    picture = rng.normal(0, 1, (300, 400, 3)) + 100
    picture[np.add.outer(np.arange(300) * 0.7, np.arange(400)) > 320] += 60
    assert find_copies(np.clip(picture, 0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (40, 40), (120, 120)])
def test_small_and_flat_pictures_have_no_copies(shape):
    assert find_copies(np.full((*shape, 3), 90, np.uint8)) == []
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    assert find_copies(noise) == []


def test_the_same_picture_gives_the_same_copies():
    picture, _, _ = paste(PHOTO, MOVEMENTS["turned"])
    first, second = find_copies(picture), find_copies(picture)
    assert [copy.agreement for copy in first] == [copy.agreement for copy in second]


def test_agreement_is_the_log_of_detail_over_difference():
    rng = np.random.default_rng(2)
    luminance = rng.normal(100, 12, (60, 200)).astype(np.float32)
    luminance[:, 100:] = 0.8 * luminance[:, :100] + 20 + rng.normal(0, 3, (60, 100))
    place = np.ones((40, 60), bool)
    box = search._Surroundings(luminance, slice(10, 50), slice(20, 80), place)
    affine = np.array([[1.0, 0, 100], [0, 1, 0]])
    here, there = luminance[10:50, 20:80], luminance[10:50, 120:180]
    slope, level = np.polyfit(there.ravel().astype(float), here.ravel().astype(float), 1)
    detail = (luminance - ndimage.uniform_filter(luminance.astype(float), 3, mode="nearest"))[10:50, 20:80]
    expected = np.log((detail.std() + 0.1) / ((here - slope * there - level).std() + 0.1))
    assert box.agreement(affine, place) == pytest.approx(expected, abs=1e-3)


def test_a_place_grows_by_half_a_window_and_no_further_than_it_agrees():
    rng = np.random.default_rng(3)
    luminance = rng.normal(100, 12, (60, 200)).astype(np.float32)
    luminance[:, 122:160] = luminance[:, 22:60] + rng.normal(0, 1, (60, 38))
    place = np.zeros((40, 60), bool)
    place[10:30, 4:20] = True  # columns 24 to 39 of the picture; the copy is of 22 to 59
    box = search._Surroundings(luminance, slice(10, 50), slice(20, 80), place)
    grown = box.grown(np.array([[1.0, 0, 100], [0, 1, 0]]), place)
    expected = np.zeros_like(place)
    expected[6:34, 3:24] = True  # the mean over 3 px crosses the border at column 22
    wrong = grown != expected
    assert wrong.sum() < 0.02 * expected.sum()


def test_a_place_ends_where_the_copy_ends():
    """Windows across the border are not alike, which took half a window off each side."""
    picture, original, copied = paste(PHOTO, SHIFT)
    copy = find_copies(picture)[0]
    places = [whole(place, picture.shape) for place in copy.places]
    true = max((original, copied), key=lambda mask: iou(places[0], mask))
    assert (places[0] & true).sum() > 0.8 * true.sum()
    assert (places[0] & true).sum() > 0.95 * places[0].sum()


def test_values_between_pixels_are_those_of_scipy():
    values = np.random.default_rng(4).normal(size=(20, 30)).astype(np.float32)
    x, y = np.random.default_rng(5).uniform(-3, 33, (2, 500)).astype(np.float32)
    found, inside = search._sample(values, x, y)
    expected = ndimage.map_coordinates(values, [y, x], order=1, mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(inside, (x >= 0) & (x <= 29) & (y >= 0) & (y <= 19))


def test_a_moved_mask_is_that_of_opencv():
    mask = np.zeros((80, 120), bool)
    mask[10:40, 20:60] = True
    affine = turned_about(40, 25, 20, 1.2, (30, 20))
    expected = cv2.warpAffine(mask.astype(np.uint8), affine, (120, 80), flags=cv2.INTER_NEAREST) > 0
    assert (search._moved(mask, affine) != expected).sum() < 12  # OpenCV rounds coordinates to 1/32 px


def test_one_step_of_alignment_comes_nearer():
    """The derivative of each term, checked by what a step does with a movement that is slightly off."""
    luminance = cv2.GaussianBlur(data.camera().astype(np.float32), (0, 0), 2)
    true = np.array([[0.98, 0.02, 180.0], [-0.02, 0.98, 30.0]])
    y, x = np.mgrid[100:220, 100:220].astype(np.float32)
    here = luminance.copy()
    place = np.ones((120, 120), bool)
    there_xy = search._Surroundings(luminance, slice(100, 220), slice(100, 220), place).there(true)
    sampled, _ = search._sample(luminance, *there_xy)
    off = true + np.array([[0.004, -0.003, 0.6], [0.002, 0.003, -0.5]])
    here[100:220, 100:220] = 0.9 * sampled + 12
    points = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)])

    def wrong_px(affine):
        return np.hypot(*(points @ (affine - true).T).T).max()

    # What lies there must not be what was overwritten.
    assert there_xy[0].min() > 220
    box, aligned = search._Surroundings(here, slice(100, 220), slice(100, 220), place), off
    for _ in range(3):
        aligned = box.aligned(aligned, place)
    assert wrong_px(aligned) < 0.3 * wrong_px(off)
