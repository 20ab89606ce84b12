"""Weight files of the original authors, in the formats that they come in, made weights of our networks."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, MissingExtraError, ModelError
from doctored.models.catalog import NetworkSettings
from doctored.predict.sorted_table import is_table
from doctored.predict.tensorflow_bundle import TensorBundle, checkpoint_name

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_TABLE_END = 48
_FORMATS = "a Keras file (.h5), a PyTorch file (.pt) or a TensorFlow checkpoint (its name or its .index)"


@dataclass(frozen=True)
class ConvertedWeights:
    """What a file of original weights holds, in our terms.

    Attributes:
        model: What a run of such weights calls itself; see `load_run` and `run_settings`.
        settings: Of the network.
        arrays: Of its state dict, or of the part of it that the file has.
        origin: What the file is, in a few words.
        files: That were read.
    """

    model: str
    settings: NetworkSettings
    arrays: dict[str, NDArray[Any]]
    origin: str
    files: tuple[Path, ...]


def convert_original(path: Path, variant: int | None = None) -> ConvertedWeights:
    """Read and convert original weights of ManTra-Net or Constrained R-CNN, or TF-slim's ResNet for ImageNet.

    Args:
        path: A Keras or PyTorch file, or any file of a TensorFlow checkpoint, or its name.
        variant: Which of the five released ManTra-Nets it is; None takes it from a name like ManTraNet_Ptrain4.h5.

    Raises:
        MissingExtraError: A package for the format is not installed.
        ModelError: The file is missing, damaged, in another format or of another network.
        ConfigError: The variant is not known, or does not fit the file.
    """
    name = checkpoint_name(path)
    if name != path or (not path.is_file() and name.with_name(f"{name.name}.index").exists()):
        if variant is not None:
            raise ConfigError(
                f"{path} is a TensorFlow checkpoint, but ManTra-Net never is; leave --variant out"
            )
        return _from_tensorflow(name)
    start, end = _ends(path)
    if start.startswith(_HDF5):
        return _from_keras(path, variant)
    if start.startswith((_ZIP, _PICKLE)):
        if variant not in (None, 4):
            raise ConfigError(f"{path} is a PyTorch file, whose ManTra-Net is variant 4; leave --variant out")
        return _from_pytorch(path)
    if is_table(end):
        raise ModelError(
            f"{path} is a TensorFlow checkpoint of the old format V1; load it in TensorFlow and save it again with "
            "tf.compat.v1.train.Saver(write_version=2)"
        )
    raise ModelError(f"{path} is no weight file of a known format; give {_FORMATS}")


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first bytes of a file and the last ones."""
    try:
        with path.open("rb") as file:
            start = file.read(_TABLE_END)
            file.seek(max(0, path.stat().st_size - _TABLE_END))
            return start, file.read(_TABLE_END)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); give {_FORMATS}") from error


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Lets the converters, which see no file, complain about one."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _from_keras(path: Path, variant: int | None) -> ConvertedWeights:
    arrays = read_hdf5(path)
    from doctored.models.mantranet.convert import from_keras

    if variant is None:
        named = re.search(r"Ptrain([0-4])", path.name)
        if named is None:
            raise ConfigError(
                f"{path} could be one of several ManTra-Nets, which differ in what the file does not hold; give "
                "--variant with the number of the released ManTraNet_PtrainN.h5"
            )
        variant = int(named[1])
    with _about(path):
        settings, state = from_keras(arrays, variant)
    return ConvertedWeights("mantranet", settings, state, f"ManTra-Net, variant {variant}, of Keras", (path,))


def _from_pytorch(path: Path) -> ConvertedWeights:
    arrays = read_pytorch(path)
    from doctored.models.mantranet.convert import from_pytorch_port

    with _about(path):
        settings, state = from_pytorch_port(arrays)
    if "ladn.pred.weight" in state:
        return ConvertedWeights(
            "mantranet", settings, state, "ManTra-Net, variant 4, of the PyTorch port", (path,)
        )
    origin = "the extractor of ManTra-Net, variant 4, of the PyTorch port"
    return ConvertedWeights("mantranet-imc", settings, state, origin, (path,))


def _from_tensorflow(name: Path) -> ConvertedWeights:
    bundle = TensorBundle(name)
    from doctored.models.constrained_rcnn import convert

    arrays = bundle.read(variable for variable in bundle.names if not convert.is_training_state(variable))
    with _about(name):
        if convert.is_imagenet_resnet(arrays):
            settings, state = convert.from_imagenet(arrays)
            origin = "TF-slim's ResNet-101 for ImageNet"
            return ConvertedWeights("constrained-rcnn-imc", settings, state, origin, bundle.files)
        settings, state = convert.from_tensorflow(arrays)
    origin = "Constrained R-CNN" if settings.mask_stage else "Constrained R-CNN, stage 1"
    classes = ", ".join(settings.classes)
    return ConvertedWeights("constrained-rcnn", settings, state, f"{origin} ({classes})", bundle.files)


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a Keras file by their paths, without those of an optimiser.

    Raises:
        MissingExtraError: h5py is not installed.
        ModelError: The file is damaged, or holds something else than plain numbers.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(f"the Keras file {path}", "convert") from error
    arrays: dict[str, NDArray[Any]] = {}
    left = path.stat().st_size

    def visit(name: str | bytes, item: Any) -> None:
        nonlocal left
        if isinstance(name, bytes):
            raise ModelError(f"{path} holds {name!r}, a name that is no text; it is damaged")
        if not isinstance(item, h5py.Dataset):
            return
        if item.shape is None or item.dtype.kind not in "fiub" or item.external or item.is_virtual:
            raise ModelError(
                f"{path} holds {name}, which is no array of numbers in this file; it is no weight file of Keras"
            )
        # Keras does not compress, so arrays that are larger than their file are a trap.
        left -= item.nbytes
        if left < 0:
            raise ModelError(f"{path} says that {name} is larger than the file; it is damaged")
        arrays[name] = np.asarray(item[()])

    try:
        with h5py.File(path, "r") as file:
            weights = file.get("model_weights", file)  # beside an optimiser's, if a whole model was saved
            weights.visititems(visit)
    except ModelError:
        raise
    except Exception as error:  # a damaged file can make h5py raise anything
        raise ModelError(
            f"{path} cannot be read as HDF5 ({_first_line(error)}); it is damaged or cut off"
        ) from error
    return arrays


def read_pytorch(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a saved state dict, also of one that lies under "model"; nothing is unpickled but tensors.

    Raises:
        ModelError: The file is damaged, was not made by PyTorch, or holds something else than tensors by name.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise ModelError(
            f"{path} cannot be read as PyTorch's weights ({_first_line(error)}); it is damaged, of another program, or "
            "holds more than weights"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise ModelError(
            f"{path} holds a {type(content).__name__} instead of tensors by name; save a state_dict()"
        )
    arrays: dict[str, NDArray[Any]] = {}
    left = path.stat().st_size
    for name, tensor in content.items():
        plain = (
            isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
        )
        if not isinstance(name, str) or not plain or tensor.device.type != "cpu":
            raise ModelError(f"{path} holds {name!r}, which is no plain tensor; save a state_dict()")
        # Tensors can share bytes or repeat them, which weights do not.
        left -= tensor.numel() * tensor.element_size()
        if left < 0:
            raise ModelError(f"{path} says that {name} is larger than the file; it is damaged")
        arrays[name] = (tensor.float() if tensor.is_floating_point() else tensor).numpy(force=True)
    return arrays


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
