"""What goes into and comes out of the network besides pictures."""

from dataclasses import dataclass

import torch

from doctored.core.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Truth:
    """What is manipulated in one picture.

    Attributes:
        boxes_xyxy: (T, 4) float32, in pixels, right and bottom just outside; T = 0 for an authentic picture.
        labels: (T,) int64, index into the network's classes, from 1.
        gt_mask: (H, W) bool, True where manipulated; None where a data set has boxes only, and then the mask stage
            does not learn from the picture.
        ignored_boxes_xyxy: (I, 4) float32, boxes of regions that are neither, such as what a copy-move copied; what
            lies there is no background. None for none.
        ignore_mask: (H, W) bool, True for pixels that are neither; None for none.

    Raises:
        ShapeError: The boxes are not (T, 4) or there is not one label for each.
    """

    boxes_xyxy: torch.Tensor
    labels: torch.Tensor
    gt_mask: torch.Tensor | None = None
    ignored_boxes_xyxy: torch.Tensor | None = None
    ignore_mask: torch.Tensor | None = None

    def __post_init__(self) -> None:
        boxes = self.boxes_xyxy
        if boxes.ndim != 2 or boxes.shape[1] != 4 or self.labels.shape != boxes.shape[:1]:
            raise ShapeError(
                f"boxes_xyxy is {tuple(boxes.shape)} and labels {tuple(self.labels.shape)}; "
                "give (T, 4) boxes and (T,) labels"
            )


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of one picture, and what all regions of interest (RoIs) together say of it.

    Attributes:
        boxes_xyxy: (M, 4) float32, in pixels of the picture given, surest first.
        scores: (M,) float32, probability of the label.
        labels: (M,) int64, index into the network's classes, from 1.
        masks: (M, 14, 14) float32, probability of being manipulated over each box; all 1 without a mask stage.
        rois: (R, 4) float32, the proposals that the box head judged, in pixels of the picture given.
        roi_logits: (R,) float32, of each being manipulated, whatever the technique.
    """

    boxes_xyxy: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    rois: torch.Tensor
    roi_logits: torch.Tensor


@dataclass(frozen=True, eq=False)
class Findings(Regions):
    """What the network says about one picture.

    Attributes:
        localization_map: (H, W) float32, in [0, 1], the pixel-wise maximum over the regions.
    """

    localization_map: torch.Tensor
