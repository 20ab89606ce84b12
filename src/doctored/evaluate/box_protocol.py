"""Average precision of boxes, for models that give regions: the first stage of Constrained R-CNN and its like."""

from collections.abc import Sequence
from dataclasses import dataclass

from doctored.core.read_image import read_mask
from doctored.core.sample import MANIPULATED
from doctored.data.boxes import boxes_from_mask
from doctored.data.list_files import TAMPERED, Box, list_box
from doctored.evaluate.cases import Case
from doctored.evaluate.measure import Record
from doctored.evaluate.summary import Row
from doctored.evaluate.views import AS_IS
from doctored.metrics.boxes import (
    PrecisionRecall,
    ScoredBox,
    TrueBox,
    mean_average_precision,
    voc_by_technique,
)

IOU = 0.5


@dataclass(frozen=True, eq=False)
class BoxScores:
    """Boxes of one model on one data set.

    Attributes:
        data: Name of the data set.
        detector: Name of the model.
        by_technique: Curve and average precision of each technique that the set tells apart.
        lines: Every box as `tamper.txt` has it: picture, score and box, counted from 1 with both ends inside.
    """

    data: str
    detector: str
    by_technique: dict[str, PrecisionRecall]
    lines: list[str]


def box_scores(records: Sequence[Record], cases: Sequence[Case]) -> list[BoxScores]:
    """Score the regions of every model that gives any, files as they are.

    True boxes and their techniques come from the manifest of a prepared set. Other folders have boxes around the
    connected areas of each mask and do not name techniques; there every true box is "tamper", and every proposed one
    counts as that.

    Args:
        records: Of all models.
        cases: The pictures that they are about.

    Raises:
        MissingExtraError: OpenCV is not installed, which finds the areas of masks.
    """
    seen = [record for record in records if record["view"] == AS_IS]
    scored = []
    for data, detector in dict.fromkeys(
        (record["data"], record["model"]) for record in seen if record["regions"]
    ):
        forged = [case for case in cases if case.data == data and not case.authentic]
        named = any(case.technique != MANIPULATED for case in forged)
        truths = [
            TrueBox(f"manipulated/{case.path.name}", box, case.technique if named else TAMPERED)
            for case in forged
            for box in _true_boxes(case)
        ]
        predictions, lines = [], []
        for record in seen:
            if (record["data"], record["model"]) != (data, detector):
                continue
            for region in record["regions"]:
                left, top, right, bottom = region["box_xyxy"]
                name = f"{record['kind']}/{record['name']}"
                technique = str(region["technique"]) if named else TAMPERED
                predictions.append(ScoredBox(name, (left, top, right, bottom), technique, region["score"]))
                edges = list_box((left, top, right, bottom), counts_from_one=True)
                numbers = " ".join(f"{edge:.1f}" for edge in edges)
                lines.append(f"{record['name']} {region['score']:.3f} {numbers}")
        if truths:
            by_technique = voc_by_technique(predictions, truths, IOU, inclusive_pixels=False)
            scored.append(BoxScores(data, detector, by_technique, lines))
    return scored


def _true_boxes(case: Case) -> tuple[Box, ...]:
    if case.boxes_xyxy is not None or case.mask is None:
        return case.boxes_xyxy or ()
    return boxes_from_mask(read_mask(case.mask))


def box_rows(scored: Sequence[BoxScores]) -> list[Row]:
    """A row for each model and set: the mean over techniques of the average precision."""
    return [
        Row(
            one.data,
            AS_IS,
            one.detector,
            "box_average_precision",
            "set",
            mean_average_precision(one.by_technique),
            None,
            None,
            len({line.split()[0] for line in one.lines}),
            0,
        )
        for one in scored
    ]
