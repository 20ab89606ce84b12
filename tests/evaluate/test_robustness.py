import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from doctored.core.picture import Picture
from doctored.evaluate.benchmark import EvaluateSettings, evaluate
from doctored.evaluate.robustness import (
    CONTROLS,
    SWEEP,
    Perturbation,
    perturbations,
    perturbed,
    robustness_points,
)
from doctored.evaluate.views import Shown
from evaluate.fakes import brightness, loader, make_folder


@pytest.fixture
def shown():
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (16, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    gt_mask, ignored = np.zeros((64, 80), bool), np.zeros((64, 80), bool)
    gt_mask[16:48, 20:60], ignored[:8] = True, True
    return Shown(Picture.from_array(pixels), gt_mask, ignored)


def test_the_sweep_covers_the_published_ranges():
    levels = {family: [p.level for p in perturbations([family])] for family in SWEEP}
    assert {family: (min(own), max(own)) for family, own in levels.items()} == {
        "jpeg": (50, 100),
        "blur": (3, 23),
        "noise": (3, 23),
        "resize": (0.25, 0.78),
        "median": (3, 7),
    }
    assert all(level % 2 == 1 for level in levels["blur"] + levels["median"])


@pytest.mark.parametrize("perturbation", perturbations(), ids=lambda p: p.view)
def test_masks_keep_the_size_of_the_picture(shown, perturbation):
    result = perturbed(shown, perturbation.view)
    assert result.gt_mask.shape == result.ignored.shape == result.picture.size_hw
    assert result.gt_mask.any()
    assert not result.gt_mask.all()
    ends_in_jpeg = perturbation.family in ("jpeg", "saved_again", "platform", "screenshot")
    assert (result.picture.jpeg is not None) == ends_in_jpeg
    again = perturbed(shown, perturbation.view)
    np.testing.assert_array_equal(again.picture.pixels, result.picture.pixels)
    np.testing.assert_array_equal(shown.gt_mask[16:48, 20:60], True)


def test_jpeg_agrees_with_pillow(shown):
    file = io.BytesIO()
    Image.fromarray(shown.picture.pixels).save(file, "JPEG", quality=50, subsampling="4:2:0")
    result = perturbed(shown, "jpeg:50").picture
    np.testing.assert_array_equal(result.pixels, np.asarray(Image.open(file)))
    assert result.file_bytes == len(file.getvalue())
    assert result.jpeg.subsampling == "4:2:0"


def test_the_median_filter_agrees_with_scipy(shown):
    expected = ndimage.median_filter(shown.picture.pixels, size=(5, 5, 1), mode="nearest")
    np.testing.assert_array_equal(perturbed(shown, "median:5").picture.pixels, expected)


def test_noise_has_the_stated_variance():
    even = Shown(Picture.from_array(np.full((200, 200, 3), 128, np.uint8)), None, None)
    result = perturbed(even, "noise:23").picture.pixels.astype(float)
    # Rounding to whole grey levels adds a twelfth.
    assert result.var() == pytest.approx(23 + 1 / 12, rel=0.03)
    assert perturbed(even, "noise:23").gt_mask is None


def test_geometry_moves_masks_along(shown):
    assert perturbed(shown, "resize:0.25").gt_mask.shape == (16, 20)
    expected = np.zeros((16, 20), bool)
    expected[4:12, 5:15] = True
    np.testing.assert_array_equal(perturbed(shown, "resize:0.25").gt_mask, expected)
    np.testing.assert_array_equal(perturbed(shown, "saved_again:95").gt_mask, shown.gt_mask[3:, 5:])
    framed = perturbed(shown, "screenshot:1").gt_mask
    np.testing.assert_array_equal(framed[24:, 16:], shown.gt_mask)
    assert perturbed(shown, "platform:3").picture.size_hw == (
        39,
        49,
    )  # 64 and 80 times .85 three times, rounded


def record(kind, name, view, score, verdict, pixel_auc=None):
    return {
        "data": "set",
        "model": "m",
        "kind": kind,
        "name": name,
        "view": view,
        "score": score,
        "verdict": verdict,
        "pixel_auc": pixel_auc,
    }


def test_points_by_hand():
    records = [
        record("authentic", f"a{n}", "as_is", n / 20, "manipulated" if n == 19 else "no_signs")
        for n in range(20)
    ]
    records += [
        record(
            "authentic", f"a{n}", "blur:3", 0.92 if n < 3 else 0.0, "manipulated" if n < 3 else "cannot_judge"
        )
        for n in range(20)
    ]
    records += [
        record("manipulated", "f0", "as_is", 2.0, "manipulated", 0.9),
        record("manipulated", "f1", "as_is", -1.0, "no_signs", 0.7),
        record("manipulated", "f0", "blur:3", 0.5, "no_signs", 0.6),
        record("manipulated", "f1", "blur:3", 1.0, "cannot_judge"),
        record("manipulated", "not perturbed", "as_is", 2.0, "manipulated", 0.1),
    ]
    untouched, blurred = robustness_points(records)
    assert (untouched.family, untouched.pixel_auc, untouched.pictures) == ("none", pytest.approx(0.8), 2)
    assert untouched.false_alarms == pytest.approx(1 / 20)
    assert untouched.detected == pytest.approx(1 / 2)  # the third was not treated
    assert untouched.not_judged == 0
    assert untouched.image_auc == pytest.approx(0.5)
    assert (blurred.kind, blurred.family, blurred.level) == ("sweep", "blur", 3)
    assert blurred.false_alarms == pytest.approx(3 / 20)
    assert blurred.detected == 0
    assert blurred.not_judged == pytest.approx(18 / 22)
    assert (blurred.pixel_auc, blurred.pictures) == (pytest.approx(0.6), 1)
    assert blurred.image_auc == pytest.approx((17 / 20 + 1) / 2)
    without = robustness_points([one for one in records if one["kind"] == "manipulated"])
    assert (without[1].false_alarms, without[1].detected) == (None, 0)
    assert without[1].image_auc is None
    assert Perturbation("webp", 60).family in CONTROLS


def test_an_evaluation_runs_it_on_the_limited_pictures(tmp_path):
    settings = EvaluateSettings(
        ("brightness",),
        (make_folder(tmp_path / "set"),),
        yardsticks=False,
        perturbations=("webp",),
        perturb_limit=4,
    )
    points = evaluate(settings, loader(brightness=brightness)).robustness
    assert [(point.family, point.level) for point in points] == [
        ("none", 0),
        ("webp", 90),
        ("webp", 75),
        ("webp", 60),
    ]
    assert {(point.pictures, point.authentic) for point in points} == {(2, 2)}
    assert json.dumps([point.__dict__ for point in points], allow_nan=False)
