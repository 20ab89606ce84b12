"""Scores of detectors on a folder of real forgeries, each with the interval that chance leaves open."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, DataError, UndefinedMetricError
from doctored.core.picture import Picture
from doctored.core.read_image import read_image, read_mask
from doctored.data.paired_folder import PairedFolder, list_pairs
from doctored.metrics.image import image_auc
from doctored.metrics.pixel import pixel_auc, position_priors, shuffled_pixel_auc

MapDetector = Callable[[Picture], NDArray[np.float32]]
"""Takes a picture; returns its localization map, (H, W) float32."""

IMAGE_SCORES: dict[str, Callable[[NDArray[np.float32]], float]] = {
    "image_auc_of_mean": lambda localization_map: float(localization_map.mean()),
    "image_auc_of_max": lambda localization_map: float(localization_map.max()),
}
_RESAMPLES = 1000


@dataclass(frozen=True)
class Row:
    """One score of one detector.

    Args:
        detector: Its name.
        metric: "pixel_auc" or "shuffled_pixel_auc", means over forged pictures; "image_auc_of_mean" or
            "image_auc_of_max", of the map's mean or maximum over all pictures.
        value: The score.
        low: Lower end of its 95 % interval, by resampling pictures.
        high: Upper end.
        pictures: How many it is made of.
    """

    detector: str
    metric: str
    value: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True)
class BenchmarkTable:
    """All rows, and the scores of single pictures that they are made of.

    Args:
        rows: By detector, then by metric.
        per_picture: Scores by detector, then "pixel_auc" or "shuffled_pixel_auc", then name of the picture.
    """

    rows: tuple[Row, ...]
    per_picture: dict[str, dict[str, dict[str, float]]]


def evaluate_folder(
    detectors: Mapping[str, MapDetector],
    folder: Path,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> BenchmarkTable:
    """Run detectors over a folder of forgeries, files as they are, and score their maps.

    Args:
        detectors: By name; each sees every picture.
        folder: Holds `images/`, `masks/` of the same stems, and perhaps `authentic/`, without which there is no
            image score.
        limit: Evaluate the fixed subset of so many pictures, half of each class; None takes all. The position prior
            of the shuffled score is that of the subset.
        seed: Of the bootstrap.
        progress: Called after each picture with the numbers done and to do.

    Raises:
        ConfigError: No detector, or a limit that leaves no pictures.
        DataError: Files without partner, or a mask that shows one class only; they are named.
        UndefinedMetricError: Fewer than two forged pictures, or a map that holds NaN.
        ShapeError: A map or mask is not of its picture's size.
        ImageReadError: A file cannot be read.
    """
    if not detectors:
        raise ConfigError("expected at least one detector to evaluate, got none")
    pairs = list_pairs(folder)
    if limit is not None:
        pairs = pairs.limited(limit)
    priors = position_priors(_masks_of_both_classes(pairs))
    pixel_scores: dict[str, dict[str, dict[str, float]]] = {
        name: {"pixel_auc": {}, "shuffled_pixel_auc": {}} for name in detectors
    }
    image_scores: dict[str, dict[str, list[float]]] = {
        name: {metric: [] for metric in IMAGE_SCORES} for name in detectors
    }
    paths = [image for image, _ in pairs.forged] + list(pairs.authentic)
    for number, path in enumerate(paths):
        picture = read_image(path)
        gt_mask = read_mask(pairs.forged[number][1], picture.size_hw) if number < len(pairs.forged) else None
        for name, detector in detectors.items():
            localization_map = detector(picture)
            for metric, reduce in IMAGE_SCORES.items():
                image_scores[name][metric].append(reduce(localization_map))
            if gt_mask is None:
                continue
            by_metric = pixel_scores[name]
            try:
                by_metric["pixel_auc"][path.name] = pixel_auc(localization_map, gt_mask)
                by_metric["shuffled_pixel_auc"][path.name] = shuffled_pixel_auc(
                    localization_map, gt_mask, priors[number]
                )
            except UndefinedMetricError as error:
                raise UndefinedMetricError(f"{name} on {path}: {error}") from error
        if progress is not None:
            progress(number + 1, len(paths))

    labels = np.arange(len(paths)) < len(pairs.forged)
    rows = []
    for name in detectors:
        for metric, scores in pixel_scores[name].items():
            rows.append(_mean_row(name, metric, np.array(list(scores.values())), seed))
        if pairs.authentic:
            for metric, values in image_scores[name].items():
                rows.append(_image_row(name, metric, np.array(values), labels, seed))
    return BenchmarkTable(tuple(rows), pixel_scores)


def _masks_of_both_classes(pairs: PairedFolder) -> Iterator[NDArray[np.bool_]]:
    for _, mask_path in pairs.forged:
        gt_mask = read_mask(mask_path)
        if gt_mask.all() or not gt_mask.any():
            raise DataError(
                f"{mask_path} marks {'every' if gt_mask.all() else 'no'} pixel, so no map can be scored"
            )
        yield gt_mask


def _mean_row(detector: str, metric: str, scores: NDArray[np.float64], seed: int) -> Row:
    rng = np.random.default_rng(seed)
    means = scores[rng.integers(scores.size, size=(_RESAMPLES, scores.size))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Row(detector, metric, float(scores.mean()), float(low), float(high), scores.size)


def _image_row(
    detector: str, metric: str, scores: NDArray[np.float64], labels: NDArray[np.bool_], seed: int
) -> Row:
    """Pictures are resampled within their class, as their numbers were chosen and not drawn."""
    rng = np.random.default_rng(seed)
    forged, authentic = np.flatnonzero(labels), np.flatnonzero(~labels)
    resampled = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate((rng.choice(forged, forged.size), rng.choice(authentic, authentic.size)))
        resampled.append(image_auc(scores[drawn], labels[drawn]))
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Row(detector, metric, image_auc(scores, labels), float(low), float(high), scores.size)
