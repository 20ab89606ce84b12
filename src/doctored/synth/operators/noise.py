"""Additive noise, drawn for every pixel and channel separately."""

import numpy as np

from doctored.synth.operators.arrays import Rgb, UnroundedRgb


def gaussian_noise(image: Rgb, sigma_levels: int, rng: np.random.Generator) -> UnroundedRgb:
    """Adds normal noise of standard deviation ``sigma_levels`` grey levels."""
    return image + np.float32(sigma_levels) * rng.standard_normal(image.shape, dtype=np.float32)


def uniform_noise(image: Rgb, amplitude_levels: int, rng: np.random.Generator) -> UnroundedRgb:
    """Adds uniform noise from 0 to ``amplitude_levels`` grey levels: one-sided, so the picture brightens."""
    return image + np.float32(amplitude_levels) * rng.random(image.shape, dtype=np.float32)


def poisson_noise(image: Rgb, mean_levels: int, rng: np.random.Generator) -> UnroundedRgb:
    """Adds Poisson counts of mean ``mean_levels``: one-sided, so the picture brightens by that mean."""
    return rng.poisson(mean_levels, image.shape).astype(np.float32) + image


def impulse_noise(image: Rgb, percent: int, rng: np.random.Generator) -> Rgb:
    """Sets samples to 0 with probability ``percent`` / 200, then samples to 255 with the same probability."""
    probability = percent / 200
    pepper, salt = rng.random((2, *image.shape), dtype=np.float32) < probability
    noisy = np.where(pepper, np.uint8(0), image)
    return np.where(salt, np.uint8(255), noisy)
