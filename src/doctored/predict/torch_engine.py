"""The networks on PyTorch: any training run, on the CPU or a GPU."""

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError
from doctored.predict.engine import Precision
from doctored.predict.memory import refused_memory_as_memory_error
from doctored.predict.regions import TileRegions

if TYPE_CHECKING:
    import torch

    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
    from doctored.models.mantranet.mantranet import ManTraNet


class _TorchNetwork:
    """A network in eval mode on a device.

    Args:
        network: Moved to the device.
        device: As PyTorch names it: "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32", or "bf16" for the large convolutions by autocast.
        threads: Number of CPU threads of the process; None leaves it alone.

    Raises:
        ConfigError: The precision is int8, which PyTorch does not run here.
    """

    def __init__(
        self, network: "torch.nn.Module", device: str, precision: Precision, threads: int | None = None
    ) -> None:
        import torch

        if precision == "int8":
            raise ConfigError(
                "int8 needs an exported model; give --precision bf16 or fp32, or export the run"
            )
        if threads is not None:
            torch.set_num_threads(threads)
        self.precision: Precision = precision
        self.device = torch.device(device)
        network.eval().to(self.device).to(memory_format=torch.channels_last)

    def release_memory(self) -> None:
        """Nothing: PyTorch holds none between the tiles on the CPU, and on a GPU keeps it for whoever comes next."""

    def _computing(self) -> AbstractContextManager[Any]:
        import torch

        stack = ExitStack()
        stack.enter_context(refused_memory_as_memory_error())
        stack.enter_context(torch.inference_mode())
        # Without this, Ampere and later GPUs shorten float32 convolutions to a 10-bit mantissa.
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        stack.enter_context(
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")
        )
        return stack

    def _map(self, array: NDArray[Any]) -> "torch.Tensor":
        """(H, W, C) to (1, C, H, W) in channels-last layout, which is the array's own."""
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        return tensor.permute(2, 0, 1).unsqueeze(0)


class TorchEngine(_TorchNetwork):
    """A `ManTraNetEngine` over any ManTra-Net."""

    def __init__(
        self, network: "ManTraNet", device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(network, device, precision, threads)
        self.network, self.settings = network, network.settings

    def adapted(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._computing():
            return self._to_array(self.network.ladn.adapt(self.network.imtfe(self._image(image_tile))))

    def anomaly_logits(
        self, adapted_tile: NDArray[np.float32], mean: NDArray[np.float32], std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        with self._computing():
            sigma = self.network.ladn.sigma(self._map(std[None, None]))
            logits = self.network.ladn.anomaly_logits(
                self._map(adapted_tile), self._map(mean[None, None]), sigma
            )
            return self._to_array(logits)[..., 0]

    def trace_features(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._computing():
            return self._to_array(self.network.imtfe(self._image(image_tile)))

    def _image(self, image_tile: NDArray[np.uint8]) -> "torch.Tensor":
        return self._map(image_tile).float() / 255

    def _to_array(self, batch: "torch.Tensor") -> NDArray[np.float32]:
        """(1, C, H, W) to (H, W, C)."""
        array: NDArray[np.float32] = batch.squeeze(0).permute(1, 2, 0).contiguous().cpu().numpy()
        return array


class TorchRCNNEngine(_TorchNetwork):
    """A `ConstrainedRCNNEngine` over any Constrained R-CNN."""

    def __init__(
        self, network: "ConstrainedRCNN", device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(network, device, precision, threads)
        self.network, self.settings = network, network.settings

    def regions(self, image_tile: NDArray[np.uint8]) -> TileRegions:
        with self._computing():
            (found,) = self.network.examine(self._map(image_tile))
            return TileRegions(**{name: tensor.cpu().numpy() for name, tensor in vars(found).items()})
