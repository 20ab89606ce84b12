"""What the trained forms of Constrained R-CNN differ in, and how the original was set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES

FEATURE_STRIDE = 16
"""Pixels of the picture per cell of conv_3x, conv_4x and everything behind them."""


_MOST_UNITS = 200


@dataclass(frozen=True)
class ConstrainedRCNNSettings:
    """The shape of a Constrained R-CNN, and how many boxes pass through it.

    Attributes:
        classes: What a region can be; the first one is "authentic".
        compat: Work as the released code does, which its weights need: BGR pixels of 0..255 less their mean with
            a black frame, boxes whose right and bottom name the last pixel inside, unclamped box deltas, only
            anchors inside the picture, proposals without the true boxes, a RoI crop of one sample per bin, masks
            for the top-scored boxes in training and without NMS at test, mask normalisation by the statistics of
            the picture's own RoIs, a sigmoid mask loss under a softmax test, whole-pixel pasting, and no weight
            of a box's score in the map. One picture per batch.
        short_side_px: The picture is resized so that its short side has this many pixels; None for native scale.
        long_side_px: And its long side no more than this many; None if and only if `short_side_px` is.
        bottleneck: Units of 1 x 1, 3 x 3, 1 x 1 convolutions (ResNet-50 up), else of two 3 x 3 ones (ResNet-18).
        units: Residual units of the four blocks.
        widths: Output channels of the four blocks.
        stem_width: Channels of the first 7 x 7 convolution.
        backbone_norm: "frozen" keeps the BatchNorm as loaded and folds it into the convolutions; "learned" trains
            it, for pre-training.
        freeze_constrained: Keep the constrained filters at their start.
        cbam: "paper", or "released" for the released code's variant.
        anchor_scales: Anchor sides in units of 16 px, at each of the three shapes 2:1, 1:1, 1:2.
        rpn_batch: Anchors per picture that the region proposal network is trained on.
        roi_batch: Proposals per picture that the box head is trained on.
        candidates_training: Anchors per picture that are turned into boxes and go through NMS in training.
        candidates_test: The same at test.
        proposals_training: Proposals per picture after NMS in training.
        proposals_test: The same at test.
        mask_stage: Whether there is a second stage.
        mask_rois_training: RoIs per picture that the mask head is trained on, at most.
        mask_rois_test: Regions per picture, at most.

    Raises:
        ConfigError: The classes do not begin with "authentic", name one twice or are fewer than two; one side
            limit is set without the other; units or widths are not four; or a count is below one.
    """

    classes: tuple[str, ...] = TECHNIQUES
    compat: bool = False
    short_side_px: int | None = None
    long_side_px: int | None = None
    bottleneck: bool = True
    units: tuple[int, int, int, int] = (3, 4, 23, 3)
    widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    stem_width: int = 64
    backbone_norm: Literal["frozen", "learned"] = "frozen"
    freeze_constrained: bool = False
    cbam: Literal["paper", "released"] = "paper"
    anchor_scales: tuple[int, ...] = (2, 4, 8, 16, 32)
    rpn_batch: int = 256
    roi_batch: int = 256
    candidates_training: int = 12_000
    candidates_test: int = 6_000
    proposals_training: int = 2000
    proposals_test: int = 100
    mask_stage: bool = True
    mask_rois_training: int = 8
    mask_rois_test: int = 8

    def __post_init__(self) -> None:
        distinct = len(set(self.classes)) == len(self.classes)
        if len(self.classes) < 2 or self.classes[0] != "authentic" or not distinct:
            raise ConfigError(
                f"classes is {self.classes}; give 'authentic' first and then at least one technique, each once"
            )
        if (self.short_side_px is None) != (self.long_side_px is None):
            raise ConfigError("give both short_side_px and long_side_px, or neither for native scale")
        for name in ("backbone_norm", "cbam"):
            allowed = {"backbone_norm": ("frozen", "learned"), "cbam": ("paper", "released")}[name]
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(allowed)}")
        for name in ("units", "widths"):
            if len(getattr(self, name)) != 4:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; give one number for each of the 4 blocks"
                )
        counts = {
            "units": min(self.units),
            "widths": min(self.widths),
            "stem_width": self.stem_width,
            "anchor_scales": min(self.anchor_scales, default=0),
            "rpn_batch": self.rpn_batch,
            "roi_batch": self.roi_batch,
            "candidates_training": self.candidates_training,
            "candidates_test": self.candidates_test,
            "proposals_training": self.proposals_training,
            "proposals_test": self.proposals_test,
            "mask_rois_training": self.mask_rois_training,
            "mask_rois_test": self.mask_rois_test,
        }
        if max(self.units, default=0) > _MOST_UNITS:
            raise ConfigError(f"units is {self.units}; a block has {_MOST_UNITS} at most")
        for name, smallest in counts.items():
            if smallest < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it needs to be 1 or more")

    @property
    def pixel_end(self) -> float:
        """What a box's width is more than right minus left: 1 px where right names the last pixel inside."""
        return 1.0 if self.compat else 0.0


def compat(
    classes: Sequence[str] = ("authentic", "splicing", "removal", "copy_move"), mask_stage: bool = True
) -> ConstrainedRCNNSettings:
    """The released code's ResNet-101: its behaviour, sizes and counts; the default classes are those of NIST16.

    Args:
        classes: In the order of the weights.
        mask_stage: The entire model; False for stage 1 alone, which was pre-trained on half the anchors and RoIs.
    """
    batch = 256 if mask_stage else 128
    return ConstrainedRCNNSettings(
        classes=tuple(classes),
        compat=True,
        short_side_px=600,
        long_side_px=1000,
        freeze_constrained=True,
        cbam="released",
        anchor_scales=(8, 16, 32, 64),
        rpn_batch=batch,
        roi_batch=batch,
        mask_stage=mask_stage,
        mask_rois_training=4,
    )


NETWORKS = {
    "constrained-rcnn": ConstrainedRCNNSettings(),
    "constrained-rcnn-resnet50": ConstrainedRCNNSettings(units=(3, 4, 6, 3)),
    "constrained-rcnn-small": ConstrainedRCNNSettings(
        bottleneck=False,
        units=(2, 2, 2, 2),
        widths=(64, 128, 256, 256),
        roi_batch=32,
        candidates_training=1000,
        candidates_test=1000,
        proposals_training=500,
        proposals_test=50,
    ),
}
"""Shapes to train, by name: the paper's ResNet-101, a ResNet-50, and a ResNet-18 whose last block is no wider."""
