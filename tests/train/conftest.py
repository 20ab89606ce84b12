"""Toy networks and photographs, small enough to train within a test."""

import numpy as np
import pytest

from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.imc import ImcTask
from doctored.train.settings import ImcSettings


@pytest.fixture(scope="session")
def toy_settings():
    return ManTraNetSettings(
        first_layer_filters=13,
        widths=(4, 4, 4, 4, 4),
        feature_channels=8,
        adapted_channels=4,
        hidden_channels=2,
    )


@pytest.fixture(scope="session")
def photographs():
    """Smooth shapes plus sensor-like noise, 260 px."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(3):
        coarse = rng.uniform(20, 235, (9, 9, 3))
        picture = np.kron(coarse, np.ones((29, 29, 1)))[:260, :260]
        pictures.append(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8))
    return pictures


@pytest.fixture
def imc_task(toy_settings, photographs):
    """Make the same tiny task anew, as a new process would."""

    def make(**changes):
        values = {
            "steps": 6,
            "batch_size": 2,
            "crop_px": 32,
            "work_px": 48,
            "regions": 4,
            "held_out_crops": 4,
            "learning_rate": 1e-3,
            "warmup_steps": 2,
            "log_steps": 1,
            "workers": 0,
            **changes,
        }
        settings = ImcSettings(**values)
        task = ImcTask(settings, photographs[:2], photographs[2:], None, {"photographs": 2}, toy_settings)
        return task, settings

    return make
