"""Average precision of boxes, for models that give regions: the first stage of Constrained R-CNN and its like."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

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
from doctored.models.catalog import CATALOG

IOU = 0.5


@dataclass(frozen=True, eq=False)
class BoxScores:
    """Boxes of one model on one data set.

    Attributes:
        data: Name of the data set.
        detector: Name of the model.
        by_technique: Curve and average precision of each technique that the set tells apart.
        pictures: How many were looked at.
        lines: Every box as `tamper.txt` has it: picture, score and box, counted from 1 with both ends inside. White
            space and percent signs of names are written as in web addresses, so that every line has six words.
    """

    data: str
    detector: str
    by_technique: dict[str, PrecisionRecall]
    pictures: int
    lines: list[str]


def gives_regions(witness_names: Iterable[str]) -> bool:
    """Whether one of these models proposes boxes: those do that tell techniques apart."""
    return any(CATALOG[name].techniques for name in witness_names if name in CATALOG)


def box_scores(records: Sequence[Record], cases: Sequence[Case], detectors: Sequence[str]) -> list[BoxScores]:
    """Score the regions of models, files as they are.

    True boxes and their techniques come from the manifest of a prepared set. Other folders have boxes around the
    connected areas of each mask and do not name techniques; there every true box is "tamper", and every proposed one
    counts as that.

    Args:
        records: Of all models.
        cases: The pictures that they are about.
        detectors: The models that give regions. One that found none in a whole set scores 0.

    Raises:
        MissingExtraError: OpenCV is not installed, which finds the areas of masks.
    """
    seen = [record for record in records if record["view"] == AS_IS]
    scored = []
    for data, detector in dict.fromkeys(
        (record["data"], record["model"]) for record in seen if record["model"] in detectors
    ):
        own = [case for case in cases if case.data == data]
        forged = [case for case in own if not case.authentic]
        named = any(case.technique != MANIPULATED for case in forged)
        truths = [
            TrueBox(f"manipulated/{case.name}", box, case.technique if named else TAMPERED)
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
                lines.append(f"{_word(record['name'])} {region['score']:.3f} {numbers}")
        if truths:
            by_technique = voc_by_technique(predictions, truths, IOU, inclusive_pixels=False)
            scored.append(BoxScores(data, detector, by_technique, len(own), lines))
    return scored


def _word(name: str) -> str:
    return re.sub(r"[\s%]", lambda sign: quote(sign[0]), name)


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
            one.pictures,
            0,
        )
        for one in scored
    ]
