import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from doctored.predict.adapted_map import MapInMemory, MapOnDisk, disk_for_maps_mb, map_bytes

SHAPE = (37, 53, 4)
REGIONS = [
    (slice(rows, min(rows + 16, 37)), slice(columns, min(columns + 20, 53)))
    for rows in range(0, 37, 16)
    for columns in range(0, 53, 20)
]


def test_what_was_written_in_parts_is_read_in_others(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    with MapOnDisk(SHAPE, tmp_path) as on_disk:
        for kept in (on_disk, MapInMemory(SHAPE)):
            for region in REGIONS:
                kept.write(region, values[region])
            for part in (
                (slice(0, 37), slice(0, 53)),
                (slice(9, 30), slice(11, 52)),
                (slice(36, 37), slice(0, 1)),
            ):
                np.testing.assert_array_equal(kept.read(part), values[part])


def test_parts_of_larger_arrays_are_written_as_they_look(tmp_path: Path):
    tile = np.arange(20 * 30 * 4, dtype=np.float32).reshape(20, 30, 4)
    with MapOnDisk(SHAPE, tmp_path) as kept:
        kept.write((slice(2, 12), slice(5, 15)), tile[3:13, 7:17])
        np.testing.assert_array_equal(kept.read((slice(2, 12), slice(5, 15))), tile[3:13, 7:17])


def test_the_file_has_no_name_and_its_room_comes_back(tmp_path: Path):
    kept = MapOnDisk(SHAPE, tmp_path)
    assert list(tmp_path.iterdir()) == []
    kept.close()
    with pytest.raises(ValueError, match="closed file"):
        kept.read(REGIONS[0])


def test_too_little_room_is_found_out_at_once(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (map_bytes(SHAPE) - 1, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            MapOnDisk(SHAPE, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    MapOnDisk(SHAPE, tmp_path).close()


def test_at_most_half_of_the_free_disk_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    free_mb = shutil.disk_usage(tmp_path).free / 1e6
    assert 0.4 * free_mb < disk_for_maps_mb() < 0.6 * free_mb
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert disk_for_maps_mb() == 0
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delattr(os, "posix_fallocate")
    assert disk_for_maps_mb() == 0
