"""Scores by how much of the picture is forged, since small forgeries are the hard ones and averages hide them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.confusion import confusion_at
from doctored.metrics.conventions import flat_pixels


@dataclass(frozen=True)
class AreaStratum:
    """Pictures whose forged share lies in one range.

    Args:
        name: For tables; "<1 %" means less than that and not less than the stratum before.
        below: The share, in [0, 1], that no picture of the stratum reaches; infinite for the last.
    """

    name: str
    below: float


AREA_STRATA = (
    AreaStratum("<0.1 %", 0.001),
    AreaStratum("<1 %", 0.01),
    AreaStratum("<5 %", 0.05),
    AreaStratum("<20 %", 0.2),
    AreaStratum(">=20 %", float("inf")),
)
"""From the smallest forgeries to the largest."""


@dataclass(frozen=True)
class StratumScore:
    """The mean score of the pictures of one stratum.

    Args:
        mean: Over pictures.
        count: How many pictures it is the mean of, 1 or more.
    """

    mean: float
    count: int


def forged_share(gt_mask: NDArray[np.bool_]) -> float:
    """Which share of a picture is manipulated, in (0, 1].

    Args:
        gt_mask: (H, W), bool, True where manipulated.

    Raises:
        UndefinedMetricError: No pixel is; an authentic picture has no forgery whose size could be told.
    """
    if not gt_mask.any():
        raise UndefinedMetricError("gt_mask marks no pixel, so there is no forgery to measure the area of")
    return float(np.count_nonzero(gt_mask) / gt_mask.size)


def area_stratum(gt_mask: NDArray[np.bool_]) -> str:
    """The name of the stratum of `AREA_STRATA` that a picture belongs to.

    Args:
        gt_mask: (H, W), bool, True where manipulated.

    Raises:
        UndefinedMetricError: No pixel is manipulated.
    """
    return _stratum_of(forged_share(gt_mask))


def by_area(scores_by_picture: Mapping[str, float], areas: Mapping[str, float]) -> dict[str, StratumScore]:
    """The mean of any per-picture score, such as recall or AUC, for small and for large forgeries.

    Args:
        scores_by_picture: By name of the picture. One whose score is undefined is absent here, and so is counted
            in no stratum.
        areas: The forged share of every picture, in (0, 1], as `forged_share` gives it; may hold more pictures.

    Returns:
        By name of the stratum, in the order of `AREA_STRATA`; a stratum without pictures is absent.

    Raises:
        ShapeError: A scored picture has no area.
        UndefinedMetricError: A score is NaN, or an area is outside (0, 1].

    Example:
        >>> by_area({"a": .5, "b": .7, "c": .9}, {"a": .04, "b": .03, "c": .5})
        {'<5 %': StratumScore(mean=0.6, count=2), '>=20 %': StratumScore(mean=0.9, count=1)}
    """
    unknown = sorted(set(scores_by_picture) - set(areas))
    if unknown:
        raise ShapeError(
            f"expected the forged share of every scored picture; it is missing for {', '.join(unknown)}"
        )
    scores: dict[str, list[float]] = {stratum.name: [] for stratum in AREA_STRATA}
    for picture, score in scores_by_picture.items():
        if np.isnan(score):
            raise UndefinedMetricError(f"the score of {picture} is NaN; leave out pictures that have none")
        if not 0 < areas[picture] <= 1:
            raise UndefinedMetricError(
                f"the forged share of {picture} must lie above 0 and up to 1, got {areas[picture]}"
            )
        scores[_stratum_of(areas[picture])].append(score)
    return {
        name: StratumScore(float(np.mean(members)), len(members))
        for name, members in scores.items()
        if members
    }


def pixel_recall(
    localization_map: NDArray[np.floating], gt_mask: NDArray[np.bool_], threshold: float = 0.5
) -> float:
    """Which share of the manipulated pixels of one picture is flagged.

    Read it beside `flagged_area` on authentic pictures: a map that flags everything has a recall of 1.

    Args:
        localization_map: (H, W), float in [0, 1], higher where manipulated.
        gt_mask: (H, W), bool, True where manipulated.
        threshold: Every pixel of this or more is flagged.

    Returns:
        A share in [0, 1]; `per_image` averages are means of it.

    Raises:
        ShapeError: The two differ in shape.
        UndefinedMetricError: No pixel is manipulated, or the map holds NaN.
    """
    return confusion_at(*flat_pixels(localization_map, gt_mask), threshold).recall


def _stratum_of(share: float) -> str:
    return next(stratum.name for stratum in AREA_STRATA if share < stratum.below)
