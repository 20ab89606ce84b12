import json

import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.data.coco_annotations import AnnotatedObject, read_annotations

DOCUMENT = {
    "info": {"ignored": True},
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 4, "width": 6},
        {"id": "b", "file_name": "sub/b.png", "height": 3, "width": 3},
    ],
    "annotations": [
        {"image_id": 7, "category_id": 2, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]], "iscrowd": 0},
        {"image_id": 7, "category_id": 1, "segmentation": {"counts": [24], "size": [4, 6]}, "iscrowd": 1},
        {"image_id": 7, "category_id": 1, "segmentation": {"counts": [0, 24], "size": [4, 6]}},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "dining table"}],
}


def write(folder, document):
    path = folder / "instances.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_pictures_and_their_objects_are_read_in_order_without_crowds(tmp_path):
    first, second = read_annotations(write(tmp_path, DOCUMENT))
    assert (first.id, first.file, first.size_hw) == ("7", "a.jpg", (4, 6))
    assert [o.category for o in first.objects] == ["dining table", "dog"]
    assert (second.id, second.file, second.objects) == ("b", "sub/b.png", ())


def test_a_polygon_covers_the_pixels_inside_and_those_it_touches():
    square = AnnotatedObject("dog", [[2, 1, 6, 1, 6, 4, 2, 4]]).mask((8, 9))
    inside = np.zeros((8, 9), bool)
    inside[1:4, 2:6] = True
    assert np.all(square[inside])
    touched = np.zeros((8, 9), bool)
    touched[0:5, 1:7] = True
    assert not np.any(square & ~touched)


def test_polygons_of_one_object_are_joined_where_they_overlap():
    both = AnnotatedObject("dog", [[1, 1, 6, 1, 6, 6, 1, 6], [3, 3, 8, 3, 8, 8, 3, 8]]).mask((10, 10))
    assert both[4, 4]
    assert both[2, 2]
    assert both[7, 7]
    assert not both[1, 8]


def test_runs_go_down_the_columns_and_start_with_background():
    code = {"counts": [1, 2, 3, 4, 2], "size": [4, 3]}
    expected = [[0, 0, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0]]
    np.testing.assert_array_equal(AnnotatedObject("dog", code).mask((4, 3)), np.array(expected, bool))


def packed(runs):
    """COCO's compressed form, written out from its description: the opposite way to the reader's."""
    text = ""
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            low, value = value & 31, value >> 5
            last = (value == -1 and low & 16) or (value == 0 and not low & 16)
            text += chr(48 + low + (0 if last else 32))
            if last:
                break
    return text


def test_compressed_runs_by_hand_and_at_random():
    assert packed([1, 2, 3, 4, 2]) == "1232O"  # the last two as differences: 4 - 2 and 2 - 3
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((40, 60)) < rng.choice([0.02, 0.5, 0.98])
        flat = mask.T.ravel()
        ends = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff([0, *ends, flat.size]).tolist()
        runs = [0, *runs] if flat[0] else runs
        decoded = AnnotatedObject("dog", {"counts": packed(runs), "size": [40, 60]}).mask((40, 60))
        np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3]], "list x1, y1"),
        ([[1, 1, 4, 1, float("nan"), 3]], "list x1, y1"),
        ([[1, 1, 4, 1, 1e30, 3]], "list x1, y1"),
        ([[1, 1, 4, 1, 10**400, 3]], "list x1, y1"),
        ({"counts": [float("inf"), 1], "size": [4, 6]}, "polygons or a run-length code"),
        ({"counts": "o" * 10**6 + "0", "size": [4, 6]}, "polygons or a run-length code"),
        ({"counts": [1, 2], "size": [4, 6]}, "with 3 pixels does not fit its picture of 4 x 6"),
        ({"counts": [24], "size": [6, 4]}, "size 6 x 4"),
        ({"size": [4, 6]}, "polygons or a run-length code"),
        ({"counts": "1o", "size": [4, 6]}, "polygons or a run-length code"),
        (None, "polygons or a run-length code"),
    ],
)
def test_segmentations_that_mean_nothing_are_refused(segmentation, message):
    with pytest.raises(DataError, match=message):
        AnnotatedObject("dog", segmentation).mask((4, 6))


def test_files_that_are_no_annotations_are_refused_with_what_they_lack(tmp_path):
    with pytest.raises(DataError, match=r"instances.json cannot be read \(No such file"):
        read_annotations(tmp_path / "instances.json")
    with pytest.raises(DataError, match=r"KeyError: 'categories'.*expected COCO's JSON"):
        read_annotations(write(tmp_path, {"images": [], "annotations": []}))
    stray = {"image_id": 99, "category_id": 1, "segmentation": []}
    with pytest.raises(DataError, match="KeyError: 99"):
        read_annotations(write(tmp_path, DOCUMENT | {"annotations": [stray]}))
    (tmp_path / "instances.json").write_text("no JSON")
    with pytest.raises(DataError, match="is no annotation file"):
        read_annotations(tmp_path / "instances.json")


@pytest.mark.parametrize("height", [-17, 0, 10**6, float("inf"), 10**400])
def test_a_picture_of_an_impossible_size_is_refused(tmp_path, height):
    """Its objects' masks would have been made: a ValueError, or as much memory as there is."""
    images = [{"id": 7, "file_name": "a.jpg", "height": height, "width": 1000}]
    with pytest.raises(DataError, match="is no annotation file"):
        read_annotations(write(tmp_path, {"images": images, "annotations": [], "categories": []}))


def test_deep_nesting_is_refused(tmp_path):
    (tmp_path / "instances.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"is no annotation file .*nested too deeply"):
        read_annotations(tmp_path / "instances.json")
