"""The searches as witnesses, and what found copies say of others' regions."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from skimage import data

import doctored
from doctored.core.inspection import Region, WitnessFinding
from doctored.core.picture import Picture
from doctored.models.copy_search import find_copies
from doctored.models.grid_search import find_foreign_grids
from doctored.predict.copied_regions import painted, settle_originals, tell_copies_apart
from doctored.predict.detector import Detector
from doctored.predict.search_witnesses import CopySearchWitness, GridSearchWitness
from models.grid_search.foreign_grid import picture_with_a_foreign_square

COPIED = data.astronaut()[:300, :384].copy()
COPIED[180:260, 20:100] = COPIED[10:90, 170:250]
UNTOUCHED = data.astronaut()[:300, :384]


@pytest.fixture(scope="module")
def found():
    return CopySearchWitness("copy-search").look(COPIED, None)


def test_both_places_of_a_copy_are_regions_that_name_each_other(found):
    first, second = found.regions
    assert (first.technique, second.technique) == ("copy_move", "copy_move")
    assert first.twin_box_xyxy == second.box_xyxy
    assert second.twin_box_xyxy == first.box_xyxy
    places = sorted([first.box_xyxy, second.box_xyxy])
    np.testing.assert_allclose(places, [(20, 180, 100, 260), (170, 10, 250, 90)], atol=8)


def test_map_and_score_follow_from_the_agreement(found):
    (copy,) = find_copies(COPIED)
    assert found.raw_score == copy.agreement
    expected = np.zeros(COPIED.shape[:2])
    for place in copy.places:
        left, top, right, bottom = place.box_xyxy
        expected[top:bottom, left:right][place.mask] = 1 / (1 + np.exp(-copy.agreement / 0.2))
    np.testing.assert_allclose(found.localization_map, expected, rtol=1e-6)
    assert found.regions[0].score == pytest.approx(expected.max())


def test_the_raw_score_alone_is_that_of_the_finding(found):
    witness = CopySearchWitness("copy-search")
    steps = []
    scored = witness.scored_map(COPIED, lambda *step: steps.append(step))
    assert witness.score_rule.score(scored) == pytest.approx(found.raw_score)
    assert steps == [(1, witness.steps(COPIED.shape[:2]))]


def test_without_copies_the_map_is_calm_and_takes_no_memory():
    finding = CopySearchWitness("copy-search").look(UNTOUCHED, None)
    assert (finding.raw_score, finding.regions) == (0.0, ())
    assert not finding.localization_map.any()
    assert finding.localization_map.strides == (0, 0)


@pytest.mark.parametrize(
    ("witness", "package"), [(CopySearchWitness, "copy_search"), (GridSearchWitness, "grid_search")]
)
def test_the_hash_is_that_of_the_code(witness, package):
    models = Path(doctored.__file__).parent / "models"
    files = [
        models / package / name for name in sorted(file.name for file in (models / package).glob("*.py"))
    ]
    code = b"".join(file.read_bytes() for file in [*files, models / "places.py"])
    assert witness("any").sha256 == hashlib.sha256(code).hexdigest()


@pytest.fixture(scope="module")
def foreign():
    return picture_with_a_foreign_square()


def test_a_place_on_a_foreign_grid_is_a_region_without_a_technique(foreign):
    finding = GridSearchWitness("grid-search").look(foreign, None)
    ((grid,), (region,)) = find_foreign_grids(foreign), finding.regions
    assert (region.technique, region.twin_box_xyxy) == (None, None)
    assert region.box_xyxy == grid.place.box_xyxy
    assert region.jpeg_grid_xy == (157 % 8, 75 % 8)
    np.testing.assert_allclose(region.box_xyxy, (160, 80, 264, 184), atol=24)
    assert finding.raw_score == grid.share
    assert region.score == pytest.approx(1 / (1 + np.exp(-grid.share / 0.2)))
    expected = np.zeros(foreign.shape[:2])
    left, top, right, bottom = grid.place.box_xyxy
    expected[top:bottom, left:right][grid.place.mask] = region.score
    np.testing.assert_allclose(finding.localization_map, expected, rtol=1e-6)


def test_the_search_for_grids_alone_has_the_same_raw_score(foreign):
    detector = Detector.from_name("grid-search")
    inspection = detector.inspect(Picture.from_array(foreign))
    assert inspection.regions[0].to_json()["technique"] is None
    assert detector.raw_score(foreign) == pytest.approx(inspection.model.raw_score)
    assert 0 < detector.estimate_seconds(Picture.from_array(foreign)) < 60
    assert detector.raw_score(UNTOUCHED) == 0


def test_it_can_look_alone():
    detector = Detector.from_name("copy-search")
    inspection = detector.inspect(Picture.from_array(COPIED))
    assert inspection.verdict == "cannot_judge"
    assert inspection.regions[0].to_json()["twin_box_xyxy"] == list(inspection.regions[1].box_xyxy)
    assert detector.raw_score(COPIED) == pytest.approx(inspection.model.raw_score)
    assert 0 < detector.estimate_seconds(Picture.from_array(COPIED)) < 60


HERE = Region((10, 10, 30, 30), "copy_move", 0.9, twin_box_xyxy=(50, 50, 70, 70))
THERE = Region((50, 50, 70, 70), "copy_move", 0.9, twin_box_xyxy=(10, 10, 30, 30))


def test_a_region_that_is_a_place_of_a_copy_gives_way_to_it():
    # 16 of its 20 rows lie in the place: four fifths of each.
    region = Region((10, 14, 30, 34), "splicing", 0.6)
    of_network, (here, there) = tell_copies_apart([[region], [HERE, THERE]])
    assert of_network == []
    assert (here.box_xyxy, here.score, there) == (HERE.box_xyxy, HERE.score, THERE)


def test_of_a_place_that_two_witnesses_have_found_the_higher_score_stays():
    region = Region((50, 54, 70, 74), "splicing", 0.95)
    of_network, (here, there) = tell_copies_apart([[region], [HERE, THERE]])
    assert of_network == []
    assert (here.score, there.score) == (0.9, 0.95)
    assert (there.box_xyxy, there.technique) == (THERE.box_xyxy, "copy_move")


def test_a_small_region_inside_a_place_is_a_copy_move_and_leaves_the_place():
    region = Region((12, 12, 20, 20), "removal", 0.6)
    (told,), of_search = tell_copies_apart([[region], [HERE, THERE]])
    assert (told.technique, told.score) == ("copy_move", 0.6)
    assert of_search == [HERE, THERE]


def test_masks_decide_and_not_boxes():
    left_half = np.arange(20) < np.full((20, 1), 10)
    place = Region((10, 10, 30, 30), "copy_move", 0.9, left_half, twin_box_xyxy=(50, 50, 70, 70))
    inside = Region((0, 0, 40, 40), "splicing", 0.5, np.pad(left_half, 10))
    beside = Region((0, 0, 40, 40), "splicing", 0.5, np.pad(~left_half, 10))
    (left,), of_search = tell_copies_apart([[inside, beside], [place]])
    assert left is beside
    assert [one.mask is place.mask for one in of_search] == [True]


def test_regions_elsewhere_stay_as_they_are():
    region = Region((25, 25, 60, 60), "splicing", 0.6)
    assert tell_copies_apart([[region], [HERE, THERE], []]) == [[region], [HERE, THERE], []]
    assert tell_copies_apart([[region]]) == [[region]]


def finding(name, localization_map, regions=()):
    return WitnessFinding(name, "0" * 64, 0.0, localization_map, tuple(regions))


def suspecting(box_xyxy):
    localization_map = np.full((80, 80), 0.1, np.float32)
    left, top, right, bottom = box_xyxy
    localization_map[top:bottom, left:right] = 0.4
    return finding("network", localization_map)


def first_map(findings):
    # What the search says must not decide which of its own places is left.
    assert not findings[1].localization_map.any()
    return findings[0].localization_map


@pytest.mark.parametrize(("suspected", "left"), [((50, 50, 60, 70), THERE), ((10, 10, 30, 20), HERE)])
def test_of_two_places_that_is_left_which_others_suspect(suspected, left):
    search = finding("search", painted([HERE, THERE], [0.9, 0.9], (80, 80)), [HERE, THERE])
    network, settled = settle_originals([suspecting(suspected), search], first_map)
    assert settled.regions == (left,)
    expected = np.zeros((80, 80), np.float32)
    x1, y1, x2, y2 = left.box_xyxy
    expected[y1:y2, x1:x2] = 0.9
    np.testing.assert_array_equal(settled.localization_map, expected)
    assert network.localization_map.max() == np.float32(0.4)


def test_of_places_that_nobody_suspects_more_the_first_is_left():
    search = finding("search", painted([HERE, THERE], [0.9, 0.9], (80, 80)), [HERE, THERE])
    _, settled = settle_originals([suspecting((0, 0, 1, 1)), search], first_map)
    assert settled.regions == (HERE,)


def test_findings_without_copies_are_left_alone():
    findings = [suspecting((0, 0, 9, 9)), finding("search", painted((), (), (80, 80)))]
    assert settle_originals(findings, first_map) == findings


def test_painting_takes_the_highest_value_and_keeps_to_masks():
    triangle = np.tri(4, dtype=bool)
    regions = [Region((0, 0, 4, 4), None, 0.5, triangle), Region((2, 2, 6, 6), None, 0.5)]
    expected = np.zeros((6, 7), np.float32)
    expected[:4, :4][triangle] = 3
    expected[2:6, 2:6] = np.maximum(expected[2:6, 2:6], 2)
    np.testing.assert_array_equal(painted(regions, [3, 2], (6, 7)), expected)
