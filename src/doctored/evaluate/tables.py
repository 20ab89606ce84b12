"""The numbers of an evaluation as tables: CSV, Parquet, JSON and Markdown."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import doctored
from doctored.data.result_files import table
from doctored.evaluate.benchmark import Evaluation
from doctored.evaluate.cost import Cost
from doctored.evaluate.robustness import RobustnessPoint
from doctored.evaluate.summary import AreaRow, ComparisonRow, Row
from doctored.evaluate.views import AS_IS, EQUALISED

VIEW_TITLES = {
    AS_IS: "files as they are",
    EQUALISED: "equalised: both classes saved again at JPEG quality 90",
}
# One table for each group; a table of all scores would not fit on a page.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Pixels, mean per image",
        (
            "pixel_auc",
            "shuffled_pixel_auc",
            "best_pixel_f1",
            "pixel_f1",
            "pixel_iou",
            "pixel_mcc",
            "pixel_average_precision",
            "pixel_recall",
            "flagged_area",
        ),
    ),
    (
        "Pixels, pooled",
        ("pooled_pixel_auc", "pooled_average_precision", "pooled_best_pixel_f1", "pooled_pixel_f1"),
    ),
    (
        "Images",
        (
            "image_auc",
            "image_auc_of_mean",
            "image_auc_of_max",
            "image_average_precision",
            "image_tpr_at_1_percent_fpr",
            "image_tpr_at_5_percent_fpr",
            "image_balanced_accuracy",
            "image_tpr",
            "image_false_alarms",
            "image_calibration_error",
        ),
    ),
    ("Boxes", ("box_average_precision",)),
)
_PICTURE_COLUMNS = (
    "data", "name", "kind", "view", "model", "width", "height", "forged_share", "format", "bytes_per_pixel",
    "jpeg_quality", "subsampling", "score", "raw_score", "detection_score", "verdict", "map_mean", "map_max",
    "pixel_auc", "shuffled_pixel_auc", "best_pixel_f1", "best_threshold", "pixel_f1", "pixel_iou", "pixel_mcc",
    "pixel_average_precision", "pixel_recall", "flagged_area", "seconds", "sha256",
)  # fmt: skip
_ABBREVIATIONS = {name.lower(): name for name in ("AUC", "F1", "FPR", "IoU", "MCC", "TPR")}
_TEXTS = {"data", "name", "kind", "view", "model", "format", "subsampling", "verdict", "sha256"}


def pictures_csv(evaluation: Evaluation) -> bytes:
    """One line for each model on each view of each picture; empty where a score is undefined."""
    rows = ({name: record[name] for name in _PICTURE_COLUMNS} for record in evaluation.records)
    return table(_PICTURE_COLUMNS, rows)


def pictures_parquet(evaluation: Evaluation) -> bytes:
    """The same table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    whole = {"width", "height"}
    schema = pa.schema(
        [
            (name, pa.string() if name in _TEXTS else pa.int64() if name in whole else pa.float64())
            for name in _PICTURE_COLUMNS
        ]
    )
    columns = {name: [record[name] for record in evaluation.records] for name in _PICTURE_COLUMNS}
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns, schema=schema), file)
    return file.getvalue()


def robustness_csv(points: Sequence[RobustnessPoint]) -> bytes:
    """One line for each model under each perturbation."""
    entries = [asdict(point) for point in points]
    return table(tuple(entries[0]), entries)


