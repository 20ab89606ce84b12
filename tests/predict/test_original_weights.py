import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, ModelError
from doctored.models.constrained_rcnn.settings import compat
from doctored.predict.original_weights import convert_original, read_hdf5, read_pytorch
from models.constrained_rcnn.released import imagenet_arrays, released_arrays, training_variables
from models.constrained_rcnn.test_convert import narrow as narrow_rcnn
from models.constrained_rcnn.test_convert import network as random_rcnn
from models.mantranet.test_convert import keras_arrays, narrow, port_arrays
from models.mantranet.toys import random_mantranet
from predict.bundles import table, write_bundle

Arrays = Mapping[str, NDArray[Any]]


def write_keras(path: Path, arrays: Arrays, inside: str = "") -> Path:
    """As Keras 2.2's `save_weights`: a group for each layer, which names its arrays, and groups that have none."""
    with h5py.File(path, "w") as file:
        root = file.create_group(inside) if inside else file
        layers = dict.fromkeys(["input_1", *(name.split("/")[0] for name in arrays), "expTime"])
        root.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            names = [name for name in arrays if name.startswith(f"{layer}/")]
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.split("/", 1)[1].encode() for name in names]
            for name in names:
                root[name] = arrays[name]
    return path


def write_pytorch(path: Path, arrays: Arrays, **options: Any) -> Path:
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, path, **options)
    return path


@pytest.mark.parametrize("variant", range(5))
def test_every_released_keras_file_is_known_by_its_name(tmp_path: Path, variant: int):
    original = random_mantranet(narrow(variant))
    path = write_keras(tmp_path / f"ManTraNet_Ptrain{variant}.h5", keras_arrays(original))
    converted = convert_original(path)
    assert converted.model == "mantranet"
    assert converted.settings == narrow(variant)
    assert converted.origin == f"ManTra-Net, variant {variant}, of Keras"
    assert converted.files == (path,)
    np.testing.assert_array_equal(converted.arrays["imtfe.b3c2.weight"], original.imtfe.b3c2.weight.detach())


def test_a_whole_saved_model_is_read_without_its_optimiser(tmp_path: Path):
    arrays = keras_arrays(random_mantranet(narrow(2)))
    path = write_keras(tmp_path / "mine.h5", arrays, inside="model_weights")
    with h5py.File(path, "a") as file:
        file["optimizer_weights/iterations"] = 7
    assert convert_original(path, variant=2).settings == narrow(2)


def test_an_unknown_name_needs_the_variant(tmp_path: Path):
    path = write_keras(tmp_path / "mine.h5", keras_arrays(random_mantranet(narrow(2))))
    with pytest.raises(ConfigError, match=r"could be one of several ManTra-Nets, .* give --variant"):
        convert_original(path)
    assert convert_original(path, 3).settings == narrow(3)
    with pytest.raises(ConfigError, match="variant 0 has 32"):
        convert_original(path, 0)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_ports_files_old_and_new_and_wrapped(tmp_path: Path, options: dict[str, bool], wrapped: bool):
    original = random_mantranet(narrow(4))
    path = write_pytorch(tmp_path / "MantraNetv4.pt", port_arrays(original), **options)
    if wrapped:
        torch.save({"model": torch.load(path, weights_only=True), "epoch": 3}, path, **options)
    converted = convert_original(path)
    assert (converted.model, converted.settings) == ("mantranet", narrow(4))
    np.testing.assert_array_equal(converted.arrays["ladn.pred.weight"], original.ladn.pred.weight.detach())
    with pytest.raises(ConfigError, match="whose ManTra-Net is variant 4; leave --variant out"):
        convert_original(path, 3)


def test_the_ports_extractor_is_a_start_for_training(tmp_path: Path):
    arrays = {
        name.removeprefix("IMTFE."): array
        for name, array in port_arrays(random_mantranet(narrow(4))).items()
        if name.startswith("IMTFE.")
    }
    assert convert_original(write_pytorch(tmp_path / "IMTFEv4.pt", arrays)).model == "mantranet-imc"


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_a_checkpoint_by_any_of_its_names(tmp_path: Path, suffix: str):
    arrays = released_arrays(random_rcnn(compat()))
    name = write_bundle(tmp_path / "res101_mask_iter_60000", arrays | training_variables(arrays))
    name.mkdir()  # a folder of the same name is not meant
    converted = convert_original(name.with_name(name.name + suffix))
    assert converted.model == "constrained-rcnn"
    assert converted.settings == narrow_rcnn(compat())
    assert converted.origin == "Constrained R-CNN (authentic, splicing, removal, copy_move)"
    assert [path.suffix for path in converted.files] == [".index", ".data-00000-of-00001"]
    with pytest.raises(ConfigError, match="ManTra-Net never is; leave --variant out"):
        convert_original(name, 4)


def test_what_keras_and_tensorflow_themselves_wrote():
    """The files that the scripts in `parity/` make; whole networks of few channels."""
    models = Path(__file__).parents[1] / "models"
    for variant in range(5):
        converted = convert_original(models / "mantranet" / "golden" / f"variant-{variant}.h5", variant)
        assert converted.settings.transform_tanh == (variant == 0)
        assert converted.settings.window_sizes[-1] == (31 if variant == 4 else 63)
    converted = convert_original(models / "constrained_rcnn" / "golden" / "released.index")
    assert converted.origin == "Constrained R-CNN (authentic, splicing, removal, copy_move)"


