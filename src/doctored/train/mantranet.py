"""Stage two: the anomaly detector, and if wanted the extractor with it, learns to find forgeries."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.core.forgery import Forgery, Source
from doctored.core.sample import Sample
from doctored.data.forgery_stream import DEFAULT_SHARES, ForgeryStream
from doctored.metrics.pixel import pixel_auc
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.synth.histories import DOMAIN_SHARES
from doctored.train.checkpoint import start_from
from doctored.train.curriculum import Curriculum
from doctored.train.example_rows import SHOWN, example_row
from doctored.train.loop import HeldOut, Samples, batches
from doctored.train.settings import MantranetSettings

# Below block 4's second layer the extractor looks at pixels rather than at manipulations, and stays as it is.
_LATE_LAYERS = ("b4c2", "b4c3", "b5c1", "b5c2", "transform")
_LOW_RATE_SHARE = 0.1


def picture_losses(logits: torch.Tensor, gt_mask: torch.Tensor, ignore_mask: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each picture (B,), balanced between the two classes within a forged one.

    In a forged picture the manipulated and the authentic pixels weigh one half each, whatever their numbers; in
    an authentic picture all pixels weigh the same.

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
    return torch.where(forged, 0.5 * (per_class[0] + per_class[1]), per_class[1])


class ManTraNetTraining(ManTraNet):
    """A ManTra-Net whose forward gives the loss between its logits and the masks."""

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W) logits of uint8 crops (B, H, W, 3)."""
        return super().forward(image.permute(0, 3, 1, 2).float() / 255).squeeze(1)

    def forward(  # type: ignore[override]  # a batch in, a loss out: what the training loop calls
        self,
        image: torch.Tensor,
        gt_mask: torch.Tensor,
        ignore_mask: torch.Tensor,
        cells: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(image)
        losses = picture_losses(logits, gt_mask, ignore_mask)
        with torch.no_grad():
            called = logits > 0
            hit = (called & gt_mask).sum() / gt_mask.sum().clamp_min(1)
            false = (called & ~gt_mask & ~ignore_mask).sum() / (~gt_mask).sum().clamp_min(1)
        figures = {"hit_share": hit, "false_share": false}
        if cells is not None:
            figures["picture_losses"] = losses.detach()
        return losses.mean(), figures


MaskedPicture = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]
"""A picture uint8 (crop_px, crop_px, 3), its gt_mask, and its ignore_mask: where neither answer is right."""


class ForgerySamples:
    """Forgeries of a stream by number."""

    def __init__(self, stream: ForgeryStream) -> None:
        self.stream = stream

    def __getitem__(self, number: int) -> MaskedPicture:
        return masked_picture(self.stream[number])


class CurriculumSamples:
    """Forgeries of a curriculum by number, each with the number of its cell as a fourth entry."""

    def __init__(self, curriculum: Curriculum) -> None:
        self.curriculum = curriculum

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        forgery, cell = self.curriculum.draw(number)
        return *masked_picture(forgery), cell


def masked_picture(sample: Forgery | Sample) -> MaskedPicture:
    """What there is to learn from a picture whose mask is known."""
    if sample.gt_mask is None:
        raise DataError("a localization map is learned from masks; the set has boxes only")
    ignore_mask = np.zeros_like(sample.gt_mask) if sample.ignore_mask is None else sample.ignore_mask
    return sample.image, sample.gt_mask, ignore_mask & ~sample.gt_mask


def check_localization(network: ManTraNetTraining, samples: Samples, count: int, batch_size: int) -> HeldOut:
    """Score a network on the first samples, and show what it makes of the first few forgeries among them.

    Args:
        network: In evaluation mode.
        samples: Give arrays as `MaskedPicture`.
        count: How many samples to take; none gives nothing.
        batch_size: How many at once; changes nothing but speed and memory.

    Returns:
        The mean loss and the mean pixel AUC of the forged samples, and one picture "samples" with a row for each
        of the forgeries shown: the picture, the truth, and the localization map, black to white.
    """
    if not count:
        return HeldOut()
    device = next(network.parameters()).device
    losses: list[torch.Tensor] = []
    aucs: list[float] = []
    rows: list[NDArray[np.uint8]] = []
    for image, gt_mask, ignore_mask in batches(samples, range(count), batch_size):
        logits = network.logits(image.to(device)).float()
        losses.append(picture_losses(logits, gt_mask.to(device), ignore_mask.to(device)))
        for pixels, truth, found in zip(image, gt_mask, logits.sigmoid(), strict=True):
            if not truth.any() or truth.all():
                continue
            localization_map = found.cpu().numpy()
            aucs.append(pixel_auc(localization_map, truth.numpy()))
            if len(rows) < SHOWN:
                rows.append(example_row(pixels.numpy(), truth.numpy(), localization_map))
    figures = {"loss": torch.cat(losses).mean().item()}
    if aucs:
        figures["pixel_auc"] = float(np.mean(aucs))
    return HeldOut(figures, {"samples": np.concatenate(rows)} if rows else {})


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
        domain_shares = {name: share for name, share in DOMAIN_SHARES.items() if name in settings.domains}
        if len(domain_shares) < len(DOMAIN_SHARES):
            removals = None  # Those made ahead are of any domain.
        size_px = settings.crop_px
        self.curriculum: Curriculum | None = None
        self.samples: Samples
        if settings.curriculum:
            self.curriculum = Curriculum(
                photographs,
                size_px,
                settings.seed,
                shares,
                domain_shares,
                settings.curriculum_steps,
                removals,
            )
            self.samples = CurriculumSamples(self.curriculum)
        else:
            stream = ForgeryStream(photographs, size_px, settings.seed, shares, domain_shares, removals)
            self.samples = ForgerySamples(stream)
        self.held_out_samples = ForgerySamples(ForgeryStream(held_out, size_px, 385, shares, domain_shares))

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

    def held_out(self) -> HeldOut:
        settings = self.settings
        return check_localization(
            self.network, self.held_out_samples, settings.held_out_crops, settings.batch_size
        )
