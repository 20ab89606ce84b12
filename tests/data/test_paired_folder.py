import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ConfigError, DataError
from doctored.data.paired_folder import list_pairs


@pytest.fixture
def folder(tmp_path):
    for kind, suffix, count in (("images", "jpg", 7), ("masks", "png", 7), ("authentic", "jpg", 5)):
        (tmp_path / kind).mkdir()
        for number in range(count):
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / kind / f"p{number}.{suffix}")
    return tmp_path


def test_pairs_are_made_by_stem(folder):
    pairs = list_pairs(folder)
    assert [(image.name, mask.name) for image, mask in pairs.forged] == [
        (f"p{n}.jpg", f"p{n}.png") for n in range(7)
    ]
    assert [path.name for path in pairs.authentic] == [f"p{n}.jpg" for n in range(5)]


def test_files_without_partner_are_named(folder):
    (folder / "masks" / "p3.png").unlink()
    with pytest.raises(DataError, match="pictures without a mask: p3;"):
        list_pairs(folder)
    (folder / "images" / "p3.jpg").unlink()
    (folder / "images" / "p4.jpg").unlink()
    with pytest.raises(DataError, match="masks without a picture: p4;"):
        list_pairs(folder)


def test_ambiguous_and_missing_folders_are_named(folder):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "images" / "p1.png")
    with pytest.raises(DataError, match=r"p1\.png share a name"):
        list_pairs(folder)
    with pytest.raises(DataError, match="images is not there"):
        list_pairs(folder / "masks")


def test_a_limit_takes_half_of_each_class_always_the_same(folder):
    pairs = list_pairs(folder)
    four, eight = pairs.limited(4), pairs.limited(8)
    assert (len(four.forged), len(four.authentic)) == (2, 2)
    assert set(four.forged) < set(eight.forged)
    assert set(four.authentic) < set(eight.authentic)
    assert four == list_pairs(folder).limited(4)
    assert pairs.limited(1000) == pairs
    with pytest.raises(ConfigError, match="at least 2"):
        pairs.limited(1)


def test_a_limit_without_authentic_pictures_is_all_for_forged_ones(folder):
    for path in (folder / "authentic").iterdir():
        path.unlink()
    (folder / "authentic").rmdir()
    pairs = list_pairs(folder)
    assert pairs.authentic == ()
    assert len(pairs.limited(4).forged) == 4