def test_other_checkpoints_say_what_they_are(tmp_path: Path):
    first = random_rcnn(compat(("authentic", "manipulated"), mask_stage=False))
    converted = convert_original(write_bundle(tmp_path / "first", released_arrays(first)))
    assert converted.origin == "Constrained R-CNN, stage 1 (authentic, manipulated)"
    assert converted.model == "constrained-rcnn"
    backbone = convert_original(write_bundle(tmp_path / "res101", imagenet_arrays(random_rcnn(compat()))))
    assert (backbone.model, backbone.origin) == ("constrained-rcnn-imc", "TF-slim's ResNet-101 for ImageNet")
    other = write_bundle(tmp_path / "other", {"dense/kernel": np.zeros((2, 2), np.float32)})
    with pytest.raises(
        ModelError, match=r"other: these are not the weights of Constrained R-CNN.*\(dense/kernel\)"
    ):
        convert_original(other)


def test_variables_that_only_training_needs_are_not_read(tmp_path: Path):
    arrays = released_arrays(random_rcnn(compat()))
    name = write_bundle(tmp_path / "m", arrays | {"zzz/weights/Momentum": np.zeros(100)})
    (shard,) = tmp_path.glob("m.data-*")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1  # in the momentum, which comes last
    shard.write_bytes(content)
    assert convert_original(name).model == "constrained-rcnn"


def _zip(names: tuple[str, ...]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"hello")
    return content.getvalue()


class Payload:
    """What a pickle of unknown origin may do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no weight file of a known format; give a Keras file"),
        (b"just some text\n" * 9, "is no weight file of a known format"),
        (table({b"": b"\x0a\x02\x0a\x00"}), r"the old format V1; load it in TensorFlow .*write_version=2"),
        (_zip(("readme.txt",)), "cannot be read as PyTorch's weights"),
        (_zip(("archive/data.pkl", "archive/version")), "cannot be read as PyTorch's weights"),
        (pickle.dumps({"a": 1}), "cannot be read as PyTorch's weights"),
        (pickle.dumps(Payload()), "cannot be read as PyTorch's weights"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "cannot be read as HDF5"),
    ],
)
def test_foreign_files_are_named(
    tmp_path: Path, content: bytes, sentence: str, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "ManTraNet_Ptrain4.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence) as caught:
        convert_original(path)
    assert "\n" not in str(caught.value)
    assert "this must not run" not in capsys.readouterr().out


def test_missing_files_and_folders_are_named(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"no-such.h5 cannot be read \(No such file or directory\); give a Keras"
    ):
        convert_original(tmp_path / "no-such.h5")
    with pytest.raises(ModelError, match=r"cannot be read \(Is a directory\)"):
        convert_original(tmp_path)
    with pytest.raises(ModelError, match=r"m.index cannot be read"):
        convert_original(tmp_path / "m.meta")


def test_keras_files_of_other_networks_are_named(tmp_path: Path):
    path = write_keras(
        tmp_path / "vgg_Ptrain4.h5", {"block1/block1/kernel:0": np.zeros((3, 3, 3, 8), np.float32)}
    )
    with pytest.raises(
        ModelError, match=r"vgg_Ptrain4.h5: these are not .*ManTra-Net's Keras.*block1/block1/kernel"
    ):
        convert_original(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read as HDF5"):
        convert_original(path)


def test_traps_in_hdf5_are_refused(tmp_path: Path):
    path = tmp_path / "trap.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/huge", (10**6, 10**6), np.float32, chunks=(1000, 1000), compression="gzip")
    with pytest.raises(ModelError, match="a/huge is larger than the file"):
        read_hdf5(path)
    with h5py.File(path, "w") as file:
        file["a/text"] = "hello"
    with pytest.raises(ModelError, match="holds a/text, which is no array of numbers"):
        read_hdf5(path)
    with h5py.File(path, "w") as file:
        file["a/none"] = h5py.Empty("f")
    with pytest.raises(ModelError, match="holds a/none, which is no array"):
        read_hdf5(path)
    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(path, "w") as file:
        file.create_dataset("a/elsewhere", (4,), np.float32, external=str(tmp_path / "secret"))
    with pytest.raises(ModelError, match="holds a/elsewhere, which is no array of numbers in this file"):
        read_hdf5(path)
    other = write_keras(tmp_path / "other.h5", {"a/b": np.zeros(2, np.float32)})
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink(str(other), "a")
    assert read_hdf5(path) == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([torch.zeros(2)], "holds a list instead of tensors by name"),
        ({}, "holds a dict instead of tensors by name"),
        ({"epoch": 3}, "holds 'epoch', which is no plain tensor"),
        ({3: torch.zeros(1)}, "holds 3, which is no plain tensor"),
        ({"a": torch.zeros(3, 3).to_sparse()}, "holds 'a', which is no plain tensor"),
        ({"a": torch.zeros(3, device="meta")}, "holds 'a', which is no plain tensor"),
        ({"a": torch.zeros(1).expand(10**6)}, "a is larger than the file"),
    ],
)
def test_other_pytorch_files_are_named(tmp_path: Path, content: Any, sentence: str):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=sentence):
        read_pytorch(tmp_path / "other.pt")


def test_half_precision_is_widened(tmp_path: Path):
    half = torch.nn.Parameter(torch.tensor([1.5]).bfloat16())
    torch.save({"a": half, "b": torch.tensor([2])}, tmp_path / "half.pt")
    arrays = read_pytorch(tmp_path / "half.pt")
    assert (arrays["a"].dtype, arrays["b"].dtype) == (np.float32, np.int64)
    assert arrays["a"] == 1.5


def test_a_name_that_is_no_text_is_refused(tmp_path: Path):
    """h5py gives such names as bytes, which ended in a TypeError."""
    path = tmp_path / "ManTraNet_Ptrain4.h5"
    with h5py.File(path, "w") as file:
        file[b"layer\xff/kernel"] = np.zeros(3, np.float32)
    with pytest.raises(ModelError, match="a name that is no text"):
        convert_original(path)
