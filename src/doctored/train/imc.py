"""Image manipulation classification: ManTra-Net's stage one, and pre-training for Constrained R-CNN."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from doctored.core.imc_classes import ImcClass, level_group_names
from doctored.data.imc_patches import ImcPatches
from doctored.models.constrained_rcnn.settings import FEATURE_STRIDE, ConstrainedRCNNSettings
from doctored.models.constrained_rcnn.trunk import Trunk
from doctored.models.imc_head import UNIT_FEATURE_SCALE, IMCHead, cell_regions, imc_loss, pool_regions
from doctored.models.mantranet.imtfe import IMTFE
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.synth.imc385 import MANIPULATIONS, Balance, Manipulations
from doctored.train.checkpoint import start_from
from doctored.train.imc_figures import accuracies, confusion, confusion_picture, held_out_accuracies
from doctored.train.loop import HeldOut, batches
from doctored.train.settings import ImcSettings


class ImcNetwork(nn.Module):
    """The features of a network, the head, and the loss between them and the labels of regions.

    Attributes:
        imc_head: Sees the mean feature of each region.
        regions: Per crop.
        classes: To be told apart.
        stride: Pixels of the crop for one cell of the features; crops are multiples of it.
    """

    imc_head: IMCHead
    regions: int
    classes: tuple[ImcClass, ...]
    stride = 1

    def trace_features(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, H / stride, W / stride) of pictures (B, 3, H, W) in [0, 1]."""
        raise NotImplementedError

    def logits(self, image: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """(B * R, classes) logits of the regions of uint8 crops (B, H, W, 3)."""
        features = self.trace_features(image.permute(0, 3, 1, 2).float() / 255)
        return self.imc_head(pool_regions(features, cell_regions(regions, self.stride), self.regions))

    def forward(
        self, image: torch.Tensor, regions: torch.Tensor, truth: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(image, regions)
        truth = truth.flatten()
        return imc_loss(logits, truth, self.classes), accuracies(logits.detach(), truth, self.classes)


class MantranetImc(ImcNetwork):
    """ManTra-Net's extractor, with its features of norm 1."""

    def __init__(self, settings: ManTraNetSettings, regions: int, classes: Sequence[ImcClass]) -> None:
        super().__init__()
        self.imtfe = IMTFE(settings)
        self.imc_head = IMCHead(settings.feature_channels, len(classes), UNIT_FEATURE_SCALE)
        self.regions, self.classes = regions, tuple(classes)

    def trace_features(self, image: torch.Tensor) -> torch.Tensor:
        return self.imtfe(image)


class ConstrainedRCNNImc(Trunk, ImcNetwork):
    """Constrained R-CNN's shared layers up to conv_4x, their BatchNorm learned; the detector freezes it."""

    stride = FEATURE_STRIDE

    def __init__(self, settings: ConstrainedRCNNSettings, regions: int, classes: Sequence[ImcClass]) -> None:
        super().__init__(replace(settings, backbone_norm="learned"))
        self.imc_head = IMCHead(settings.widths[2], len(classes))
        self.regions, self.classes = regions, tuple(classes)

    def trace_features(self, image: torch.Tensor) -> torch.Tensor:
        _, conv_4x = self.backbone(self.residual(image * 2 - 1))
        return conv_4x


def _network(
    settings: ManTraNetSettings | ConstrainedRCNNSettings, regions: int, classes: Sequence[ImcClass]
) -> ImcNetwork:
    if isinstance(settings, ManTraNetSettings):
        return MantranetImc(settings, regions, classes)
    return ConstrainedRCNNImc(settings, regions, classes)


class ImcTask:
    """What `train` needs for image manipulation classification.

    Args:
        settings: Of the run.
        photographs: RGB uint8 pictures to learn from.
        held_out: RGB uint8 pictures for the accuracy at each checkpoint, never learned from.
        start: Weights to go on from, of this stage or of a whole ManTra-Net, whose head starts anew; None for a
            random start. They may know fewer classes: those added since start as the mean of the others.
        source: What the run's description says about the photographs.
        model_settings: Shape of the network; None is the released ManTra-Net.
        manipulations: What is to be told apart; those that are for forgeries only are left out.
    """

    name = "imc"
    curriculum = None

    def __init__(
        self,
        settings: ImcSettings,
        photographs: Sequence[NDArray[np.uint8]],
        held_out: Sequence[NDArray[np.uint8]],
        start: dict[str, torch.Tensor] | None,
        source: dict[str, Any],
        model_settings: ManTraNetSettings | ConstrainedRCNNSettings | None = None,
        manipulations: Manipulations = MANIPULATIONS,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.model_settings = model_settings or ManTraNetSettings()
        self.settings = settings
        self.source = source
        self.manipulations = manipulations.used_in("imc")
        self.network = _network(self.model_settings, settings.regions, self.manipulations.classes)
        if start is not None:
            # Whole networks have no such head, so that one starts anew; what they have instead has no place here.
            start_from(self.network, _with_added_classes(start, len(self.manipulations.classes)))
        self.samples = self._patches(photographs, settings.seed, settings.balance)
        # A fixed seed and balance of its own: every run and every checkpoint is asked the same questions.
        self.held_out_samples = self._patches(held_out, 385, "classes") if settings.held_out_crops else None

    def _patches(self, photographs: Sequence[NDArray[np.uint8]], seed: int, balance: Balance) -> ImcPatches:
        settings = self.settings
        return ImcPatches(
            photographs,
            crop_px=settings.crop_px,
            work_px=settings.work_px,
            regions=settings.regions,
            seed=seed,
            manipulations=self.manipulations,
            balance=balance,
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        if self.settings.extractor == "frozen":
            self.network.requires_grad_(False)
            self.network.imc_head.requires_grad_(True)
            return [{"params": list(self.network.imc_head.parameters())}]
        return [{"params": list(self.network.parameters())}]

    def description(self) -> dict[str, Any]:
        return self.source | {"classes": len(self.manipulations.classes)}

    def model_json(self) -> dict[str, Any]:
        name = "mantranet" if isinstance(self.model_settings, ManTraNetSettings) else "constrained-rcnn"
        return {"model": f"{name}-imc", "settings": asdict(self.model_settings)}

    def held_out(self) -> HeldOut:
        if self.held_out_samples is None:
            return HeldOut()
        loader = batches(self.held_out_samples, range(self.settings.held_out_crops), self.settings.batch_size)
        logits, truths = [], []
        device = next(self.network.parameters()).device
        for image, regions, truth in loader:
            logits.append(self.network.logits(image.to(device), regions.to(device)))
            truths.append(truth.flatten().to(device))
        found, right, classes = torch.cat(logits), torch.cat(truths), self.manipulations.classes
        return HeldOut(
            held_out_accuracies(found, right, classes),
            {
                f"confusion-{name}": confusion_picture(
                    confusion(found, right, level, classes), level_group_names(level, classes)
                )
                for level, name in ((7, "families"), (25, "types"))
            },
        )


def _with_added_classes(weights: dict[str, torch.Tensor], classes: int) -> dict[str, torch.Tensor]:
    """Weights whose head has an output for every class: a new one starts as the mean of those before."""
    grown = dict(weights)
    for name in weights.keys() & {"imc_head.linear.weight", "imc_head.linear.bias"}:
        known = weights[name]
        missing = max(0, classes - len(known))
        grown[name] = torch.cat((known, known.mean(dim=0, keepdim=True).expand(missing, *known.shape[1:])))
    return grown
