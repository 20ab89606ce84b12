"""Small ManTra-Nets in which every weight is random, and pictures with something to find."""

import numpy as np
import torch
from numpy.typing import NDArray

from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings
from models.mantranet import numpy_reference as reference

# All widths differ, so that exchanging two axes anywhere fails.
TOY_SETTINGS = ManTraNetSettings(
    first_layer_filters=14,
    widths=(6, 7, 8, 9, 10),
    feature_channels=12,
    adapted_channels=5,
    hidden_channels=3,
)


def random_mantranet(settings: ManTraNetSettings = TOY_SETTINGS, seed: int = 0) -> ManTraNet:
    """A network in eval mode; biases, floors and moving statistics are random too, not only the kernels."""
    torch.manual_seed(seed)
    net = ManTraNet(settings).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
        # The adapted map's deviations lie around 0.7: the floor acts on some channels and not on others.
        floors = torch.linspace(0, 1.2, settings.adapted_channels)
        net.ladn.raw_min_std.copy_(floors.view(1, -1, 1, 1))
        net.ladn.bnorm.running_mean.normal_(0, 0.1)
        net.ladn.bnorm.running_var.uniform_(0.01, 0.02)
        net.ladn.pred.weight.mul_(3)
    return net


def random_picture(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1]: a noisy ramp whose lower right quarter has been smoothed."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    ramp = (rows / height + columns / width)[..., None] * rng.uniform(0.2, 0.5, 3)
    picture = np.clip(ramp + rng.normal(0, 0.15, (height, width, 3)), 0, 1)
    top, left = height // 2, width // 2
    picture[top:, left:] = reference.box_mean(picture[top:, left:], 3)
    return picture.astype(np.float32)


def as_batch(*pictures: NDArray[np.float32]) -> torch.Tensor:
    """(B, 3, H, W)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def as_map(batch: torch.Tensor) -> NDArray[np.float32]:
    """(H, W, C) of a batch of one."""
    return batch.detach().squeeze(0).permute(1, 2, 0).numpy()


def as_release_arrays(net: ManTraNet) -> dict[str, reference.Array]:
    return reference.release_arrays({name: tensor.numpy() for name, tensor in net.state_dict().items()})
