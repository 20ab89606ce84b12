"""Places on a foreign JPEG grid and regions that hold them, worked by hand."""

import numpy as np

from doctored.core.inspection import Region
from doctored.predict.foreign_grids import join_foreign_grids

PLACE = Region((20, 20, 40, 40), None, 0.97, jpeg_grid_xy=(5, 3))


def test_a_region_that_holds_a_place_takes_its_grid_and_the_higher_score():
    region = Region((10, 10, 60, 60), "splicing", 0.6)
    of_network, of_search = join_foreign_grids([[region], [PLACE]])
    assert of_search == []
    (told,) = of_network
    assert (told.box_xyxy, told.technique, told.score) == (region.box_xyxy, "splicing", 0.97)
    assert told.jpeg_grid_xy == (5, 3)


def test_of_two_places_in_one_region_the_second_stays():
    region = Region((10, 10, 60, 60), "splicing", 0.99)
    other = Region((42, 42, 58, 58), None, 0.95, jpeg_grid_xy=(1, 1))
    (told,), of_search = join_foreign_grids([[region], [PLACE, other]])
    assert (told.jpeg_grid_xy, told.score) == ((5, 3), 0.99)
    assert of_search == [other]


def test_a_place_goes_to_the_region_that_holds_most_of_it():
    half = Region((20, 20, 40, 30), "removal", 0.6)
    most = Region((20, 20, 40, 36), "splicing", 0.5)
    (first, second), of_search = join_foreign_grids([[half, most], [PLACE]])
    assert (first, of_search) == (half, [])
    assert second.jpeg_grid_xy == (5, 3)


def test_a_place_of_which_less_than_half_is_held_stays():
    region = Region((20, 20, 40, 29), "removal", 0.6)
    assert join_foreign_grids([[region], [PLACE]]) == [[region], [PLACE]]
    assert join_foreign_grids([[], [PLACE]]) == [[], [PLACE]]
    assert join_foreign_grids([[PLACE]]) == [[PLACE]]


def test_masks_decide_and_not_boxes():
    left_half = np.arange(20) < np.full((20, 1), 10)
    place = Region((20, 20, 40, 40), None, 0.97, left_half, jpeg_grid_xy=(5, 3))
    region = Region((20, 20, 31, 40), "splicing", 0.5)
    (told,), of_search = join_foreign_grids([[region], [place]])
    assert (told.jpeg_grid_xy, of_search) == ((5, 3), [])
    beside = Region((30, 20, 40, 40), "splicing", 0.5)
    assert join_foreign_grids([[beside], [place]]) == [[beside], [place]]
