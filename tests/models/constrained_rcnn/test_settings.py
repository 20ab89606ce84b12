from dataclasses import replace

import pytest

from doctored.core.errors import ConfigError
from doctored.models.constrained_rcnn.settings import NETWORKS, ConstrainedRCNNSettings, compat


def test_the_original():
    settings = compat()
    assert settings.classes == ("authentic", "splicing", "removal", "copy_move")
    assert (settings.short_side_px, settings.long_side_px) == (600, 1000)
    assert settings.units == (3, 4, 23, 3)
    assert settings.anchor_scales == (8, 16, 32, 64)
    assert (settings.rpn_batch, settings.roi_batch) == (256, 256)
    assert (settings.candidates_training, settings.candidates_test) == (12_000, 6_000)
    assert (settings.proposals_training, settings.proposals_test) == (2000, 100)
    assert (settings.mask_rois_training, settings.mask_rois_test) == (4, 8)
    assert settings.pixel_end == 1
    assert settings.freeze_constrained
    assert settings.backbone_norm == "frozen"


def test_the_original_pre_training_of_stage_1():
    settings = compat(("authentic", "tamper"), mask_stage=False)
    assert (settings.rpn_batch, settings.roi_batch) == (128, 128)
    assert not settings.mask_stage


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_ours_run_at_native_scale_from_32_px(settings: ConstrainedRCNNSettings):
    assert settings.short_side_px is None
    assert settings.anchor_scales[0] * 16 == 32
    assert not settings.compat
    assert settings.pixel_end == 0


def test_small_is_the_affordable_one():
    small = NETWORKS["constrained-rcnn-small"]
    assert small.widths[3] == 256
    assert (small.roi_batch, small.proposals_test) == (32, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("authentic",)}, "at least one technique"),
        ({"classes": ("splicing", "authentic")}, "'authentic' first"),
        ({"classes": ("authentic", "removal", "removal")}, "each once"),
        ({"short_side_px": 600}, "both short_side_px and long_side_px"),
        ({"cbam": "none"}, "cbam is 'none'"),
        ({"backbone_norm": "group"}, "backbone_norm is 'group'"),
        ({"anchor_scales": ()}, "anchor_scales"),
        ({"units": (3, 4, 0, 3)}, "units is .* 1 or more"),
        ({"units": (3, 4, 3)}, r"units is \(3, 4, 3\); give one number for each of the 4 blocks"),
        ({"widths": (8, 8, 8, 8, 8)}, "widths"),
        ({"roi_batch": 0}, "roi_batch is 0"),
    ],
)
def test_settings_that_make_no_sense(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        replace(ConstrainedRCNNSettings(), **change)
