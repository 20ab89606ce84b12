import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.predict.export import export_constrained_rcnn, export_mantranet, record_int8_check
from doctored.predict.weights import ExportedModel, read_exported
from models.constrained_rcnn.toys import TOY_SETTINGS, overfitted_toy, tiny_pictures
from models.mantranet.toys import random_mantranet, random_picture


@pytest.fixture(scope="session")
def exported_toy(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """A small random network, exported in float32 with full weights."""
    return export_mantranet(random_mantranet(), tmp_path_factory.mktemp("toy") / "fp32", half_weights=False)


@pytest.fixture(scope="session")
def quantised_toy(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """The same network with int8 files that passed their check."""
    pictures = [(random_picture(96, 128, seed) * 255).astype(np.uint8) for seed in range(2)]
    folder = tmp_path_factory.mktemp("toy") / "int8"
    export_mantranet(random_mantranet(), folder, pictures, training="noise")
    return record_int8_check(folder, passed=True, figures={"auc": 0.5})


@pytest.fixture
def toy_copy(exported_toy: ExportedModel, tmp_path: Path) -> Path:
    """A folder with the same files, to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(exported_toy.folder, folder)
    assert read_exported(folder) is not None
    return folder


@pytest.fixture(scope="session")
def random_rcnn() -> ConstrainedRCNN:
    """A small Constrained R-CNN; its answers mean nothing."""
    torch.manual_seed(0)
    return ConstrainedRCNN(TOY_SETTINGS).eval()


@pytest.fixture(scope="session")
def exported_rcnn(random_rcnn: ConstrainedRCNN, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """The same, exported in float32 with full weights."""
    return export_constrained_rcnn(random_rcnn, tmp_path_factory.mktemp("rcnn") / "fp32", half_weights=False)


@pytest.fixture(scope="session")
def overfitted_rcnn(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """One that finds the forgeries of `tiny_batch`, with int8 files."""
    folder = tmp_path_factory.mktemp("rcnn") / "int8"
    return export_constrained_rcnn(overfitted_toy(), folder, tiny_pictures(), training="two forgeries")
