import json
import multiprocessing
import os
import pickle
import shutil
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import DataError
from doctored.core.read_image import read_image
from doctored.data.forgery_stream import ForgeryStream
from doctored.data.photograph_pool import (
    PhotographPool,
    annotated_outlines,
    build_pool,
    prepared_pool,
    read_source,
)
from doctored.data.photographs import Photograph, list_photographs


@pytest.fixture
def folder(tmp_path):
    """Two photographs with a thing in them, one too small, one damaged."""
    photos = tmp_path / "photos" / "set"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(2):
        pixels = rng.normal((90, 110, 70), 6, (150, 170, 3))
        cv2.circle(pixels, (80, 70), 25, (200.0, 60.0 + 90 * number, 60.0), cv2.FILLED)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(photos / f"{number}.png")
    Image.new("RGB", (20, 200)).save(photos / "small.png")
    (photos / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return tmp_path


@pytest.fixture
def pool(folder):
    return build_pool(list_photographs(folder / "photos"), folder / "pool", min_side_px=112)[0]


def test_a_pool_holds_the_pixels_hashes_and_objects(folder):
    pool, skipped = build_pool(list_photographs(folder / "photos"), folder / "pool", min_side_px=112)
    assert [source.file for source in pool] == ["set/0.png", "set/1.png"]
    assert sorted(skip.file for skip in skipped) == ["set/small.png", "set/torn.png"]
    for source in pool:
        picture = read_image(folder / "photos" / source.file)
        np.testing.assert_array_equal(source.pixels, picture.pixels)
        assert source.sha256 == picture.sha256
        centres = [np.concatenate(outline).mean(axis=0) for outline in source.objects]
        assert any(np.hypot(*(centre - (80, 70))) < 6 for centre in centres)
    assert len(pool[:1]) == 1


def test_a_prepared_pool_is_built_once_and_again_for_other_photographs(folder):
    photographs = [photo for photo in list_photographs(folder / "photos") if photo.file[4] in "01"]
    prepared_pool(photographs, folder / "pool")
    stamp = (folder / "pool" / "pixels.npy").stat().st_mtime_ns
    assert len(prepared_pool(photographs, folder / "pool")[0]) == 2
    assert (folder / "pool" / "pixels.npy").stat().st_mtime_ns == stamp
    assert len(prepared_pool(photographs[:1], folder / "pool")[0]) == 1


def test_a_pool_of_other_pixels_under_the_same_names_is_not_taken(folder):
    """It was, so that a run learned from the photographs of another folder."""
    other = folder / "other" / "set"
    shutil.copytree(folder / "photos" / "set", other)
    first, same = list_photographs(folder / "photos"), list_photographs(folder / "other")
    pool, _ = prepared_pool(first, folder / "pool", min_side_px=112)
    assert prepared_pool(same, folder / "pool", min_side_px=112)[0].asked == pool.asked
    pixels = np.asarray(Image.open(other / "0.png"))[::-1].copy()
    Image.fromarray(pixels).save(other / "0.png")
    np.testing.assert_array_equal(prepared_pool(same, folder / "pool", min_side_px=112)[0][0].pixels, pixels)


@pytest.mark.parametrize(
    "change",
    [
        lambda photographs: [replace(photographs[0], camera="another"), *photographs[1:]],
        lambda photographs: photographs[::-1],
        lambda photographs: [replace(photographs[0], file="set/2.png"), *photographs[1:]],
    ],
)
def test_a_pool_is_recognised_by_all_that_it_holds(folder, pool, change):
    photographs = list_photographs(folder / "photos")
    assert prepared_pool(photographs, folder / "pool", min_side_px=112)[0].asked == pool.asked
    assert prepared_pool(change(photographs), folder / "pool", min_side_px=112)[0].asked != pool.asked


def test_other_outlines_make_another_pool(folder, pool):
    square = np.array([[10, 10], [60, 10], [60, 60], [10, 60]], np.int32)
    photographs = list_photographs(folder / "photos")
    for outline in (square, square + 5):
        annotated = {"set/0.png": [(outline,)]}
        made, _ = prepared_pool(photographs, folder / "pool", min_side_px=112, annotated=annotated)
        np.testing.assert_array_equal(made[0].objects[0][0], outline)


def test_a_pool_that_is_built_anew_leaves_an_open_one_as_it_is(folder, pool):
    """Its file was cut off, and whoever read on in it was killed by a bus error."""
    before = [source.pixels.copy() for source in pool]
    photographs = list_photographs(folder / "photos")
    packed = pickle.dumps(pool)
    build_pool(photographs[:1], folder / "pool", min_side_px=112)
    for source, pixels in zip(pool, before, strict=True):
        np.testing.assert_array_equal(source.pixels, pixels)
    with pytest.raises(DataError, match="another run replaced the pool"):
        pickle.loads(packed)


def _build(folder, names, barrier):
    photographs = [photo for photo in list_photographs(folder / "photos") if photo.file in names]
    barrier.wait()
    for _ in range(5):
        build_pool(photographs, folder / "pool")


def test_processes_that_build_in_one_folder_at_once_leave_one_whole_pool(folder):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    names = ["set/0.png", "set/1.png"]
    builders = [context.Process(target=_build, args=(folder, names, barrier)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert [builder.exitcode for builder in builders] == [0, 0]
    pool = PhotographPool(folder / "pool")
    for source in pool:
        np.testing.assert_array_equal(source.pixels, read_image(folder / "photos" / source.file).pixels)
    assert sorted(path.name for path in (folder / "pool").iterdir()) == ["index.json", "pixels.npy"]


def test_files_of_two_pools_are_none(folder, pool):
    mixed = (folder / "pool" / "index.json").read_bytes()
    photographs = list_photographs(folder / "photos")
    build_pool([replace(photo, camera="another") for photo in photographs], folder / "pool", min_side_px=112)
    (folder / "pool" / "index.json").write_bytes(mixed)
    with pytest.raises(DataError, match="belong to different pools"):
        PhotographPool(folder / "pool")


def test_what_a_killed_process_left_is_removed_when_nobody_can_be_at_it(folder, pool):
    left, fresh = (folder / "pool" / f".pixels.npy.{name}.part" for name in ("left", "fresh"))
    for path in (left, fresh):
        path.write_bytes(b"unfinished")
    hours_ago = time.time() - 2 * 3600
    os.utime(left, (hours_ago, hours_ago))
    build_pool(list_photographs(folder / "photos"), folder / "pool", min_side_px=112)
    assert fresh.exists()
    assert not left.exists()


def test_an_unfinished_pool_is_refused(folder, pool):
    (folder / "pool" / "index.json").unlink()
    with pytest.raises(DataError, match="holds no pool"):
        PhotographPool(folder / "pool")
    with pytest.raises(DataError, match="none of the 1 photographs"):
        build_pool([Photograph(folder / "photos/set/torn.png", "torn.png")], folder / "other")


@pytest.mark.parametrize(
    "edit",
    [
        lambda index: [],
        lambda index: {**index, "bytes": 1},
        lambda index: {**index, "format": 2},
        lambda index: {**index, "asked": "0" * 64},
        lambda index: {key: value for key, value in index.items() if key != "bytes"},
        lambda index: {**index, "photographs": [{}]},
        lambda index: {**index, "photographs": [{**index["photographs"][0], "size_hw": [10**6, 7]}]},
        lambda index: {**index, "photographs": [{**index["photographs"][0], "grid_yx": []}]},
        lambda index: {**index, "photographs": [{**index["photographs"][0], "objects": [[[[10**30, 1]]]]}]},
        lambda index: {**index, "photographs": 3},
    ],
)
def test_a_damaged_index_is_one_sentence(folder, pool, edit):
    """Most of these ended in a KeyError, TypeError, ValueError or AttributeError."""
    path = folder / "pool" / "index.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(DataError, match=r"the pool of photographs in .* is damaged or of another version"):
        PhotographPool(folder / "pool")


def _digest(stream, numbers, results):
    results.put([int(stream[number].image.astype(np.int64).sum()) for number in numbers])


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_make_the_same_samples_from_a_pool(pool, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    stream = ForgeryStream(pool, 64, seed=3)
    assert len(pickle.dumps(stream)) < 10_000
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    worker = context.Process(target=_digest, args=(stream, range(4), results))
    worker.start()
    got = results.get()
    worker.join()
    assert got == [int(stream[number].image.astype(np.int64).sum()) for number in range(4)]


@pytest.mark.parametrize(("orientation", "grid_yx"), [(1, (0, 0)), (3, (6, 10)), (6, (0, 6)), (8, (10, 0))])
def test_blocks_of_a_turned_photograph_start_where_they_were_stored(tmp_path, orientation, grid_yx):
    """The stored picture is 106 wide and 38 or so high; its blocks count from the stored corner."""
    stored = np.zeros((38, 106, 3), np.uint8)
    stored[::16] = 255
    stored[:, ::16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(stored).save(path, exif=exif)
    source = read_source(Photograph(path, path.name))
    rows = np.flatnonzero((source.pixels[..., 0] == 255).all(axis=1))
    columns = np.flatnonzero((source.pixels[..., 0] == 255).all(axis=0))
    # A white line is the first of its block, or the last one where blocks count from the other end.
    back_y, back_x = ((orientation in (3, 8)), (orientation in (3, 6)))
    assert source.grid_yx == ((rows[0] + back_y) % 16, (columns[0] + back_x) % 16)
    assert source.grid_yx == grid_yx


def test_annotated_objects_come_first(folder):
    triangle = [40, 20, 120, 20, 80, 100]
    document = {
        "images": [{"id": 7, "file_name": "0.png", "width": 170, "height": 150}],
        "categories": [{"id": 1, "name": "sail"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "segmentation": [outline]}
            for outline in ([10, 5.5, 60, 5.5, 30, 5.5], triangle)
        ],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    photographs = list_photographs(folder / "photos")
    annotated = annotated_outlines(path, photographs)
    assert annotated.keys() == {"set/0.png"}
    assert len(annotated["set/0.png"]) == 1  # the other one is a line
    pool, _ = build_pool(photographs, folder / "pool", min_side_px=112, annotated=annotated)
    corners = np.concatenate(pool[0].objects[0])
    assert np.abs(corners[:, None] - np.reshape(triangle, (-1, 2))).max(axis=2).min(axis=0).max() <= 1


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a/0.png", "b/0.png"], "any of a/0.png, b/0.png"), (["a/10.png"], "none of the 1 photographs")],
)
def test_annotations_of_no_certain_photograph_are_an_error(tmp_path, names, words):
    path = tmp_path / "instances.json"
    image = {"id": 7, "file_name": "0.png", "width": 170, "height": 150}
    path.write_text(json.dumps({"images": [image], "categories": [], "annotations": []}))
    with pytest.raises(DataError, match=words):
        annotated_outlines(path, [Photograph(tmp_path / name, name) for name in names])
