"""A toy model for tests of whole commands; its answers mean nothing."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def toy_network():
    pytest.importorskip("torch")
    from models.mantranet.toys import random_mantranet

    return random_mantranet()


@pytest.fixture(scope="session")
def toy_model(toy_network, tmp_path_factory):
    """Folder of an exported model, with int8."""
    from doctored.predict.export import export_mantranet

    folder = tmp_path_factory.mktemp("embedded") / "mantranet"
    images = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    export_mantranet(toy_network, folder, images, training="noise")
    return folder
