"""From the records of single pictures to the rows of a table, each with the interval that chance leaves open."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import UndefinedMetricError
from doctored.evaluate.file_facts import NAME as FILE_FACTS
from doctored.evaluate.file_facts import file_facts_scores
from doctored.evaluate.measure import Record
from doctored.evaluate.protocols import RESAMPLES, Protocol
from doctored.evaluate.store import Pooled
from doctored.evaluate.views import AS_IS, EQUALISED
from doctored.metrics.area import by_area
from doctored.metrics.averaging import mean_over_predicted_classes
from doctored.metrics.image import (
    balanced_accuracy,
    expected_calibration_error,
    image_auc,
    image_average_precision,
    tpr_at_fpr,
)
from doctored.metrics.resampling import bootstrap_interval, paired_comparison, stratified_interval

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

PER_IMAGE = (
    "pixel_auc",
    "shuffled_pixel_auc",
    "best_pixel_f1",
    "pixel_f1",
    "pixel_iou",
    "pixel_mcc",
    "pixel_average_precision",
    "pixel_recall",
)
COMPARED = ("pixel_auc", "shuffled_pixel_auc", "best_pixel_f1")
BY_AREA = ("pixel_auc", "pixel_recall")
_BY_CLASS = ("best_pixel_f1", "pixel_auc")


@dataclass(frozen=True)
class Row:
    """One score of one detector on one data set.

    Args:
        data: Name of the data set.
        view: "as_is", or "equalised" for files saved once more alike.
        detector: Its name; "file_facts" for the classifier on facts about files.
        metric: Name of the score.
        average: "per_image" (mean over manipulated pictures; of `flagged_area` over authentic ones),
            "predicted_class", "pooled" (all pixels as one) or "set" (one score over whole pictures).
        value: The score; None if it is undefined for every picture.
        low: Lower end of its 95 % interval, by resampling pictures; None where there is none.
        high: Upper end.
        pictures: How many it is made of.
        undefined: How many were counted aside because it has no value for them.
    """

    data: str
    view: str
    detector: str
    metric: str
    average: str
    value: float | None
    low: float | None
    high: float | None
    pictures: int
    undefined: int


@dataclass(frozen=True)
class ComparisonRow:
    """The first detector against another on the same pictures.

    Args:
        data: Name of the data set.
        metric: Name of the score.
        first: The first detector.
        second: The other one.
        difference: Score of the first minus that of the second.
        low: Lower end of its 95 % interval.
        high: Upper end.
        pictures: How many have both scores.
    """

    data: str
    metric: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True)
class AreaRow:
    """A mean over the manipulated pictures of like forged share.

    Args:
        data: Name of the data set.
        detector: Its name.
        metric: Name of the score.
        area: Name of the stratum.
        value: The mean.
        pictures: Of how many pictures.
    """

    data: str
    detector: str
    metric: str
    area: str
    value: float
    pictures: int


@dataclass(frozen=True)
class _ImageScore:
    """One score over whole pictures.

    Attributes:
        column: Of the record.
        function: From scores and labels, True = manipulated, to a number.
        calibrated: Whether it needs a calibrated score.
    """

    column: str
    function: Callable[[Floats, Labels], float]
    calibrated: bool = False


_IMAGE_SCORES = {
    "image_auc": _ImageScore("score", image_auc),
    "image_auc_of_mean": _ImageScore("map_mean", image_auc),
    "image_auc_of_max": _ImageScore("map_max", image_auc),
    "image_average_precision": _ImageScore("score", image_average_precision),
    "image_tpr_at_1_percent_fpr": _ImageScore("score", lambda s, y: tpr_at_fpr(s, y, 0.01)),
    "image_tpr_at_5_percent_fpr": _ImageScore("score", lambda s, y: tpr_at_fpr(s, y, 0.05)),
    "image_balanced_accuracy": _ImageScore(
        "detection_score", lambda s, y: balanced_accuracy(s, y, 0.5), calibrated=True
    ),
    "image_tpr": _ImageScore("detection_score", lambda s, y: float((s[y] >= 0.5).mean()), calibrated=True),
    "image_false_alarms": _ImageScore(
        "detection_score", lambda s, y: float((s[~y] >= 0.5).mean()), calibrated=True
    ),
    "image_calibration_error": _ImageScore("detection_score", expected_calibration_error, calibrated=True),
}


def score_rows(
    records: Sequence[Record], pooled: Pooled, protocol: Protocol, seed: int = 0, *, file_facts: bool = True
) -> list[Row]:
    """All rows of a protocol, by data set, view, detector and score.

    Args:
        records: Of the view as it is and perhaps the equalised one; others are passed over.
        pooled: Of the same pictures.
        protocol: Which scores are shown.
        seed: Of the resampling, and of the split behind the file facts.
        file_facts: Whether the classifier on facts about files gets rows.
    """
    rows: list[Row] = []
    for data in dict.fromkeys(record["data"] for record in records):
        for view in (AS_IS, EQUALISED):
            seen = [record for record in records if (record["data"], record["view"]) == (data, view)]
            detectors = list(dict.fromkeys(record["model"] for record in seen))
            for detector in detectors:
                own = [record for record in seen if record["model"] == detector]
                if view == AS_IS:
                    rows += _pixel_rows(own, protocol, seed)
                    if (data, detector) in pooled:
                        rows += _pooled_rows(pooled, own, protocol)
                rows += _image_rows(own, seed)
            if file_facts and detectors:
                rows += _file_facts_rows([record for record in seen if record["model"] == detectors[0]], seed)
    return [row for row in rows if protocol.shows(row.metric)]


def comparison_rows(records: Sequence[Record], protocol: Protocol, seed: int = 0) -> list[ComparisonRow]:
    """The first detector against every other, files as they are; absent where fewer than two pictures have a score."""
    rows = []
    seen = [record for record in records if record["view"] == AS_IS]
    for data in dict.fromkeys(record["data"] for record in seen):
        own = [record for record in seen if record["data"] == data]
        detectors = list(dict.fromkeys(record["model"] for record in own))
        for second in detectors[1:]:
            a, b = ([record for record in own if record["model"] == name] for name in (detectors[0], second))
            for metric in filter(protocol.shows, COMPARED):
                pairs = [
                    (one[metric], other[metric])
                    for one, other in zip(a, b, strict=True)
                    if one[metric] is not None and other[metric] is not None
                ]
                if len(pairs) >= 2:
                    first, other = np.array(pairs).T
                    gain = paired_comparison(first, other, resamples=RESAMPLES, seed=seed).difference
                    rows.append(
                        ComparisonRow(
                            data, metric, detectors[0], second, gain.value, gain.low, gain.high, gain.count
                        )
                    )
            if protocol.shows("image_auc"):
                rows += _image_auc_comparison(a, b, seed)
    return rows


def area_rows(records: Sequence[Record], protocol: Protocol) -> list[AreaRow]:
    """Scores by forged area, of the view as it is."""
    rows = []
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["view"] == AS_IS and record["kind"] == "manipulated" and record["forged_share"]:
            groups.setdefault((record["data"], record["model"]), []).append(record)
    for (data, detector), own in groups.items():
        areas = {record["name"]: record["forged_share"] for record in own}
        for metric in filter(protocol.shows, BY_AREA):
            scores = {record["name"]: record[metric] for record in own if record[metric] is not None}
            for name, stratum in by_area(scores, areas).items():
                rows.append(AreaRow(data, detector, metric, name, stratum.mean, stratum.count))
    return rows


def _pixel_rows(records: Sequence[Record], protocol: Protocol, seed: int) -> list[Row]:
    forged = [record for record in records if record["kind"] == "manipulated"]
    authentic = [record for record in records if record["kind"] == "authentic"]
    rows = [_mean_row(forged, metric, seed) for metric in PER_IMAGE]
    if authentic:
        rows.append(_mean_row(authentic, "flagged_area", seed))
    if protocol.average == "predicted_class":
        rows += [_class_row(forged, metric) for metric in _BY_CLASS]
    return rows


def _mean_row(records: Sequence[Record], metric: str, seed: int) -> Row:
    values = [record[metric] for record in records if record[metric] is not None]
    undefined = len(records) - len(values)
    if len(values) < 2:
        return _row(records[0], metric, "per_image", values[0] if values else None, len(values), undefined)
    interval = bootstrap_interval(values, resamples=RESAMPLES, seed=seed)
    return _row(
        records[0],
        metric,
        "per_image",
        interval.value,
        interval.count,
        undefined,
        (interval.low, interval.high),
    )


def _class_row(records: Sequence[Record], metric: str) -> Row:
    named = [
        (record[metric], str(max(record["regions"], key=lambda region: region["score"])["technique"]))
        for record in records
        if record["regions"] and record[metric] is not None
    ]
    value = None
    if named:
        scores, classes = zip(*named, strict=True)
        try:
            value = mean_over_predicted_classes(scores, classes, sorted(set(classes)))
        except UndefinedMetricError:  # a class whose pictures all score 0
            value = None
    return _row(records[0], metric, "predicted_class", value, len(named), len(records) - len(named))


def _pooled_rows(pooled: Pooled, records: Sequence[Record], protocol: Protocol) -> list[Row]:
    data, detector = records[0]["data"], records[0]["model"]
    scores = pooled[data, detector]
    undefined = sum(record["kind"] == "manipulated" for record in records) - scores.pictures
    values = {
        "pooled_pixel_auc": scores.auc(),
        "pooled_average_precision": scores.average_precision(),
        "pooled_pixel_f1": scores.f1(protocol.threshold),
        "pooled_best_pixel_f1": scores.best_f1()[0],
    }
    return [
        Row(data, AS_IS, detector, metric, "pooled", value, None, None, scores.pictures, undefined)
        for metric, value in values.items()
    ]


def _image_rows(records: Sequence[Record], seed: int) -> list[Row]:
    labels = np.array([record["kind"] == "manipulated" for record in records])
    if labels.all() or not labels.any():
        return []
    calibrated = all(record["detection_score"] is not None for record in records)
    rows = []
    for metric, score in _IMAGE_SCORES.items():
        if score.calibrated and not calibrated:
            continue
        values = np.array([record[score.column] for record in records], np.float64)
        rows.append(_set_row(records[0], metric, values, labels, score.function, seed))
    return rows


def _file_facts_rows(records: Sequence[Record], seed: int) -> list[Row]:
    labels = np.array([record["kind"] == "manipulated" for record in records])
    if labels.all() or not labels.any():
        return []
    first = {**records[0], "model": FILE_FACTS}
    scores = {metric: score for metric, score in _IMAGE_SCORES.items() if score.column == "score"}
    try:
        values = file_facts_scores(records, seed)
    except UndefinedMetricError:  # too few pictures
        return [_row(first, metric, "set", None, 0, len(records)) for metric in scores]
    return [_set_row(first, metric, values, labels, score.function, seed) for metric, score in scores.items()]


def _set_row(
    first: Record,
    metric: str,
    values: Floats,
    labels: Labels,
    function: Callable[[Floats, Labels], float],
    seed: int,
) -> Row:
    try:
        interval = stratified_interval(values, labels, function, resamples=RESAMPLES, seed=seed)
    except UndefinedMetricError:  # a single picture of a class
        return _row(first, metric, "set", function(values, labels), len(values), 0)
    return _row(first, metric, "set", interval.value, len(values), 0, (interval.low, interval.high))


def _row(
    first: Record,
    metric: str,
    average: str,
    value: float | None,
    pictures: int,
    undefined: int,
    interval: tuple[float | None, float | None] = (None, None),
) -> Row:
    low, high = interval
    return Row(
        first["data"], first["view"], first["model"], metric, average, value, low, high, pictures, undefined
    )


def _image_auc_comparison(a: Sequence[Record], b: Sequence[Record], seed: int) -> Iterable[ComparisonRow]:
    labels = np.array([record["kind"] == "manipulated" for record in a])
    first, second = (np.array([record["score"] for record in records]) for records in (a, b))

    def gain(picked: Floats, drawn_labels: Labels) -> float:
        indices = picked.astype(int)
        return image_auc(first[indices], drawn_labels) - image_auc(second[indices], drawn_labels)

    try:
        # Positions are resampled in place of scores, so that both models see the same pictures.
        interval = stratified_interval(np.arange(len(labels)), labels, gain, resamples=RESAMPLES, seed=seed)
    except UndefinedMetricError:  # fewer than two pictures of a class
        return
    yield ComparisonRow(
        a[0]["data"],
        "image_auc",
        a[0]["model"],
        b[0]["model"],
        interval.value,
        interval.low,
        interval.high,
        interval.count,
    )
