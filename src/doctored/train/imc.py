"""Stage one: the trace extractor learns to tell 385 manipulations apart (image manipulation classification)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from doctored.core.imc_classes import level_groups
from doctored.data.imc_patches import ImcPatches
from doctored.models.mantranet.imc_head import IMCHead, imc_loss, level_log_probabilities, pool_regions
from doctored.models.mantranet.imtfe import IMTFE
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.loop import batches
from doctored.train.settings import ImcSettings


class ImcNetwork(nn.Module):
    """The extractor, the head, and the loss between them and the labels."""

    def __init__(self, settings: ManTraNetSettings, regions: int) -> None:
        super().__init__()
        self.imtfe = IMTFE(settings)
        self.imc_head = IMCHead(settings)
        self.regions = regions

    def logits(self, image: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """(B * R, 385) logits of the regions of uint8 crops (B, H, W, 3)."""
        features = self.imtfe(image.permute(0, 3, 1, 2).float() / 255)
        return self.imc_head(pool_regions(features, regions, self.regions))

    def forward(
        self, image: torch.Tensor, regions: torch.Tensor, classes: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(image, regions)
        classes = classes.flatten()
        return imc_loss(logits, classes), accuracies(logits.detach(), classes)


def accuracies(logits: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Share of regions whose most probable group is the right one: families (7), types (25), classes (385)."""
    levels = level_log_probabilities(logits)
    names = {7: "family_accuracy", 25: "type_accuracy", 385: "class_accuracy"}
    figures = {}
    for level, name in names.items():
        truth = torch.as_tensor(level_groups(level), device=logits.device)[classes]
        figures[name] = (levels[level].argmax(dim=1) == truth).float().mean()
    return figures


class ImcTask:
    """What `train` needs for stage one.

    Args:
        settings: Of the run.
        photographs: RGB uint8 pictures to learn from.
        held_out: RGB uint8 pictures for the accuracy at each checkpoint, never learned from.
        start: Weights to go on from, of this stage or of a whole ManTra-Net; None for a random start.
        source: What the run's description says about the photographs.
        model_settings: Shape of the network; None is the released one.
    """

    name = "imc"

    def __init__(
        self,
        settings: ImcSettings,
        photographs: Sequence[NDArray[np.uint8]],
        held_out: Sequence[NDArray[np.uint8]],
        start: dict[str, torch.Tensor] | None,
        source: dict[str, Any],
        model_settings: ManTraNetSettings | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.model_settings = model_settings or ManTraNetSettings()
        self.settings = settings
        self.source = source
        self.network = ImcNetwork(self.model_settings, settings.regions)
        if start is not None:
            # A ManTra-Net has no head, so that one starts anew; its anomaly detector has no place here.
            known = self.network.state_dict()
            self.network.load_state_dict(known | {name: start[name] for name in start.keys() & known.keys()})
        self.samples = self._patches(photographs, settings.seed)
        # A fixed seed of its own: every run and every checkpoint is asked the same questions.
        self.held_out_samples = self._patches(held_out, seed=385) if settings.held_out_crops else None

    def _patches(self, photographs: Sequence[NDArray[np.uint8]], seed: int) -> ImcPatches:
        settings = self.settings
        return ImcPatches(
            photographs,
            crop_px=settings.crop_px,
            work_px=settings.work_px,
            regions=settings.regions,
            seed=seed,
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.network.parameters())}]

    def description(self) -> dict[str, Any]:
        return self.source

    def model_json(self) -> dict[str, Any]:
        return {"model": "mantranet-imc", "settings": asdict(self.model_settings)}

    def held_out_figures(self) -> dict[str, float]:
        if self.held_out_samples is None:
            return {}
        loader = batches(self.held_out_samples, range(self.settings.held_out_crops), self.settings.batch_size)
        logits, classes = [], []
        device = next(self.network.parameters()).device
        for image, regions, truth in loader:
            logits.append(self.network.logits(image.to(device), regions.to(device)))
            classes.append(truth.flatten().to(device))
        figures = accuracies(torch.cat(logits), torch.cat(classes))
        return {name: value.item() for name, value in figures.items()}
