"""Families by hand, and the head against the network's own."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from doctored.core.errors import ConfigError, ModelError
from doctored.core.imc_classes import IMC_CLASSES, IMC_FAMILIES
from doctored.core.inspection import Region
from doctored.models.imc_head import UNIT_FEATURE_SCALE, IMCHead, level_log_probabilities
from doctored.predict.detector import load_witness
from doctored.predict.export import export_mantranet, export_network
from doctored.predict.families import (
    IMC_HEAD_FILE,
    WINDOW_PX,
    ImcHead,
    mean_feature_of,
    read_imc_head,
    window_of,
)
from doctored.predict.weights import load_imc_head
from models.constrained_rcnn.toys import overfitted_toy
from models.mantranet.toys import random_mantranet

CHANNELS = 12  # of the toy network


def random_head(channels=CHANNELS, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(len(IMC_CLASSES), channels)).astype(np.float32)
    return ImcHead(weight, rng.normal(size=len(IMC_CLASSES)).astype(np.float32))


def test_a_family_is_as_likely_as_its_classes_together_by_hand():
    # Two blurs of log-odds log 3 each against one noise of log 5, and nothing else.
    classes = {family: [c.index for c in IMC_CLASSES if c.family == family] for family in ("blur", "noise")}
    bias = np.full(len(IMC_CLASSES), -1000, np.float32)
    bias[classes["blur"][:2]], bias[classes["noise"][0]] = np.log(3), np.log(5)
    family, score = ImcHead(np.zeros((len(IMC_CLASSES), 4), np.float32), bias).family(np.ones(4, np.float32))
    assert family == "blur"
    assert score == pytest.approx(6 / 11)


def test_it_is_what_the_networks_head_says(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    head = IMCHead(CHANNELS, feature_scale=UNIT_FEATURE_SCALE)
    state = {f"imc_head.{name}": tensor.to(torch.bfloat16) for name, tensor in head.state_dict().items()}
    save_file(state | {"imtfe.x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    feature = torch.nn.functional.normalize(torch.randn(1, CHANNELS))
    with torch.no_grad():
        likelihoods = level_log_probabilities(head(feature))[7].exp()[0]
    for path in (tmp_path, tmp_path / "weights.safetensors"):
        family, score = load_imc_head(path).family(feature[0].numpy())
        assert family == IMC_FAMILIES[int(likelihoods.argmax())]
        assert score == pytest.approx(float(likelihoods.max()), abs=0.01)


def test_the_window_lies_around_the_middle_of_the_mask_and_in_the_picture():
    assert window_of(Region((0, 0, 10, 10), None, 1), (400, 100)) == (slice(0, WINDOW_PX), slice(0, 100))
    assert window_of(Region((390, 200, 400, 220), None, 1), (300, 400)) == (slice(146, 274), slice(272, 400))
    mask = np.zeros((200, 300), bool)
    mask[150:160, 20:30] = True
    rows, columns = window_of(Region((100, 50, 400, 250), None, 1, mask), (1000, 1000))
    assert (rows.start + rows.stop) // 2 == 50 + 154
    assert (columns.start + columns.stop) // 2 == 100 + 24


def test_only_pixels_of_the_region_count():
    features = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    window = (slice(100, 140), slice(200, 250))
    mask = np.zeros((30, 20), bool)
    mask[12, 5] = mask[15, 7] = mask[0, 0] = True  # the last lies above the window
    region = Region((210, 90, 230, 120), "splicing", 0.9, mask)
    expected = (features[90 + 12 - 100, 210 + 5 - 200] + features[90 + 15 - 100, 210 + 7 - 200]) / 2
    np.testing.assert_allclose(mean_feature_of(region, window, features), expected, rtol=1e-6)
    whole = Region((210, 90, 230, 120), "splicing", 0.9)
    np.testing.assert_allclose(
        mean_feature_of(whole, window, features), features[:20, 10:30].mean((0, 1)), rtol=1e-5
    )


def test_an_export_with_a_head_names_families_by_the_features_of_the_region(tmp_path):
    head = random_head()
    exported = export_mantranet(random_mantranet(), tmp_path / "model", half_weights=False, imc_head=head)
    assert exported.names_families
    witness = load_witness(str(tmp_path / "model"), precision="fp32")
    pixels = np.random.default_rng(1).integers(0, 256, (90, 110, 3), np.uint8)
    region = Region((30, 20, 70, 60), "splicing", 0.9)
    with torch.no_grad():
        batch = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]
        features = random_mantranet().imtfe(batch)[0, :, 20:60, 30:70].mean((1, 2)).numpy()
    named = witness.family_of(pixels, region)
    expected = head.family(features)
    assert named[0] == expected[0]
    assert named[1] == pytest.approx(expected[1], abs=1e-3)


def test_an_export_without_a_head_names_none(exported_toy):
    assert not exported_toy.names_families
    witness = load_witness(str(exported_toy.folder), precision="fp32")
    assert witness.family_of(np.zeros((64, 64, 3), np.uint8), Region((0, 0, 9, 9), None, 1)) is None


def test_a_head_that_does_not_fit_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="by 10 features, the network has 12"):
        export_mantranet(random_mantranet(), tmp_path / "a", imc_head=random_head(10))
    with pytest.raises(ConfigError, match="only a ManTra-Net takes a head"):
        export_network(overfitted_toy(), tmp_path / "b", imc_head=random_head())
    with pytest.raises(ModelError, match="a head has weights"):
        ImcHead(np.zeros((3, 2), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ModelError, match="NaN or infinity"):
        ImcHead(np.full((len(IMC_CLASSES), 2), np.nan, np.float32), np.zeros(len(IMC_CLASSES), np.float32))


def test_a_damaged_head_is_a_sentence(tmp_path):
    path = tmp_path / IMC_HEAD_FILE
    for content in (b"", b"PK", random_head().to_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="is no head that names manipulations"):
            read_imc_head(path)
    path.write_bytes(random_head().to_bytes())
    np.testing.assert_array_equal(read_imc_head(path).weight, random_head().weight)
    with pytest.raises(ModelError, match="holds no head"):
        load_imc_head(tmp_path)


def test_the_head_of_another_network_is_refused(tmp_path):
    from safetensors.torch import save_file

    # As many features, of Constrained R-CNN.
    state = {f"imc_head.{name}": tensor for name, tensor in IMCHead(256).state_dict().items()}
    save_file(state | {"backbone.conv1.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"holds no head .* of ManTra-Net's extractor .'imtfe'"):
        load_imc_head(tmp_path)


def _npz(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', 'fortran_order': False, 'shape': (3", b"{'descr': (", b"\xff" * 20]
)
def test_a_damaged_header_of_an_array_is_one_sentence(tmp_path, header):
    """NumPy raises errors of its tokenizer and others for them."""
    array = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
    (tmp_path / IMC_HEAD_FILE).write_bytes(_npz({"weight.npy": array, "bias.npy": array}))
    with pytest.raises(ModelError, match="is no head that names manipulations"):
        read_imc_head(tmp_path / IMC_HEAD_FILE)


def test_what_unpacks_to_far_more_is_not_unpacked(tmp_path):
    (tmp_path / IMC_HEAD_FILE).write_bytes(_npz({"weight.npy": bytes(20_000_000)}))
    with pytest.raises(ModelError, match="unpacks to more than 16 MB"):
        read_imc_head(tmp_path / IMC_HEAD_FILE)
