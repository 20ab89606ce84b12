"""One picture through every model, and all numbers that its truth allows; the work of one worker process."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.core.inspection import Inspection
from doctored.core.picture import Picture
from doctored.core.read_image import read_image, read_mask
from doctored.evaluate.cases import Case
from doctored.evaluate.robustness import perturbed
from doctored.evaluate.views import AS_IS, EQUALISED, Shown, equalised
from doctored.metrics.area import pixel_recall
from doctored.metrics.conventions import PLAIN, PixelConvention, counted_pixels, scored_mask
from doctored.metrics.pixel import flagged_area, pixel_auc, pixel_scores, shuffled_pixel_auc
from doctored.metrics.pooled import PooledPixelScores

PREVIEW_PX = 240
Record = dict[str, Any]
"""All numbers of one model on one view of one picture, in JSON's types; None where undefined."""

PER_IMAGE_SCORES = (
    "pixel_auc",
    "shuffled_pixel_auc",
    "best_pixel_f1",
    "best_threshold",
    "pixel_f1",
    "pixel_iou",
    "pixel_mcc",
    "pixel_average_precision",
    "pixel_recall",
)


@dataclass(frozen=True)
class Item:
    """One view of one picture that is to be measured.

    Attributes:
        case: The picture.
        view: "as_is", "equalised", or a perturbation.
        prior: Its entry of `position_priors`; None if there is none.
    """

    case: Case
    view: str
    prior: NDArray[np.float64] | None = None

    @property
    def key(self) -> str:
        """What tells it from every other item of an evaluation."""
        return f"{self.view} {self.case.key}"


@dataclass(frozen=True, eq=False)
class Measured:
    """What came of an item.

    Attributes:
        records: One for each model.
        pooled: Pixels of the manipulated picture by model, for scores over the whole set; of the view as it is.
        preview: The first model's map, reduced and stretched, uint8; of the view as it is.
    """

    records: list[Record]
    pooled: dict[str, PooledPixelScores]
    preview: NDArray[np.uint8] | None


