from dataclasses import asdict

import numpy as np
import pytest

from doctored.models.catalog import CATALOG
from doctored.models.mantranet.mantranet import ManTraNet
from models.mantranet.toys import TOY_SETTINGS


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.kind == "yardstick"])
def test_yardsticks_turn_pixels_into_maps(name: str):
    localization_map = CATALOG[name].build({})(np.full((20, 30, 3), 9, np.uint8))
    assert localization_map.shape == (20, 30)
    assert localization_map.dtype == np.float32


def test_networks_are_built_from_their_settings():
    network = CATALOG["mantranet"].build(asdict(TOY_SETTINGS))
    assert isinstance(network, ManTraNet)
    assert network.settings == TOY_SETTINGS


def test_every_entry_is_described():
    for entry in CATALOG.values():
        assert entry.description.endswith(".")
