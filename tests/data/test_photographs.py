from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ConfigError, DataError
from doctored.data.photographs import (
    ROLES,
    Photograph,
    development_split,
    list_photographs,
    read_photographs,
    read_split,
    split_photographs,
    with_role,
)


def save(path, size_hw=(20, 30), level=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), level, np.uint8)).save(path)


def named(count, source=None, camera=None, prefix="p"):
    return [Photograph(Path(f"{prefix}{i}.jpg"), f"{prefix}{i}.jpg", source, camera) for i in range(count)]


def test_listing_is_recursive_sorted_and_knows_the_manifest(tmp_path):
    for file in ("b.JPG", "a/z.png", "a/c.webp"):
        save(tmp_path / file)
    (tmp_path / "notes.txt").write_text("not a photograph")
    (tmp_path / "manifest.csv").write_text(
        "file,make,model,source\na/z.png,Canon,Canon  EOS 5D ,web\nb.JPG,,,web\n"
    )
    listed = list_photographs(tmp_path)
    assert [photograph.file for photograph in listed] == ["a/c.webp", "a/z.png", "b.JPG"]
    assert [photograph.source for photograph in listed] == [None, "web", "web"]
    assert [photograph.camera for photograph in listed] == [None, "canon eos 5d", None]
    assert listed[0].path == tmp_path / "a" / "c.webp"


def test_a_wrong_folder_or_manifest_is_named(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        list_photographs(tmp_path / "absent")
    with pytest.raises(DataError, match="no photographs"):
        list_photographs(tmp_path)
    save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("file,source\na.png,web\ngone.png,web\n")
    with pytest.raises(DataError, match=r"gone\.png"):
        list_photographs(tmp_path)
    (tmp_path / "manifest.csv").write_text("name\na.png\n")
    with pytest.raises(DataError, match="no column 'file'"):
        list_photographs(tmp_path)


def test_a_split_keeps_cameras_and_sources_whole():
    photographs = [
        *named(30, "web", "canon", "c"),
        *named(5, "phones", "pixel", "p"),
        *named(4, "web", "pixel", "q"),
        *named(20, "scans", None, "s"),
        *named(60, prefix="n"),
    ]
    train, held_out = split_photographs(photographs, 0.2)
    assert sorted(train + held_out, key=photographs.index) == photographs
    assert 0 < len(held_out) <= 0.2 * len(photographs)
    cameras = [{photograph.camera for photograph in part} - {None} for part in (train, held_out)]
    sources = [
        {photograph.source for photograph in part if photograph.camera is None} - {None}
        for part in (train, held_out)
    ]
    assert not cameras[0] & cameras[1]
    assert not sources[0] & sources[1]


def test_a_split_does_not_depend_on_order_nor_shift_with_additions():
    photographs = named(200)
    _, held_out = split_photographs(photographs)
    _, again = split_photographs(photographs[::-1])
    assert {p.file for p in held_out} == {p.file for p in again}
    assert len(held_out) == 20
    _, more = split_photographs(photographs + named(4, prefix="new"))
    assert len({p.file for p in held_out} - {p.file for p in more}) <= 4


def test_names_that_are_no_text_are_split_too():
    learn, held_out = split_photographs(named(20, prefix="caf\udce9"))
    assert (len(learn), len(held_out)) == (18, 2)


def test_a_split_that_cannot_be_is_refused_and_two_groups_suffice():
    with pytest.raises(DataError, match="one camera or source"):
        split_photographs(named(5, "web"))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_photographs(named(5), 1.0)
    train, held_out = split_photographs(named(5, "web") + named(3, "scans"))
    assert (len(train), len(held_out)) == (5, 3)


def test_reading_reports_what_it_skips(tmp_path):
    save(tmp_path / "good.png", level=7)
    save(tmp_path / "small.png", size_hw=(5, 40))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    pixels, skipped = read_photographs(list_photographs(tmp_path), min_side_px=16)
    assert list(pixels) == ["good.png"]
    np.testing.assert_array_equal(pixels["good.png"], np.full((20, 30, 3), 7, np.uint8))
    assert [entry.file for entry in skipped] == ["broken.jpg", "small.png"]
    assert "damaged" in skipped[0].reason
    assert "40 x 5" in skipped[1].reason
    with pytest.raises(DataError, match="none of the 3"):
        read_photographs(list_photographs(tmp_path), min_side_px=100)


def test_roles_select_and_unknown_files_are_named():
    photographs = named(3)
    split = {"p0.jpg": "train", "p1.jpg": "test", "p2.jpg": "train"}
    assert [p.file for p in with_role(photographs, split, "train")] == ["p0.jpg", "p2.jpg"]
    with pytest.raises(ConfigError, match="role must be one of"):
        with_role(photographs, split, "validation")
    with pytest.raises(DataError, match=r"p3\.jpg"):
        with_role(named(4), split, "train")
    with pytest.raises(DataError, match="'calibration'"):
        with_role(photographs, split, "calibration")


def test_a_split_file_is_checked(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("file,role\na.jpg,train\nb.jpg,unused\n")
    assert read_split(path) == {"a.jpg": "train", "b.jpg": "unused"}
    path.write_text("file,role\na.jpg,training\n")
    with pytest.raises(DataError, match="roles training; expected train, calibration"):
        read_split(path)
    path.write_text("file\na.jpg\n")
    with pytest.raises(DataError, match="columns file and role"):
        read_split(path)
    with pytest.raises(DataError, match=r"gone\.csv"):
        read_split(tmp_path / "gone.csv")


def test_the_development_split_gives_whole_sources_to_each_role():
    split = development_split()
    assert set(split.values()) == set(ROLES)
    sources = {role: {file.split("/")[0] for file in split if split[file] == role} for role in ROLES[:3]}
    assert not sources["train"] & sources["calibration"]
    assert not sources["train"] & sources["test"]
    assert not sources["calibration"] & sources["test"]
    shares = {role: sum(value == role for value in split.values()) for role in ROLES[:3]}
    assert shares["train"] > shares["calibration"] > shares["test"] >= 80


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,source\n\xff.png,web\n", "no readable CSV file"),
        (b'file,source\n"a.png' + b"x" * 200_000, "no readable CSV file"),
        (b"source,file\nweb\n", "a row that ends before its column 'file'"),
    ],
)
def test_a_damaged_manifest_or_split_is_one_sentence(tmp_path, content, message):
    """These ended in a UnicodeDecodeError, a csv.Error and a TypeError."""
    save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list_photographs(tmp_path)
    (tmp_path / "split.csv").write_bytes(content.replace(b"source", b"role"))
    with pytest.raises(DataError, match=message):
        read_split(tmp_path / "split.csv")
