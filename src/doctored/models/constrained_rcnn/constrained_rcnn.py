"""Constrained R-CNN: from a picture to regions, each with a box, a technique and a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from doctored.core.errors import ConfigError, ShapeError
from doctored.models.constrained_rcnn.anchors import cell_anchors, grid_anchors, inside_picture
from doctored.models.constrained_rcnn.box_head import BoxHead
from doctored.models.constrained_rcnn.findings import Findings, Regions, Truth
from doctored.models.constrained_rcnn.guidance import surest_regions
from doctored.models.constrained_rcnn.losses import Losses, mask_loss, roi_losses, rpn_losses
from doctored.models.constrained_rcnn.mask_stage import MaskStage
from doctored.models.constrained_rcnn.paste import localization_map, roi_votes
from doctored.models.constrained_rcnn.pixels import network_mask, network_pixels
from doctored.models.constrained_rcnn.proposals import propose
from doctored.models.constrained_rcnn.roi import MASK_SIZE, crop_rois, mask_targets
from doctored.models.constrained_rcnn.rpn import AttentionRPN
from doctored.models.constrained_rcnn.scaling import Scaling, scaling_for
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.constrained_rcnn.targets import (
    RoITargets,
    label_anchors,
    on_ignored,
    sample_anchors,
    sample_rois,
)
from doctored.models.constrained_rcnn.trunk import Trunk


@dataclass(frozen=True, eq=False)
class Features:
    """What the shared layers make of B pictures of one size.

    Attributes:
        conv_3x, conv_4x, attended: Maps of one cell for 16 px, see `SlimResNet` and `AttentionRPN`.
        logits: (B, N, 2), of the anchors.
        deltas: (B, N, 4), of the anchors.
        anchors: (N, 4), in pixels of the network's copy of the picture.
    """

    conv_3x: torch.Tensor
    conv_4x: torch.Tensor
    attended: torch.Tensor
    logits: torch.Tensor
    deltas: torch.Tensor
    anchors: torch.Tensor

    def of_picture(self, number: int) -> "Features":
        """Those of one of the B pictures, as a batch of one."""
        one = slice(number, number + 1)
        return Features(
            self.conv_3x[one],
            self.conv_4x[one],
            self.attended[one],
            self.logits[one],
            self.deltas[one],
            self.anchors,
        )


class ConstrainedRCNN(Trunk):
    """Coarse boxes and techniques first (stage 1), then a mask in each of the surest boxes (stage 2).

    Shapes:
        image: (B, 3, H, W), RGB, float32, in [0, 1]; any H and W; B = 1 with `compat`.

    Paper: Yang et al., Constrained R-CNN: A general image manipulation detection model, ICME 2020.
    Differs: see the card beside this file; `ConstrainedRCNNSettings.compat` lists what the released weights need.
    """

    cell_anchors: torch.Tensor

    def __init__(self, settings: ConstrainedRCNNSettings | None = None) -> None:
        super().__init__(settings or ConstrainedRCNNSettings())
        self.rpn = AttentionRPN(self.settings)
        self.box_head = BoxHead(self.settings)
        self.mask_stage = MaskStage(self.settings) if self.settings.mask_stage else None
        anchors = cell_anchors(self.settings.anchor_scales, self.settings.pixel_end)
        self.register_buffer("cell_anchors", anchors, persistent=False)

    def features(self, pixels: torch.Tensor) -> Features:
        """Everything up to the heads, from `network_pixels`."""
        return self.features_of_residual(self.residual(pixels))

    def features_of_residual(self, residual: torch.Tensor) -> Features:
        """Everything behind the constrained convolution, from what that makes of a picture."""
        conv_3x, conv_4x = self.backbone(residual)
        attended, logits, deltas = self.rpn(conv_4x)
        height, width = conv_4x.shape[-2:]
        anchors = grid_anchors(self.cell_anchors, (height, width))
        return Features(conv_3x, conv_4x, attended, logits, deltas, anchors)

    def forward(self, image: torch.Tensor) -> list[Findings]:
        """The regions of each picture and their map, at the size of the picture.

        Raises:
            ShapeError: The image is not (B, 3, H, W).
            ConfigError: There are several pictures, but the network has `compat`.
        """
        size_hw = (image.shape[-2], image.shape[-1])
        return [
            Findings(**vars(one), localization_map=self._map(one, size_hw)) for one in self.examine(image)
        ]

    def examine(self, image: torch.Tensor) -> list[Regions]:
        """The regions of each picture, without a map; the picture may also be uint8.

        Raises:
            ShapeError: The image is not (B, 3, H, W).
            ConfigError: There are several pictures, but the network has `compat`.
        """
        scaling = self._scaling(image)
        features = self.features(network_pixels(image, scaling, self.settings.compat))
        return [self.regions(features.of_picture(number), scaling) for number in range(len(image))]

    def regions(self, features: Features, scaling: Scaling) -> Regions:
        """What the two stages make of the features of one picture; everything here can be traced."""
        compat = self.settings.compat
        (rois,) = self._proposals(features, scaling, training=False)
        logits, deltas = self.box_head(crop_rois(features.conv_4x, [rois], compat))
        picture_rois = rois / scaling.factor
        boxes, scores, labels = surest_regions(
            picture_rois, logits, deltas, scaling.picture_hw, self.settings
        )
        if self.mask_stage is None:
            masks = boxes.new_ones(len(boxes), MASK_SIZE, MASK_SIZE)
        else:
            mask_logits = self._mask_logits(self.mask_stage, features, [boxes * scaling.factor])
            masks = mask_logits.softmax(dim=1)[:, 1]
        roi_logits = logits[:, 1:].logsumexp(dim=1) - logits[:, 0]
        return Regions(boxes, scores, labels, masks, picture_rois, roi_logits)

    def losses(self, image: torch.Tensor, truths: Sequence[Truth]) -> Losses:
        """The losses of a batch; which anchors and RoIs count is drawn at random.

        Args:
            image: (B, 3, H, W).
            truths: What is manipulated in each of the B pictures.

        Raises:
            ShapeError: The image is not (B, 3, H, W), or there is not one truth of its size for each picture.
            ConfigError: There are several pictures, but the network has `compat`; or a label is none of its classes.
        """
        scaling = self._scaling(image)
        self._check_truths(truths, scaling, len(image))
        true_boxes = [self._network_boxes(truth.boxes_xyxy, scaling) for truth in truths]
        features = self.features(network_pixels(image, scaling, self.settings.compat))
        rpn_class, rpn_box = self._rpn_losses(features, truths, true_boxes, scaling)
        sampled = self._sample(features, truths, true_boxes, scaling)
        crops = crop_rois(features.conv_4x, [of_picture.rois for of_picture in sampled], self.settings.compat)
        logits, deltas = self.box_head(crops)
        roi_class, roi_box = roi_losses(
            logits,
            deltas,
            torch.cat([of_picture.labels for of_picture in sampled]),
            torch.cat([of_picture.deltas for of_picture in sampled]),
        )
        mask = self._mask_loss(features, truths, sampled, logits, deltas, scaling)
        return Losses(rpn_class, rpn_box, roi_class, roi_box, mask)

    def _scaling(self, image: torch.Tensor) -> Scaling:
        if image.ndim != 4 or image.shape[1] != 3 or not image.numel():
            raise ShapeError(f"expected a batch of RGB pictures (B, 3, H, W), got {tuple(image.shape)}")
        if self.settings.compat and len(image) > 1:
            raise ConfigError(
                f"got {len(image)} pictures in one batch; with compat masks depend on the rest of the batch, "
                "so pass one picture at a time"
            )
        return scaling_for((image.shape[2], image.shape[3]), self.settings)

    def _check_truths(self, truths: Sequence[Truth], scaling: Scaling, batch: int) -> None:
        if len(truths) != batch:
            raise ShapeError(f"got {batch} pictures but {len(truths)} truths; pass one for each")
        for truth in truths:
            if truth.gt_mask is not None and truth.gt_mask.shape != scaling.picture_hw:
                raise ShapeError(
                    f"gt_mask is {tuple(truth.gt_mask.shape)} but its picture is {scaling.picture_hw}; "
                    "pair it with the picture it was drawn for"
                )
            wrong = truth.labels[(truth.labels < 1) | (truth.labels >= len(self.settings.classes))]
            if len(wrong):
                raise ConfigError(
                    f"label {int(wrong[0])} is no technique of {self.settings.classes}; "
                    f"give 1 to {len(self.settings.classes) - 1}"
                )

    def _network_boxes(self, boxes_xyxy: torch.Tensor, scaling: Scaling) -> torch.Tensor:
        end = boxes_xyxy.new_tensor([0, 0, self.settings.pixel_end, self.settings.pixel_end])
        return (boxes_xyxy - end) * scaling.factor

    def _ignored(self, boxes: torch.Tensor, truth: Truth, scaling: Scaling) -> torch.Tensor | None:
        if truth.ignored_boxes_xyxy is None:
            return None
        regions = self._network_boxes(truth.ignored_boxes_xyxy, scaling)
        return on_ignored(boxes, regions, self.settings.pixel_end)

    def _proposals(self, features: Features, scaling: Scaling, training: bool) -> list[torch.Tensor]:
        return [
            propose(logits, deltas, features.anchors, scaling.network_hw, self.settings, training)
            for logits, deltas in zip(features.logits, features.deltas, strict=True)
        ]

    def _rpn_losses(
        self,
        features: Features,
        truths: Sequence[Truth],
        true_boxes: Sequence[torch.Tensor],
        scaling: Scaling,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        anchors, pixel_end = features.anchors, self.settings.pixel_end
        # On crops of 256 px few large anchors lie inside, and regions that touch the border would have none.
        usable = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        if self.settings.compat:
            usable = inside_picture(anchors, scaling.network_hw, pixel_end)
        pairs = []
        for logits, deltas, truth, boxes in zip(
            features.logits, features.deltas, truths, true_boxes, strict=True
        ):
            ignored = self._ignored(anchors, truth, scaling)
            targets = label_anchors(anchors, boxes, usable, pixel_end, ignored)
            labels = sample_anchors(targets.labels, self.settings.rpn_batch)
            pairs.append(torch.stack(rpn_losses(logits, deltas, labels, targets.deltas)))
        rpn_class, rpn_box = torch.stack(pairs).mean(dim=0).unbind()
        return rpn_class, rpn_box

    def _sample(
        self,
        features: Features,
        truths: Sequence[Truth],
        true_boxes: Sequence[torch.Tensor],
        scaling: Scaling,
    ) -> list[RoITargets]:
        proposals = self._proposals(features, scaling, training=True)
        if not self.settings.compat:
            # Before the RPN has learned, nothing that it proposes is on a manipulated region.
            proposals = [torch.cat(pair) for pair in zip(proposals, true_boxes, strict=True)]
        count, pixel_end = self.settings.roi_batch, self.settings.pixel_end
        return [
            sample_rois(boxes, of_truth, truth.labels, count, pixel_end, self._ignored(boxes, truth, scaling))
            for boxes, of_truth, truth in zip(proposals, true_boxes, truths, strict=True)
        ]

    def _mask_rois(
        self, sampled: RoITargets, logits: torch.Tensor, deltas: torch.Tensor, scaling: Scaling
    ) -> torch.Tensor:
        """(M, 4), what the mask head learns from in one picture.

        Differs: the released code takes the surest regions, right or wrong, as `compat` does; here foreground RoIs,
            which are near a true box from the start.
        """
        if not self.settings.compat:
            return sampled.rois[sampled.labels > 0][: self.settings.mask_rois_training]
        picture_rois = sampled.rois / scaling.factor
        boxes, _, _ = surest_regions(
            picture_rois, logits, deltas, scaling.picture_hw, self.settings, training=True
        )
        return boxes * scaling.factor

    def _mask_loss(
        self,
        features: Features,
        truths: Sequence[Truth],
        sampled: Sequence[RoITargets],
        logits: torch.Tensor,
        deltas: torch.Tensor,
        scaling: Scaling,
    ) -> torch.Tensor:
        counts = [len(of_picture.rois) for of_picture in sampled]
        rois, targets, ignored = [], [], []
        for truth, of_picture, of_logits, of_deltas in zip(
            truths, sampled, logits.split(counts), deltas.split(counts), strict=True
        ):
            if truth.gt_mask is None:
                rois.append(of_picture.rois[:0])
                continue
            rois.append(self._mask_rois(of_picture, of_logits, of_deltas, scaling))
            mask = network_mask(truth.gt_mask, scaling)
            targets.append(mask_targets(mask, rois[-1], self.settings.compat))
            if truth.ignore_mask is None:
                ignored.append(torch.zeros_like(targets[-1]))
            else:
                neither = network_mask(truth.ignore_mask, scaling)
                ignored.append(mask_targets(neither, rois[-1], self.settings.compat))
        if self.mask_stage is None or not any(len(boxes) for boxes in rois):
            return logits.new_zeros(())
        mask_logits = self._mask_logits(self.mask_stage, features, rois)
        return mask_loss(mask_logits, torch.cat(targets), torch.cat(ignored), self.settings.compat)

    def _mask_logits(
        self, mask_stage: MaskStage, features: Features, rois: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        fused = mask_stage.fusion(features.conv_3x, features.attended)
        return mask_stage.head(crop_rois(fused, rois, self.settings.compat))

    def _map(self, regions: Regions, size_hw: tuple[int, int]) -> torch.Tensor:
        arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in vars(regions).items()}
        votes = roi_votes(arrays["rois"], arrays["roi_logits"], size_hw)
        pasted = localization_map(
            arrays["masks"], arrays["boxes_xyxy"], arrays["scores"], votes, self.settings.compat
        )
        return torch.from_numpy(pasted).to(regions.masks.device)
