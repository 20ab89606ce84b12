import numpy as np
import pytest

from doctored.apps.markings import Marking, mark_regions, technique_in_words
from doctored.core.inspection import Region


def drawn(regions, size_hw, band_rows=1000):
    canvas = np.zeros((*size_hw, 3), np.uint8)
    for marking in mark_regions(regions, size_hw):
        for top in range(0, size_hw[0], band_rows):
            marking.draw(canvas[top : top + band_rows], top)
    return canvas


def test_a_patch_covers_its_part_of_each_band():
    marking = Marking(2, 1, np.full((3, 2, 3), 9, np.uint8))
    bands = np.zeros((4, 2, 5, 3), np.uint8)
    for number, band in enumerate(bands):
        marking.draw(band, 2 * number)
    expected = np.zeros((8, 5, 3), np.uint8)
    expected[2:5, 1:3] = 9
    assert np.array_equal(bands.reshape(8, 5, 3), expected)


def test_a_frame_lies_on_the_box_and_the_name_above_it():
    region = Region((60, 80, 200, 150), "copy_move", 0.75)
    canvas = drawn([region], (240, 300))
    blue = (canvas == (80, 200, 255)).all(axis=2)
    assert blue[80, 60:200].all()
    assert blue[149, 60:200].all()
    assert blue[80:150, 60].all()
    assert blue[80:150, 199].all()
    assert not canvas[81:149, 61:199].any()
    assert canvas[66:79, 60:120].any()  # the name
    assert not canvas[151:].any()
    assert np.array_equal(drawn([region], (240, 300), band_rows=7), canvas)


def test_thicker_frames_and_larger_names_on_larger_pictures():
    canvas = drawn([Region((500, 600, 900, 900), "splicing", 0.9)], (1500, 2000))
    assert (canvas[600:606, 700] == (80, 200, 255)).all()
    assert not canvas[606, 700].any()
    assert canvas[570:598, 500:560].any()


def test_a_name_that_finds_no_room_above_goes_inside():
    canvas = drawn([Region((0, 0, 100, 60), None, 1.0)], (100, 120))
    assert canvas[2:12, 2:40].any()


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 200), (200, 3)])
def test_slivers_are_marked_within_them(size_hw):
    assert drawn([Region((0, 0, size_hw[1], size_hw[0]), "removal", 0.9)], size_hw).any()


def test_regions_that_are_rather_authentic_are_left_out():
    assert mark_regions([Region((0, 0, 5, 5), "removal", 0.49)], (50, 50)) == []


def test_techniques_have_names_for_people():
    assert technique_in_words("copy_move") == "copy-move"
    assert technique_in_words(None) == "manipulated"
