import numpy as np
import pytest
from PIL import Image, ImageFilter

from doctored.core.errors import DataError, ShapeError
from doctored.synth.coco_synthetic import draw_pastes, paste_object

NAMES = [f"p{number}" for number in range(60)]
SPLIT = {name: "test" if number % 10 == 3 else "train" for number, name in enumerate(NAMES)}


def test_no_picture_is_on_both_sides_and_no_pair_comes_twice():
    pastes = draw_pastes({"dog": NAMES[:40], "bed": NAMES[20:]}, SPLIT, tries=300)
    used = {side: set() for side in ("train", "test")}
    for paste in pastes:
        assert paste.object_id != paste.background_id
        assert {paste.object_id, paste.background_id} <= set(
            NAMES[:40] if paste.category == "dog" else NAMES[20:]
        )
        used[paste.split] |= {paste.object_id, paste.background_id}
    assert not used["train"] & used["test"]
    assert used["test"]
    pairs = [(paste.category, paste.object_id, paste.background_id) for paste in pastes]
    assert len(set(pairs)) == len(pairs)
    assert 0.6 < np.mean([paste.blurred for paste in pastes]) < 0.74  # two thirds of about 450


def test_the_seed_decides_and_more_tries_only_add():
    categories = {"dog": NAMES}
    few, many = (draw_pastes(categories, SPLIT, tries=tries, seed=3) for tries in (50, 100))
    assert many[: len(few)] == few
    assert draw_pastes(categories, SPLIT, tries=50, seed=4) != few


def test_a_side_without_a_pair_is_an_error():
    alone = {"p1": "train", "p2": "train", "p3": "test"}
    with pytest.raises(DataError, match="no pair of test pictures shows the same one of dog, bed"):
        draw_pastes({"dog": ["p1", "p2", "p3"], "bed": []}, alone, tries=20)


def test_an_object_lands_where_it_was_in_a_picture_of_the_same_size():
    rng = np.random.default_rng(0)
    picture, background = rng.integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    mask = np.zeros((30, 40), bool)
    mask[5:9, 10:17] = True
    sharp = paste_object(picture, mask, background, blurred=False)
    np.testing.assert_array_equal(sharp.gt_mask, mask)
    np.testing.assert_array_equal(sharp.image[mask], picture[mask])
    np.testing.assert_array_equal(sharp.image[~mask], background[~mask])
    assert sharp.box_xyxy == (10, 5, 17, 9)
    blurred = paste_object(picture, mask, background, blurred=True)
    expected = Image.fromarray(sharp.image).filter(ImageFilter.GaussianBlur(1.5))
    np.testing.assert_array_equal(blurred.image, np.asarray(expected))


def test_an_object_is_stretched_with_its_picture():
    picture = np.full((20, 20, 3), 200, np.uint8)
    mask = np.zeros((20, 20), bool)
    mask[4:10, 2:8] = True
    pasted = paste_object(picture, mask, np.zeros((40, 60, 3), np.uint8), blurred=False)
    assert pasted.box_xyxy == (6, 8, 24, 20)  # three times as wide, twice as high
    assert 18 * 12 - 4 <= pasted.gt_mask.sum() <= 18 * 12  # corners may go
    assert np.all(pasted.image[pasted.gt_mask] == 200)


def test_black_pixels_of_an_object_are_pasted_too():
    black, mask = np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool)
    pasted = paste_object(black, mask, np.full((8, 8, 3), 9, np.uint8), blurred=False)
    assert np.all(pasted.image[mask] == 0)


def test_nothing_and_everything_are_no_forgeries():
    picture = np.zeros((9, 9, 3), np.uint8)
    assert paste_object(picture, np.zeros((9, 9), bool), picture, blurred=False) is None
    assert paste_object(picture, np.ones((9, 9), bool), picture, blurred=False) is None
    with pytest.raises(ShapeError, match=r"mask is \(8, 9\) but its picture is \(9, 9\)"):
        paste_object(picture, np.zeros((8, 9), bool), picture, blurred=False)
