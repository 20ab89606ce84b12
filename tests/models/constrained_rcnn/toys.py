"""Constrained R-CNNs small enough to run in milliseconds."""

from dataclasses import replace

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
