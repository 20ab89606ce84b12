"""Constrained R-CNNs small enough to run in milliseconds."""

import functools
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.findings import Truth
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings

TOY_SETTINGS = ConstrainedRCNNSettings(
    units=(1, 2, 1, 1),
    widths=(16, 32, 32, 32),
    stem_width=8,
    backbone_norm="learned",
    anchor_scales=(1, 2),
    rpn_batch=32,
    roi_batch=16,
)
TOY_COMPAT = replace(
    TOY_SETTINGS,
    compat=True,
    cbam="released",
    backbone_norm="frozen",
    freeze_constrained=True,
    mask_rois_training=4,
)
NO_BOXES = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(96, 96, dtype=torch.bool))


def forgery(seed: int, label: int, box: tuple[int, int, int, int]) -> tuple[torch.Tensor, Truth]:
    """A smooth picture (3, 96, 96) with an ellipse of noise; the noise is fine or coarse, as the label says."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.linspace(0.2, 0.8, 96).expand(3, 96, 96).clone()
    noise = torch.rand(3, 96, 96, generator=generator) - 0.5
    if label == 2:
        noise = noise[:, ::4, ::4].repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    left, top, right, bottom = box
    middles = torch.arange(96) + 0.5
    x, y = (
        (middles * 2 - left - right) / (right - left),
        (middles * 2 - top - bottom) / (bottom - top),
    )
    mask = x**2 + y[:, None] ** 2 < 1
    picture[:, mask] += 0.5 * noise[:, mask]
    return picture, Truth(torch.tensor([box]).float(), torch.tensor([label]), mask)


def tiny_batch() -> tuple[torch.Tensor, list[Truth]]:
    """Two forgeries and an authentic picture, (3, 3, 96, 96)."""
    pairs = [forgery(0, 1, (14, 20, 58, 60)), forgery(1, 2, (40, 30, 84, 82)), forgery(2, 1, (0, 0, 1, 1))]
    return torch.stack([picture for picture, _ in pairs]), [pairs[0][1], pairs[1][1], NO_BOXES]


@functools.cache
def overfitted_toy() -> ConstrainedRCNN:
    """A toy that knows `tiny_batch` by heart, in eval mode; leave it as it is."""
    torch.manual_seed(0)
    net = ConstrainedRCNN(TOY_SETTINGS)
    image, truths = tiny_batch()
    optimiser = torch.optim.Adam(net.parameters())
    steps = 250
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad()
        net.losses(image, truths).total.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        schedule.step()
    return net.eval()


def tiny_pictures() -> list[np.ndarray]:
    """The pictures of `tiny_batch`, uint8 (96, 96, 3)."""
    images, _ = tiny_batch()
    return [np.ascontiguousarray((image * 255).byte().permute(1, 2, 0).numpy()) for image in images]


def write_rcnn_run(folder: Path, network: ConstrainedRCNN) -> Path:
    """The folder of a training run, as far as detection needs it."""
    folder.mkdir()
    description = {"model": "constrained-rcnn", "settings": asdict(network.settings), "version": "0.1.0"}
    (folder / "model.json").write_text(json.dumps(description))
    # An engine may have laid out its kernels with the channels last.
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    return folder