def summary_json(evaluation: Evaluation) -> bytes:
    """Everything but the single pictures, in one object."""
    summary = {
        "version": doctored.__version__,
        "settings": evaluation.settings.to_json(),
        "conventions": evaluation.settings.protocol.sentences(),
        "pictures": picture_counts(evaluation),
        "rows": [asdict(row) for row in evaluation.rows],
        "comparisons": [asdict(row) for row in evaluation.comparisons],
        "by_area": [asdict(row) for row in evaluation.areas],
        "robustness": [asdict(point) for point in evaluation.robustness],
    }
    return (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode()


def summary_markdown(evaluation: Evaluation) -> bytes:
    """The same for people: a table for each data set, view and group of scores, one line for each detector."""
    parts = ["# Evaluation", "", f"Made by doctored {doctored.__version__}.", ""]
    parts += [f"- {sentence}" for sentence in evaluation.settings.protocol.sentences()]
    for data, counts in picture_counts(evaluation).items():
        parts += [
            f"\n## {data}\n",
            f"{counts['manipulated']} manipulated, {counts['authentic']} authentic pictures.",
        ]
        for title, header, lines in score_tables(evaluation.rows, data):
            parts += ["", f"### {title}", "", *_markdown(header, lines)]
        for title, header, lines in further_tables(evaluation, data):
            parts += ["", f"### {title}", "", *_markdown(header, lines)]
    return ("\n".join(parts) + "\n").encode("utf-8", "backslashreplace")


Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header and lines of a table."""


def score_tables(rows: Sequence[Row], data: str) -> list[Table]:
    """The scores of a data set, one table for each view and group."""
    tables = []
    for view, view_title in VIEW_TITLES.items():
        for title, metrics in GROUPS:
            own = {
                (
                    row.detector,
                    f"{row.metric}" + (" (by class)" if row.average == "predicted_class" else ""),
                ): row
                for row in rows
                if row.data == data and row.view == view and row.metric in metrics
            }
            if not own:
                continue
            names = list(dict.fromkeys(name for _, name in own))
            lines = [
                (detector, *(_cell(own.get((detector, name))) for name in names))
                for detector in dict.fromkeys(detector for detector, _ in own)
            ]
            tables.append(
                (f"{title}, {view_title}", ("detector", *(readable(name) for name in names)), lines)
            )
    return tables


def further_tables(evaluation: Evaluation, data: str) -> list[Table]:
    """Comparisons, forged areas and robustness of a data set, as far as there are any."""
    comparisons = [row for row in evaluation.comparisons if row.data == data]
    areas = [row for row in evaluation.areas if row.data == data]
    points = [point for point in evaluation.robustness if point.data == data]
    tables = []
    if comparisons:
        tables.append(_comparison_table(comparisons))
    if areas:
        tables.append(_area_table(areas))
    if points:
        tables.append(_robustness_table(points))
    return tables


def _comparison_table(rows: Sequence[ComparisonRow]) -> Table:
    lines: list[tuple[str, ...]] = [
        (
            row.second,
            readable(row.metric),
            f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]",
            str(row.pictures),
        )
        for row in rows
    ]
    title = f"{rows[0].first} minus each other detector, on the same pictures"
    return title, ("other", "score", "difference", "pictures"), lines


def _area_table(rows: Sequence[AreaRow]) -> Table:
    names = list(dict.fromkeys(row.area for row in rows))
    cells = {(row.detector, row.metric, row.area): f"{row.value:.3f} ({row.pictures})" for row in rows}
    lines = [
        (detector, readable(metric), *(cells.get((detector, metric, name), "") for name in names))
        for detector, metric in dict.fromkeys((row.detector, row.metric) for row in rows)
    ]
    return "By forged share of the picture, mean per image (pictures)", ("detector", "score", *names), lines


def _robustness_table(points: Sequence[RobustnessPoint]) -> Table:
    lines = [
        (
            point.model,
            point.family,
            f"{point.level:g}",
            *map(_number, (point.pixel_auc, point.image_auc)),
            *map(_number, (point.detected, point.false_alarms, point.not_judged)),
        )
        for point in points
    ]
    title = (
        f"Robustness, {points[0].pictures} manipulated and {points[0].authentic} authentic pictures; detected and "
        'false alarms: shares of them with the verdict "manipulated"'
    )
    columns = ("detector", "treatment", "level", "pixel AUC", "image AUC", "detected", "false alarms")
    return title, (*columns, "cannot judge"), lines


def cost_markdown(costs: Sequence[Cost]) -> str:
    """What models cost, one line for each size of picture."""
    header = ("model", "parameters", "MACs per pixel", "megapixels", "seconds per MP", "peak memory (MB)")
    lines = [
        (
            cost.model,
            f"{cost.parameters:,}",
            f"{cost.macs_per_pixel:,.0f}",
            f"{cost.megapixels:g}",
            f"{cost.seconds_per_mp:.3g}",
            "" if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:.0f}",
        )
        for cost in costs
    ]
    return "\n".join(_markdown(header, lines))


def picture_counts(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    """By data set, how many manipulated and authentic pictures there are."""
    counts: dict[str, dict[str, int]] = {}
    for case in evaluation.cases:
        own = counts.setdefault(case.data, {"manipulated": 0, "authentic": 0})
        own["authentic" if case.authentic else "manipulated"] += 1
    return counts


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    text = _number(row.value)
    if row.low is not None and row.high is not None:
        text += f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{text} ({row.undefined} undefined)" if row.undefined else text


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def readable(metric: str) -> str:
    """The name of a score in words."""
    words = metric.replace("_1_percent", " 1 %").replace("_5_percent", " 5 %").replace("_", " ").split()
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *lines]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
