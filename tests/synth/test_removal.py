import dataclasses

import numpy as np
import pytest

from doctored.synth.removal import remove
from synth.scenes import SIDE_PX, box, scene

FILLS = {"telea", "navier_stokes", "exemplar", "clone", "retouch", "smooth"}


def test_a_removal_takes_the_colour_around_it_whatever_the_fill():
    canvas = np.full((SIDE_PX, SIDE_PX, 3), (200, 120, 40), np.uint8)
    fills = set()
    for seed in range(60):
        composite = remove(scene("web", canvas=canvas), np.random.default_rng(seed))
        filled = composite.image[composite.gt_mask].mean(axis=0)
        np.testing.assert_allclose(filled, (200, 120, 40), atol=2)
        fills.add(composite.choices["fill"])
    assert fills == FILLS


def test_inpainting_that_is_waited_for_has_a_small_radius_and_a_small_region():
    radii = []
    for seed in range(120):
        composite = remove(scene("lossless", seed, box(10, 10, 90, 90)), np.random.default_rng(seed))
        if composite.choices["fill"] in ("telea", "navier_stokes"):
            radii.append(composite.choices["radius_px"])
            assert composite.gt_mask.mean() < 0.05
    assert min(radii) >= 3
    assert max(radii) <= 9


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_radius_comes_only_where_it_is_asked_for(seed):
    wide = dataclasses.replace(scene("web", seed), wide_inpainting=True)
    composite = remove(wide, np.random.default_rng(seed))
    assert composite.choices["fill"] in ("telea", "navier_stokes")
    assert 10 <= composite.choices["radius_px"] <= 33
