import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from doctored.apps.png import write_png

cv2 = pytest.importorskip("cv2")


def write(bands, size_hw, **options):
    file = io.BytesIO()
    write_png(file, bands, size_hw=size_hw, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (9, 1), (13, 10)])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_colour_pictures_survive_in_pillow_and_opencv(size_hw, rows):
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    file = write((pixels[top : top + rows] for top in range(0, size_hw[0], rows)), size_hw)
    assert np.array_equal(np.asarray(Image.open(file)), pixels)
    decoded = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded[:, :, ::-1], pixels)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (9, 1), (13, 10)])
def test_16_bit_grey_survives_in_pillow_and_opencv(size_hw):
    grey = np.random.default_rng(0).integers(0, 65536, size_hw, dtype=np.uint16)
    file = write([grey[:1], grey[1:]] if size_hw[0] > 1 else [grey], size_hw)
    image = Image.open(file)
    assert image.mode == "I;16"
    assert np.array_equal(np.asarray(image), grey)
    assert np.array_equal(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED), grey)


def test_8_bit_grey_survives_in_pillow_and_opencv():
    grey = np.random.default_rng(0).integers(0, 256, (13, 10), dtype=np.uint8)
    file = write([grey[:5], grey[5:]], (13, 10))
    image = Image.open(file)
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), grey)
    assert np.array_equal(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED), grey)


def test_colour_profile_reaches_the_viewer():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = write([np.zeros((2, 2, 3), np.uint8)], (2, 2), icc_profile=profile)
    assert Image.open(file).info["icc_profile"] == profile


def test_smooth_pictures_become_small():
    ramp = np.repeat(np.linspace(0, 65535, 600).astype(np.uint16)[None], 400, axis=0)
    assert len(write([ramp], ramp.shape).getvalue()) < ramp.nbytes / 15
