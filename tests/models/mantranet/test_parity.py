"""ManTra-Net against its original's graph in TensorFlow, part by part: `parity/mantranet_golden.py` wrote the files."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.models.mantranet.convert import from_keras
from doctored.models.mantranet.mantranet import ManTraNet
from models.mantranet.toys import as_batch, as_map

GOLDEN = Path(__file__).parent / "golden"


def arrays_of(variant: int) -> dict[str, NDArray[np.float32]]:
    """By path in the file that Keras wrote."""
    arrays: dict[str, NDArray[np.float32]] = {}

    def visit(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[path] = item[()]

    with h5py.File(GOLDEN / f"variant-{variant}.h5") as file:
        file.visititems(visit)
    return arrays


def network_of(variant: int) -> ManTraNet:
    settings, state = from_keras(arrays_of(variant), variant)
    network = ManTraNet(settings).eval()
    network.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()}, strict=False)
    return network


def expected_of(variant: int) -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN / f"variant-{variant}.npz") as stored:
        return dict(stored)


@torch.no_grad()
def parts_of(network: ManTraNet, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    image = as_batch(pixels.astype(np.float32) / 255)
    features = network.imtfe(image)
    adapted = network.ladn.adapt(features)
    z_scores = network.ladn.z_scores(adapted, *network.ladn.global_statistics(adapted))
    hidden = network.ladn.clstm(z_scores)
    return {
        "residuals": as_map(network.imtfe.residuals(image)),
        "features": as_map(features),
        "adapted": as_map(adapted),
        "z_scores": z_scores[0].permute(0, 2, 3, 1).numpy(),
        "hidden": as_map(hidden),
        "map": as_map(network(image).sigmoid())[..., 0],
    }


@pytest.mark.parametrize("variant", range(5))
def test_every_part_computes_what_the_original_does(variant: int):
    expected = expected_of(variant)
    found = parts_of(network_of(variant), expected.pop("pixels"))
    assert found.keys() == expected.keys()
    for name, tolerance in (
        ("residuals", 1e-5),
        ("features", 1e-5),
        ("adapted", 1e-4),
        ("z_scores", 1e-4),
        ("hidden", 1e-4),
        ("map", 1e-4),
    ):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


def test_another_variant_s_windows_or_tanh_do_not():
    """What a file does not say must be given, so the comparison has to see it."""
    expected = expected_of(0)
    pixels = expected.pop("pixels")
    network = network_of(0)
    for wrong in ({"transform_tanh": False}, {"window_sizes": (7, 15, 31)}):
        other = ManTraNet(replace(network.settings, **wrong)).eval()
        other.load_state_dict(network.state_dict())
        assert np.abs(parts_of(other, pixels)["map"] - expected["map"]).max() > 1e-2


def test_the_hard_sigmoid_of_torch_does_not(monkeypatch: pytest.MonkeyPatch):
    expected = expected_of(4)
    pixels = expected.pop("pixels")
    monkeypatch.setattr("doctored.layers.convlstm.hard_sigmoid", torch.nn.functional.hardsigmoid)
    assert np.abs(parts_of(network_of(4), pixels)["map"] - expected["map"]).max() > 1e-3
