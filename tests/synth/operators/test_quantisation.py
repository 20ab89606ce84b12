import numpy as np
import pytest
from PIL import Image, ImageOps

from doctored.synth.operators.quantisation import dithering, posterization, quantization

RNG = np.random.default_rng(0)


def smooth_picture() -> np.ndarray:
    rows, columns = np.mgrid[0:64, 0:80]
    return np.stack([rows * 4, columns * 3, 255 - rows - columns], axis=-1).astype(np.uint8)


def colours(image: np.ndarray) -> np.ndarray:
    return np.unique(image.reshape(-1, 3), axis=0)


@pytest.mark.parametrize("count", [50, 225])
def test_quantization_leaves_at_most_so_many_colours_and_stays_close(count):
    image = smooth_picture()
    quantised = quantization(image, count, RNG)
    assert count // 2 < len(colours(quantised)) <= count
    assert np.abs(quantised.astype(int) - image).mean() < 12


def test_more_colours_lie_closer():
    image = smooth_picture()
    errors = [np.abs(quantization(image, count, RNG).astype(int) - image).mean() for count in (50, 100, 225)]
    assert errors[0] > errors[1] > errors[2]


def test_dithering_uses_web_colours_that_average_to_the_picture():
    image = np.full((64, 64, 3), (100, 150, 30), np.uint8)
    dithered = dithering(image, None, RNG)
    assert np.all(dithered % 51 == 0)
    assert len(colours(dithered)) > 1
    np.testing.assert_allclose(dithered.mean(axis=(0, 1)), (100, 150, 30), atol=4)


def test_posterization_by_hand():
    image = np.array([[[0b10110111, 0b01011111, 255]]], np.uint8)
    assert posterization(image, 3, RNG).tolist() == [[[0b10100000, 0b01000000, 0b11100000]]]
    assert posterization(image, 7, RNG).tolist() == [[[0b10110110, 0b01011110, 0b11111110]]]


@pytest.mark.parametrize("bits", [3, 4, 5, 6, 7])
def test_posterization_agrees_with_pillow(bits):
    image = smooth_picture()
    expected = np.array(ImageOps.posterize(Image.fromarray(image), bits))
    np.testing.assert_array_equal(posterization(image, bits, RNG), expected)
