"""Constrained R-CNN learns where pictures are manipulated and how: stage 1 alone, or the whole network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from doctored.data.region_samples import Disturbance, RegionSamples, SamplesByNumber
from doctored.metrics.boxes import ScoredBox, TrueBox, voc_average_precision
from doctored.metrics.image import image_auc
from doctored.metrics.pixel import pixel_auc
from doctored.models.constrained_rcnn.boxes import iou
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.constrained_rcnn.findings import Findings, Truth
from doctored.models.constrained_rcnn.imagenet import from_torchvision
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.constrained_rcnn.targets import on_ignored
from doctored.train.checkpoint import start_from
from doctored.train.example_rows import SHOWN, example_row
from doctored.train.loop import HeldOut, Samples, batches
from doctored.train.settings import RcnnSettings

_FOUND_IOU = 0.5
_TRUE, _FOUND = (60, 220, 60), (255, 60, 60)
_LEAST_SHOWN_SCORE = 0.3
# The released code always starts these two anew.
_CLASS_LAYERS = ("box_head.cls_score.", "box_head.bbox_pred.")
_BLOCK4, _MASK_BLOCK4 = "box_head.block4.", "mask_stage.head.block4."


class ConstrainedRCNNTraining(ConstrainedRCNN):
    """A Constrained R-CNN whose forward gives the sum of its losses; arguments as in `RegionSample`, stacked."""

    def find(self, image: torch.Tensor) -> list[Findings]:
        """What it makes of uint8 pictures (B, H, W, 3)."""
        return super().forward(_unit_range(image))

    def forward(  # type: ignore[override]  # a batch in, a loss out: what the training loop calls
        self,
        image: torch.Tensor,
        gt_mask: torch.Tensor,
        has_mask: torch.Tensor,
        ignore_mask: torch.Tensor,
        boxes: torch.Tensor,
        labels: torch.Tensor,
        ignored_boxes: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        truths = [
            Truth(
                of_boxes[of_labels > 0],
                of_labels[of_labels > 0],
                mask if masked else None,
                ignored[ignored.any(dim=1)],
                neither,
            )
            for of_boxes, of_labels, mask, masked, ignored, neither in zip(
                boxes, labels, gt_mask, has_mask, ignored_boxes, ignore_mask, strict=True
            )
        ]
        losses = self.losses(_unit_range(image), truths)
        total = losses.total
        if torch.distributed.is_initialized():
            # Processes wait for a gradient of every weight, also where pictures have no region for the mask stage.
            total = total + 0 * sum(weight.sum() for weight in self.parameters() if weight.requires_grad)
        return total, {name: value.detach() for name, value in vars(losses).items()}


def _unit_range(image: torch.Tensor) -> torch.Tensor:
    return image.permute(0, 3, 1, 2).float() / 255


def fitted_start(
    start: Mapping[str, torch.Tensor], settings: ConstrainedRCNNSettings, same_classes: bool
) -> dict[str, torch.Tensor]:
    """Weights to start from, as a network of these settings can take them.

    Args:
        start: Of a Constrained R-CNN, of a pre-trained backbone, or a torchvision ResNet's.
        settings: Of the network to start.
        same_classes: Whether the start tells the same classes apart; else the layers that name them start anew.

    Returns:
        Without a mask stage in them, its block 4 is the box head's.
    """
    if "layer1.0.conv1.weight" in start:
        return from_torchvision(start, settings)
    fitted = {
        name: tensor for name, tensor in start.items() if same_classes or not name.startswith(_CLASS_LAYERS)
    }
    if settings.mask_stage and not any(name.startswith(_MASK_BLOCK4) for name in fitted):
        fitted |= {
            name.replace(_BLOCK4, _MASK_BLOCK4): tensor
            for name, tensor in fitted.items()
            if name.startswith(_BLOCK4)
        }
    return fitted


class ConstrainedRCNNTask:
    """What `train` needs for stage 1, or for both stages.

    Args:
        settings: Of the run.
        learn: Pictures to learn from, of `model_settings.classes`.
        held_out: Pictures to check on, never learned from.
        start: Weights to go on from, see `fitted_start`; None for a random start.
        source: What the run's description says about the pictures and the start.
        model_settings: Shape of the network; with `mask_stage`, both stages are trained.
        start_classes: What the start tells apart; None where it names nothing.
    """

    name = "constrained-rcnn"
    curriculum = None

    def __init__(
        self,
        settings: RcnnSettings,
        learn: SamplesByNumber,
        held_out: SamplesByNumber,
        start: Mapping[str, torch.Tensor] | None,
        source: dict[str, Any],
        model_settings: ConstrainedRCNNSettings,
        start_classes: Sequence[str] | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.source = source
        self.model_settings = replace(
            model_settings, rpn_batch=settings.rpn_batch, roi_batch=settings.roi_batch
        )
        self.network = ConstrainedRCNNTraining(self.model_settings)
        classes = self.model_settings.classes
        if start is not None:
            same = start_classes is not None and tuple(start_classes) == classes
            start_from(self.network, fitted_start(start, self.model_settings, same))
        disturbance = Disturbance(
            settings.noise, settings.noise_share, settings.filter_share, settings.jpeg_share
        )
        self.samples: Samples = RegionSamples(learn, classes, disturbance, settings.seed)
        self.held_out_samples = RegionSamples(held_out, classes, Disturbance(), 385)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [weight for weight in self.network.parameters() if weight.requires_grad]}]

    def description(self) -> dict[str, Any]:
        return self.source

    def model_json(self) -> dict[str, Any]:
        return {"model": "constrained-rcnn", "settings": asdict(self.model_settings)}

    def held_out(self) -> HeldOut:
        return check_regions(self.network, self.held_out_samples, self.settings.held_out_crops)


def check_regions(network: ConstrainedRCNNTraining, samples: RegionSamples, count: int) -> HeldOut:
    """Score a network on the first samples, and show what it makes of the first few forgeries among them.

    Args:
        network: In evaluation mode.
        samples: Of held-out pictures.
        count: How many samples to take; none gives nothing.

    Returns:
        "box_ap", the average precision of boxes that overlap a true one by more than 0.5, whatever their technique;
        "technique_accuracy", the share of the regions found (by the surest of such boxes) whose technique is right,
        where there are several; "image_auc" of each picture's surest score; "pixel_auc", the mean over the forged
        pictures with masks. What cannot be had from these samples is left out. And a picture "samples" with a row for
        each of the forgeries shown: true boxes green and found ones red, the true mask, and the map.
    """
    if not count:
        return HeldOut()
    device = next(network.parameters()).device
    answers: list[_Answer] = []
    aucs: list[float] = []
    rows: list[NDArray[np.uint8]] = []
    for image, gt_mask, _, _, boxes, labels, ignored_boxes in batches(samples, range(count), 1):
        findings = network.find(image.to(device))[0]
        localization_map = findings.localization_map.float().cpu().numpy()
        answer = _answer(findings, boxes[0], labels[0], ignored_boxes[0])
        answers.append(answer)
        truth = gt_mask[0].numpy()
        if not truth.any() or truth.all():
            continue
        aucs.append(pixel_auc(localization_map, truth))
        if len(rows) < SHOWN:
            rows.append(example_row(_with_boxes(image[0].numpy(), answer), truth, localization_map))
    figures = _figures(answers, several_techniques=len(samples.classes) > 2)
    if aucs:
        figures["pixel_auc"] = float(np.mean(aucs))
    return HeldOut(figures, {"samples": np.concatenate(rows)} if rows else {})


@dataclass(frozen=True, eq=False)
class _Answer:
    """What was found in one picture, surest first, beside what there is.

    Attributes:
        found: (F, 4), without boxes that have no area, or lie where nothing can be wrong.
        scores, named: (F,), of each.
        true: (T, 4).
        labels: (T,), of each.
        hits: (F, T) bool, which finds what.
    """

    found: NDArray[np.float32]
    scores: NDArray[np.float32]
    named: NDArray[np.int64]
    true: NDArray[np.float32]
    labels: NDArray[np.int64]
    hits: NDArray[np.bool_]


def _answer(
    findings: Findings, boxes: torch.Tensor, labels: torch.Tensor, ignored_boxes: torch.Tensor
) -> _Answer:
    true = boxes[labels > 0]
    found = findings.boxes_xyxy.float().cpu()
    hits = iou(found, true, 0.0) > _FOUND_IOU
    judged = (found[:, 2:] > found[:, :2]).all(dim=1)
    judged &= hits.any(dim=1) | ~on_ignored(found, ignored_boxes, 0.0)
    return _Answer(
        found[judged].numpy(),
        findings.scores.float().cpu()[judged].numpy(),
        findings.labels.cpu()[judged].numpy(),
        true.numpy(),
        labels[labels > 0].numpy(),
        hits[judged].numpy(),
    )


def _figures(answers: Sequence[_Answer], several_techniques: bool) -> dict[str, float]:
    found = [
        ScoredBox(str(number), tuple(box), "", float(score))
        for number, answer in enumerate(answers)
        for box, score in zip(answer.found, answer.scores, strict=True)
    ]
    true = [
        TrueBox(str(number), tuple(box), "") for number, answer in enumerate(answers) for box in answer.true
    ]
    figures = {}
    if true:
        figures["box_ap"] = voc_average_precision(found, true, _FOUND_IOU).average_precision
    right = [
        bool(answer.named[hits.argmax()] == label)
        for answer in answers
        for hits, label in zip(answer.hits.T, answer.labels, strict=True)
        if hits.any()
    ]
    if right and several_techniques:
        figures["technique_accuracy"] = float(np.mean(right))
    forged = [len(answer.true) > 0 for answer in answers]
    if len(set(forged)) == 2:
        figures["image_auc"] = image_auc([answer.scores.max(initial=0.0) for answer in answers], forged)
    return figures


def _with_boxes(picture: NDArray[np.uint8], answer: _Answer) -> NDArray[np.uint8]:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for boxes, colour in ((answer.found[answer.scores >= _LEAST_SHOWN_SCORE], _FOUND), (answer.true, _TRUE)):
        for left, top, right, bottom in boxes.tolist():
            draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour)
    return np.asarray(canvas)
