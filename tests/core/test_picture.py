import hashlib

import numpy as np
import pytest

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.picture import Picture


def test_an_rgb_array_is_taken_as_it_is() -> None:
    array = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture = Picture.from_array(array)
    assert (picture.pixels == array).all()
    assert (picture.size_hw, picture.stored_size_hw, picture.mode) == ((2, 3), (2, 3), "RGB")
    assert (picture.format, picture.path, picture.jpeg, picture.orientation) == ("array", None, None, 1)
    assert picture.sha256 == hashlib.sha256(bytes(range(18))).hexdigest()
    assert picture.file_bytes == 18


def test_grey_is_repeated_and_alpha_is_dropped() -> None:
    grey = np.array([[7, 8, 9]], np.uint8)
    assert Picture.from_array(grey).pixels.tolist() == [[[7, 7, 7], [8, 8, 8], [9, 9, 9]]]
    rgba = np.array([[[10, 20, 30, 0]]], np.uint8)
    assert Picture.from_array(rgba).pixels.tolist() == [[[10, 20, 30]]]


def test_pixels_are_contiguous_and_hashed_in_reading_order() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    flipped = Picture.from_array(array[:, ::-1])
    assert flipped.pixels.flags.c_contiguous
    assert flipped.sha256 == Picture.from_array(array[:, ::-1].copy()).sha256
    assert flipped.sha256 != Picture.from_array(array).sha256


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), ConfigError, r"uint8.*float32.*scale it to 0\.\.255"),
        (np.zeros((4, 4, 3), np.uint16), ConfigError, r"uint8.*uint16.*astype"),
        (np.zeros((4, 4), bool), ConfigError, r"uint8.*bool"),
        ([[1, 2]], ConfigError, r"NumPy array.*list"),
        (np.zeros((3, 4, 4), np.uint8)[None], ShapeError, r"\(1, 3, 4, 4\).*one picture at a time"),
        (np.zeros((3, 5, 7), np.uint8), ShapeError, r"\(3, 5, 7\).*channels last"),
        (np.zeros((4, 4, 1), np.uint8), ShapeError, r"\(4, 4, 1\)"),
        (np.zeros(4, np.uint8), ShapeError, r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), ShapeError, r"at least one pixel"),
    ],
)
def test_other_arrays_are_refused(array: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Picture.from_array(array)  # type: ignore[arg-type]
