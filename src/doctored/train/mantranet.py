"""Stage two: the anomaly detector, and if wanted the extractor with it, learns to find forgeries."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from doctored.core.forgery import Forgery, Source
from doctored.data.forgery_stream import DEFAULT_SHARES, ForgeryStream
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.checkpoint import start_from
from doctored.train.loop import batches
from doctored.train.settings import MantranetSettings

# Below block 4's second layer the extractor looks at pixels rather than at manipulations, and stays as it is.
_LATE_LAYERS = ("b4c2", "b4c3", "b5c1", "b5c2", "transform")
_LOW_RATE_SHARE = 0.1
_HELD_OUT_CROPS = 64


def localization_loss(logits: torch.Tensor, gt_mask: torch.Tensor, ignore_mask: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, balanced between the two classes within each forged picture; a scalar.

    In a forged picture the manipulated and the authentic pixels weigh one half each, whatever their numbers; in
    an authentic picture all pixels weigh the same. Then the mean over the pictures.

    Args:
        logits: (B, H, W); positive means manipulated.
        gt_mask: (B, H, W), bool, True where manipulated.
        ignore_mask: (B, H, W), bool, True where neither answer is right (the source of a copy-move).
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), gt_mask.float(), reduction="none")
    counted = ~ignore_mask
    inside = gt_mask & counted
    outside = ~gt_mask & counted
    per_class = [
        (losses * pixels).sum(dim=(1, 2)) / pixels.sum(dim=(1, 2)).clamp_min(1)
        for pixels in (inside, outside)
    ]
    forged = inside.any(dim=2).any(dim=1)
    return torch.where(forged, 0.5 * (per_class[0] + per_class[1]), per_class[1]).mean()


class ManTraNetTraining(ManTraNet):
    """A ManTra-Net whose forward gives the loss between its logits and the masks."""

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W) logits of uint8 crops (B, H, W, 3)."""
        return super().forward(image.permute(0, 3, 1, 2).float() / 255).squeeze(1)

    def forward(  # type: ignore[override]  # a batch in, a loss out: what the training loop calls
        self, image: torch.Tensor, gt_mask: torch.Tensor, ignore_mask: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(image)
        loss = localization_loss(logits, gt_mask, ignore_mask)
        with torch.no_grad():
            called = logits > 0
            hit = (called & gt_mask).sum() / gt_mask.sum().clamp_min(1)
            false = (called & ~gt_mask & ~ignore_mask).sum() / (~gt_mask).sum().clamp_min(1)
        return loss, {"hit_share": hit, "false_share": false}


class ForgerySamples:
    """Forgeries by number, each as (image uint8 (crop_px, crop_px, 3), gt_mask bool, ignore_mask bool)."""

    def __init__(self, stream: ForgeryStream) -> None:
        self.stream = stream

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        forgery = self.stream[number]
        nothing = np.zeros_like(forgery.gt_mask)
        source = nothing if forgery.source_mask is None else forgery.source_mask
        return forgery.image, forgery.gt_mask, source & ~forgery.gt_mask


class MantranetTask:
    """What `train` needs for stage two.

    Args:
        settings: Of the run.
        photographs: What forgeries are made from, such as a `PhotographPool`.
        held_out: Photographs for the loss at each checkpoint, never learned from.
        start: Weights of a ManTra-Net to go on from: at least an extractor's (`imtfe.*`), as stage one leaves
            them; without an anomaly detector's (`ladn.*`) that one starts at random. None starts all at random.
        source: What the run's description says about the photographs and the start.
        model_settings: Shape of the network; None is the released one.
        removals: Made ahead, since they take too long to be waited for; as in `ForgeryStream`.
    """

    name = "mantranet"

    def __init__(
        self,
        settings: MantranetSettings,
        photographs: Sequence[Source],
        held_out: Sequence[Source],
        start: dict[str, torch.Tensor] | None,
        source: dict[str, Any],
        model_settings: ManTraNetSettings | None = None,
        removals: Sequence[Forgery] | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.source = source
        self.model_settings = model_settings or ManTraNetSettings()
        self.network = ManTraNetTraining(self.model_settings)
        if start is not None:
            # Stage one leaves a head beside the extractor, which has no place here.
            start_from(self.network, start)
        shares = {kind: DEFAULT_SHARES[kind] for kind in settings.kinds}
        size_px = settings.crop_px
        self.samples = ForgerySamples(
            ForgeryStream(photographs, size_px, settings.seed, shares, removals=removals)
        )
        self.held_out_samples = ForgerySamples(ForgeryStream(held_out, size_px, 385, shares))

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = [{"params": list(self.network.ladn.parameters())}]
        if self.settings.extractor == "full":
            groups.append({"params": list(self.network.imtfe.parameters())})
            return groups
        self.network.imtfe.requires_grad_(False)
        if self.settings.extractor == "low_rate":
            late = [
                weight for name in _LATE_LAYERS for weight in getattr(self.network.imtfe, name).parameters()
            ]
            for weight in late:
                weight.requires_grad_(True)
            groups.append({"params": late, "rate_share": _LOW_RATE_SHARE})
        return groups

    def description(self) -> dict[str, Any]:
        return self.source

    def model_json(self) -> dict[str, Any]:
        return {"model": "mantranet", "settings": asdict(self.model_settings)}

    def held_out_figures(self) -> dict[str, float]:
        loader = batches(self.held_out_samples, range(_HELD_OUT_CROPS), self.settings.batch_size)
        device = next(self.network.parameters()).device
        losses = []
        for image, gt_mask, ignore_mask in loader:
            logits = self.network.logits(image.to(device))
            losses.append(localization_loss(logits, gt_mask.to(device), ignore_mask.to(device)))
        return {"loss": torch.stack(losses).mean().item()}
