import io

import numpy as np
import pytest
from PIL import Image

from doctored.synth.jpeg_tables import camera_qualities, camera_tables, scaled_tables


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 98])
def test_standard_tables_are_those_of_libjpeg(quality):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        assert [picture.quantization[0], picture.quantization[1]] == scaled_tables(quality, "standard")


@pytest.mark.parametrize(("family", "flatter"), [("flat", True), ("steep", False)])
def test_bent_tables_keep_their_mean(family, flatter):
    luma, standard = scaled_tables(70, family)[0], scaled_tables(70, "standard")[0]
    assert (luma[0] > standard[0]) == flatter
    assert sum(luma) == pytest.approx(sum(standard), rel=0.03)


def test_camera_tables_are_tables_and_none_is_a_standard_one():
    standard = [scaled_tables(quality, "standard") for quality in range(1, 101)]
    assert len(camera_tables()) > 40
    for tables in camera_tables().values():
        assert np.shape(tables) == (2, 64)
        assert np.min(tables) >= 1
        assert np.max(tables) <= 255
        assert tables not in standard


def test_a_cameras_quality_is_that_of_the_standard_table_of_like_steps():
    qualities = camera_qualities()
    assert qualities.keys() == camera_tables().keys()
    for name in ("nikon_d90", "canon_eos_d60"):
        near = np.mean(scaled_tables(qualities[name], "standard")[0])
        assert np.mean(camera_tables()[name][0]) == pytest.approx(near, rel=0.1)
    # tables from fine to coarse, so that every quality that is drawn has some near it
    assert sum(70 <= quality <= 98 for quality in qualities.values()) > 30
