import numpy as np
import pytest

from doctored.synth.operators.contrast import auto_contrast, hist_eq

RNG = np.random.default_rng(0)


def test_auto_contrast_without_cutoff_stretches_each_channel_by_hand():
    image = np.array([[[40, 0, 7], [120, 128, 7], [200, 255, 7]]], np.uint8)
    # A channel of one value has nothing to stretch.
    assert auto_contrast(image, 0, RNG).tolist() == [[[0, 0, 7], [127, 128, 7], [255, 255, 7]]]


@pytest.mark.parametrize("cutoff_percent", [1, 7])
def test_auto_contrast_ignores_the_darkest_and_brightest_pixels(cutoff_percent):
    """Of 100 pixels with 100 values, one percent is one value at either end."""
    values = np.arange(50, 150, dtype=np.uint8)
    image = np.random.default_rng(1).permutation(values).reshape(10, 10, 1).repeat(3, axis=2)
    darkest, brightest = 50 + cutoff_percent, 149 - cutoff_percent
    expected = (image.astype(float) - darkest) * 255 / (brightest - darkest)
    stretched = auto_contrast(image, cutoff_percent, RNG)
    np.testing.assert_allclose(stretched, expected.clip(0, 255), atol=1)
    assert (stretched == 255).sum() == 3 * (cutoff_percent + 1)


def equalised_channel(channel: np.ndarray) -> np.ndarray:
    lowest = int((channel == channel.min()).sum())
    result = np.empty(channel.shape)
    for y, x in np.ndindex(channel.shape):
        not_brighter = int((channel <= channel[y, x]).sum())
        result[y, x] = np.rint((not_brighter - lowest) / (channel.size - lowest) * 255)
    return result


@pytest.mark.parametrize(
    ("bits", "equalised"), [(1, "B"), (2, "G"), (3, "GB"), (4, "R"), (5, "RB"), (6, "RG"), (7, "RGB")]
)
def test_histogram_equalisation_of_the_chosen_channels_alone(bits, equalised):
    image = np.random.default_rng(2).normal((90, 120, 150), (10, 20, 15), (24, 30, 3)).astype(np.uint8)
    result = hist_eq(image, bits, RNG)
    for channel, letter in enumerate("RGB"):
        before = image[..., channel]
        expected = equalised_channel(before) if letter in equalised else before
        np.testing.assert_allclose(result[..., channel], expected, atol=1)
        assert np.any(result[..., channel] != before) == (letter in equalised)