@dataclass
class MeasurePicture:
    """The job of a worker.

    Args:
        models: Names for `load`.
        load: From a name to a `Detector`, or what answers like one.
        threshold: Of scores at a fixed threshold.
        convention: Of pixel scores.
    """

    models: tuple[str, ...]
    load: Callable[[str], Any]
    threshold: float = 0.5
    convention: PixelConvention = PLAIN
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, item: Item) -> Measured:
        """Measure an item.

        Raises:
            UndefinedMetricError: A map holds NaN.
            ShapeError: A map or mask is not of its picture's size.
            ImageReadError: A file cannot be read.
        """
        shown = _show(item.case, item.view)
        records, pooled, preview = [], {}, None
        for model in self.models:
            start = time.perf_counter()
            inspection = self._detector(model).inspect(shown.picture)
            seconds = time.perf_counter() - start
            _check_map(model, item.case.path, inspection.localization_map, shown.picture)
            record = _facts(item, model, shown, inspection, seconds)
            record |= self._pixel_scores(item, shown, inspection.localization_map)
            records.append(record)
            if item.view == AS_IS:
                if shown.gt_mask is not None and record["pixel_auc"] is not None:
                    pooled[model] = self._pooled(inspection.localization_map, shown)
                if preview is None:
                    preview = _reduced(inspection.localization_map)
        return Measured(records, pooled, preview)

    def _detector(self, model: str) -> Any:
        if model not in self._loaded:
            self._loaded[model] = self.load(model)
        return self._loaded[model]

    def _pixel_scores(
        self, item: Item, shown: Shown, localization_map: NDArray[np.float32]
    ) -> dict[str, float | None]:
        scores: dict[str, float | None] = dict.fromkeys((*PER_IMAGE_SCORES, "flagged_area"))
        if item.case.authentic:
            scores["flagged_area"] = flagged_area(localization_map, self.threshold)
        # The equalised view is about whole pictures.
        if shown.gt_mask is None or item.view == EQUALISED:
            return scores
        gt_mask, prior = shown.gt_mask, item.prior
        counted_map, counted_mask = self._counted(localization_map, shown)
        try:
            if item.view != AS_IS:
                scores["pixel_auc"] = pixel_auc(counted_map, counted_mask, self._flip)
                return scores
            all_scores = pixel_scores(counted_map, counted_mask, self.threshold, self._flip)
        except UndefinedMetricError:  # one class only: counted aside
            return scores
        scores |= {
            "pixel_auc": all_scores.auc,
            "best_pixel_f1": all_scores.best_f1,
            "best_threshold": all_scores.best_f1_threshold,
            "pixel_f1": all_scores.f1,
            "pixel_iou": all_scores.iou,
            "pixel_mcc": all_scores.mcc,
            "pixel_average_precision": all_scores.average_precision,
            "pixel_recall": pixel_recall(counted_map, counted_mask, self.threshold),
        }
        if prior is not None:
            if shown.ignored is not None:
                gt_mask, prior = _without(shown.ignored, gt_mask, prior)
            # Undefined where no other mask reaches the rest of this picture.
            with contextlib.suppress(UndefinedMetricError):
                scores["shuffled_pixel_auc"] = shuffled_pixel_auc(
                    localization_map, gt_mask, prior, self.convention
                )
        return scores

    def _counted(
        self, localization_map: NDArray[np.float32], shown: Shown
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Map and mask of the pixels that count, to be scored under what `_flip` leaves of the convention."""
        assert shown.gt_mask is not None
        gt_mask = scored_mask(shown.gt_mask, self.convention)
        if shown.ignored is None and self.convention.ignored_border_px == 0:
            return localization_map, gt_mask
        counted = counted_pixels(gt_mask, self.convention)
        if shown.ignored is not None:
            counted &= ~shown.ignored
        # One row: the pixels that are left have no neighbours any more.
        return localization_map[counted][None], gt_mask[counted][None]

    @property
    def _flip(self) -> PixelConvention:
        return PixelConvention(polarity_flip=self.convention.polarity_flip)

    def _pooled(self, localization_map: NDArray[np.float32], shown: Shown) -> PooledPixelScores:
        pooled = PooledPixelScores(convention=self._flip)
        pooled.add(*self._counted(localization_map, shown))
        return pooled


def _show(case: Case, view: str) -> Shown:
    picture = read_image(case.path)
    gt_mask = None if case.mask is None else read_mask(case.mask, picture.size_hw)
    ignored = None if case.ignore is None else read_mask(case.ignore, picture.size_hw)
    shown = Shown(picture, gt_mask, ignored)
    if view == AS_IS:
        return shown
    if view == EQUALISED:
        return Shown(equalised(picture), gt_mask, ignored)
    return perturbed(shown, view)


def _check_map(model: str, path: Path, localization_map: NDArray[np.float32], picture: Picture) -> None:
    if localization_map.shape != picture.size_hw:
        raise ShapeError(
            f"{model} on {path}: the localization_map is {localization_map.shape}, but the picture is "
            f"{picture.size_hw} (height, width)"
        )
    if not np.isfinite(localization_map).all():
        raise UndefinedMetricError(
            f"{model} on {path}: the map holds NaN or infinity, so nothing can be scored; the model is damaged"
        )


def _facts(item: Item, model: str, shown: Shown, inspection: Inspection, seconds: float) -> Record:
    picture, answering = shown.picture, inspection.model
    height, width = picture.size_hw
    score = answering.raw_score if inspection.detection_score is None else inspection.detection_score
    return {
        "data": item.case.data,
        "name": item.case.name,
        "kind": "authentic" if item.case.authentic else "manipulated",
        "view": item.view,
        "model": model,
        "sha256": answering.sha256,
        "width": width,
        "height": height,
        "forged_share": None if shown.gt_mask is None else float(shown.gt_mask.mean()),
        "format": picture.format,
        "bytes_per_pixel": picture.file_bytes / (width * height),
        "jpeg_quality": None if picture.jpeg is None else picture.jpeg.estimated_quality,
        "subsampling": None if picture.jpeg is None else picture.jpeg.subsampling,
        "map_mean": float(inspection.localization_map.mean(dtype=np.float64)),
        "map_max": float(inspection.localization_map.max()),
        "raw_score": float(answering.raw_score),
        "detection_score": inspection.detection_score,
        "score": float(score),
        "verdict": inspection.verdict,
        "regions": [region.to_json() for region in inspection.regions],
        "seconds": seconds,
    }


def _without(
    ignored: NDArray[np.bool_],
    gt_mask: NDArray[np.bool_],
    prior: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Mask and prior in which ignored pixels are authentic and weigh nothing."""
    height, width = gt_mask.shape
    stretched = Image.fromarray(prior.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return gt_mask & ~ignored, np.where(ignored, 0.0, np.asarray(stretched))


def _reduced(localization_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A small copy, stretched from the map's own minimum to its maximum: for people's eyes."""
    lowest, highest = float(localization_map.min()), float(localization_map.max())
    shares = (localization_map - lowest) / max(highest - lowest, 1e-12)
    grey = Image.fromarray(np.rint(shares * 255).astype(np.uint8))
    grey.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.BOX)
    return np.asarray(grey)
