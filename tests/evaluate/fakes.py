"""Detectors whose maps are known, and a folder of forgeries that are brighter where manipulated."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

SIZE_HW = (24, 36)


class FakeDetector:
    """Answers with a function of the picture, without the checks of real results; one with regions is an R-CNN."""

    precision, calibration_sha256 = "fp32", None

    def __init__(self, function, regions=None, detection_score=None, sha256="0" * 64):
        self.function, self.regions = function, regions
        self.detection_score, self.sha256 = detection_score, sha256
        self.witness_names = ("mantranet" if regions is None else "constrained-rcnn",)
        self.seen = []

    def inspect(self, picture):
        self.seen.append(picture)
        localization_map = self.function(picture)
        return SimpleNamespace(
            localization_map=localization_map,
            model=SimpleNamespace(raw_score=float(localization_map.mean()), sha256=self.sha256),
            detection_score=None if self.detection_score is None else self.detection_score(picture),
            verdict="cannot_judge",
            regions=() if self.regions is None else self.regions(picture),
        )


def loader(**detectors):
    """A `load` for detectors by name; functions become detectors."""
    fakes = {
        name: detector if isinstance(detector, FakeDetector) else FakeDetector(detector)
        for name, detector in detectors.items()
    }
    return fakes.__getitem__


def brightness(picture):
    return picture.pixels[..., 0].astype(np.float32) / 255


def constant(picture):
    return np.zeros(picture.size_hw, np.float32)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def make_folder(folder, count=6, seed=0, authentic=True):
    """Forgeries that are brighter where manipulated, some less clearly, and as many authentic pictures."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        gt_mask = np.zeros(SIZE_HW, bool)
        top, left = rng.integers(0, 14), rng.integers(0, 24)
        gt_mask[top : top + 8, left : left + 10] = True
        noise = rng.integers(0, 60, SIZE_HW)
        forged = np.repeat((noise + 25 * gt_mask)[..., None], 3, axis=2).astype(np.uint8)
        save(folder / "images" / f"f{number}.png", forged)
        save(folder / "masks" / f"f{number}.png", gt_mask.astype(np.uint8) * 255)
        if authentic:
            pixels = np.repeat(rng.integers(0, 60, (*SIZE_HW, 1)), 3, axis=2).astype(np.uint8)
            save(folder / "authentic" / f"a{number}.png", pixels)
    return folder
