import io

import numpy as np
from PIL import Image

from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.evaluate.views import equalised


def test_equalised_is_what_a_file_of_quality_90_would_be_read_as(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling="4:2:0")
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    result, expected = equalised(read_image(tmp_path / "a.png")), read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    for name in ("format", "jpeg", "sha256", "file_bytes", "bit_depth", "mode", "stored_size_hw"):
        assert getattr(result, name) == getattr(expected, name), name
    assert result.path == str(tmp_path / "a.png")


def test_pictures_beyond_the_limit_of_pillow_are_equalised(monkeypatch):
    """What was read under the caller's limit was refused when it was saved alike: Pillow has one of its own."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert equalised(Picture.from_array(np.zeros((40, 50, 3), np.uint8))).size_hw == (40, 50)
