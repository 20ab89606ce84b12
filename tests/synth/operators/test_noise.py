import numpy as np
import pytest

from doctored.synth.operators.noise import gaussian_noise, impulse_noise, poisson_noise, uniform_noise

GREY = np.full((300, 400, 3), 120, np.uint8)
SAMPLES = GREY.size


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("sigma", [3, 35])
def test_gaussian_noise_has_mean_zero_and_the_given_deviation(sigma):
    noise = gaussian_noise(GREY, sigma, rng()) - 120.0
    assert abs(noise.mean()) < 5 * sigma / np.sqrt(SAMPLES)
    assert noise.std() == pytest.approx(sigma, rel=0.01)
    assert np.mean(np.abs(noise) < sigma) == pytest.approx(0.6827, abs=0.005)


@pytest.mark.parametrize("amplitude", [3, 35])
def test_uniform_noise_is_one_sided_and_even(amplitude):
    noise = uniform_noise(GREY, amplitude, rng()) - 120.0
    assert noise.min() >= 0
    assert noise.max() <= amplitude
    np.testing.assert_allclose(np.histogram(noise, 10, (0, amplitude))[0] / SAMPLES, 0.1, atol=0.005)


@pytest.mark.parametrize("mean", [3, 35])
def test_poisson_noise_brightens_by_counts_of_equal_mean_and_variance(mean):
    noise = poisson_noise(GREY, mean, rng()) - 120.0
    np.testing.assert_array_equal(noise, np.rint(noise))
    assert noise.min() >= 0
    assert noise.mean() == pytest.approx(mean, rel=0.01)
    assert noise.var() == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize("percent", [3, 35])
def test_impulse_noise_sets_the_given_share_of_samples(percent):
    noisy = impulse_noise(GREY, percent, rng())
    assert set(np.unique(noisy)) == {0, 120, 255}
    probability = percent / 200
    tolerance = 5 * np.sqrt(probability / SAMPLES)
    assert np.mean(noisy == 255) == pytest.approx(probability, abs=tolerance)
    # White is set after black, and may hit a black sample.
    assert np.mean(noisy == 0) == pytest.approx(probability * (1 - probability), abs=tolerance)


@pytest.mark.parametrize("operator", [gaussian_noise, uniform_noise, poisson_noise, impulse_noise])
def test_channels_are_hit_separately(operator):
    noise = operator(GREY, 20, rng()) - 120.0
    correlation = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(correlation[~np.eye(3, dtype=bool)]).max() < 0.02
