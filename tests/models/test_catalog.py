from dataclasses import asdict

import numpy as np
import pytest

from doctored.models.catalog import CATALOG
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.mantranet.mantranet import ManTraNet
from models.constrained_rcnn.toys import TOY_SETTINGS as TOY_RCNN
from models.mantranet.toys import TOY_SETTINGS


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.kind == "yardstick"])
def test_yardsticks_turn_pixels_into_maps(name: str):
    localization_map = CATALOG[name].build({})(np.full((20, 30, 3), 9, np.uint8))
    assert localization_map.shape == (20, 30)
    assert localization_map.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [("mantranet", ManTraNet, TOY_SETTINGS), ("constrained-rcnn", ConstrainedRCNN, TOY_RCNN)],
)
def test_networks_are_built_from_their_settings(name: str, kind: type, settings: object):
    network = CATALOG[name].build(asdict(settings))
    assert isinstance(network, kind)
    assert network.settings == settings
    assert CATALOG[name].settings is type(settings)


def test_constrained_rcnn_tells_the_generators_techniques_apart():
    assert CATALOG["constrained-rcnn"].techniques == ("splicing", "copy_move", "removal", "enhancement")


def test_every_entry_is_described():
    for entry in CATALOG.values():
        assert entry.description.endswith(".")
