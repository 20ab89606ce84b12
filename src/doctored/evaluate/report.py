"""The files of an evaluation: tables, curves, worst and best cases, and one page that holds them all."""

import base64
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import doctored
from doctored.core.errors import DataError, UndefinedMetricError
from doctored.data.resumable_folder import write_file
from doctored.evaluate.benchmark import Evaluation
from doctored.evaluate.contact_sheet import SheetCase, contact_sheet
from doctored.evaluate.plots import Curve, pr_plot, robustness_plot, roc_plot
from doctored.evaluate.tables import (
    VIEW_TITLES,
    further_tables,
    picture_counts,
    pictures_csv,
    pictures_parquet,
    readable,
    robustness_csv,
    score_tables,
    summary_json,
    summary_markdown,
)
from doctored.evaluate.views import AS_IS, EQUALISED
from doctored.metrics.ranking import rank

_CASES_EACH = 6
_TITLES = {
    "roc.png": "ROC curves",
    "pr.png": "Precision and recall",
    "tamper.png": "Boxes: precision and recall",
    "cases.png": "Best and worst cases",
    "robustness.png": "Robustness",
}


def write_report(evaluation: Evaluation, output: Path) -> None:
    """Write all files of an evaluation into its folder; earlier ones of the same names are replaced.

    Raises:
        DataError: The folder cannot be written to.
        ImageReadError: A picture of the contact sheet cannot be read any more.
        ModuleNotFoundError: A package of the extra `eval` is missing.
    """
    pictures = _pictures(evaluation)
    files = {
        "pictures.csv": pictures_csv(evaluation),
        "pictures.parquet": pictures_parquet(evaluation),
        "summary.md": summary_markdown(evaluation),
        "summary.json": summary_json(evaluation),
        **pictures,
        "report.html": _page(evaluation, pictures),
    }
    if evaluation.robustness:
        files["robustness.csv"] = robustness_csv(evaluation.robustness)
    if evaluation.boxes:
        files["tamper.txt"] = _box_lines(evaluation)
    try:
        for name, data in files.items():
            write_file(output / name, data)
    except OSError as error:
        raise DataError(f"{output} cannot be written to ({error}); make room, then go on") from error


def _pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG pictures by file name, those that the evaluation has data for."""
    roc, pr = _curves(evaluation)
    pictures: dict[str, bytes] = {}
    if roc:
        pictures |= {"roc.png": roc_plot(roc), "pr.png": pr_plot(pr)}
    if evaluation.boxes:
        panels = {
            f"{one.detector} on {one.data}": [
                Curve(f"{technique}: AP {curve.average_precision:.3f}", curve.recall, curve.precision)
                for technique, curve in one.by_technique.items()
            ]
            for one in evaluation.boxes
        }
        pictures["tamper.png"] = pr_plot(panels)
    sections = _sections(evaluation)
    if sections:
        file = io.BytesIO()
        contact_sheet(sections).save(file, "PNG")
        pictures["cases.png"] = file.getvalue()
    if evaluation.robustness:
        pictures["robustness.png"] = robustness_plot(evaluation.robustness)
    return pictures


def _curves(evaluation: Evaluation) -> tuple[dict[str, list[Curve]], dict[str, list[Curve]]]:
    """ROC and precision-recall curves by title: all pixels of a set, then its whole pictures in both views."""
    roc: dict[str, list[Curve]] = {}
    pr: dict[str, list[Curve]] = {}
    for data in picture_counts(evaluation):
        for detector in evaluation.settings.detectors:
            if (data, detector) in evaluation.pooled:
                scores = evaluation.pooled[data, detector]
                title, by_roc, by_pr = f"{data}: pixels, pooled", scores.roc_curve(), scores.pr_curve()
                label = f"{detector} {scores.auc():.3f}"
                roc.setdefault(title, []).append(
                    Curve(label, by_roc.false_positive_rate, by_roc.true_positive_rate)
                )
                label = f"{detector} {scores.average_precision():.3f}"
                pr.setdefault(title, []).append(Curve(label, by_pr.recall, by_pr.precision))
        for view in (AS_IS, EQUALISED):
            for detector in evaluation.settings.detectors:
                own = [
                    record
                    for record in evaluation.records
                    if (record["data"], record["view"], record["model"]) == (data, view, detector)
                ]
                if not own:
                    continue
                try:
                    ranking = rank(
                        [record["score"] for record in own],
                        [record["kind"] == "manipulated" for record in own],
                    )
                    by_roc, by_pr = ranking.roc_curve(), ranking.pr_curve()
                except UndefinedMetricError:  # no authentic pictures
                    continue
                title = f"{data}: images, {VIEW_TITLES[view].split(':')[0]}"
                label = f"{detector} {ranking.auc():.3f}"
                roc.setdefault(title, []).append(
                    Curve(label, by_roc.false_positive_rate, by_roc.true_positive_rate)
                )
                label = f"{detector} {ranking.average_precision():.3f}"
                pr.setdefault(title, []).append(Curve(label, by_pr.recall, by_pr.precision))
    return roc, pr


def _sections(evaluation: Evaluation) -> list[tuple[str, list[SheetCase]]]:
    """The first detector's best and worst manipulated pictures, and its most suspected authentic ones."""
    detector = evaluation.settings.detectors[0]
    seen = [
        record for record in evaluation.records if record["model"] == detector and record["view"] == AS_IS
    ]
    cases = {case.key: case for case in evaluation.cases}

    def shown(records: Sequence[dict[str, object]], what: str) -> list[SheetCase]:
        sheet = []
        for record in records:
            kind = "authentic" if record["kind"] == "authentic" else "images"
            case = cases[f"{record['data']}/{kind}/{record['name']}"]
            preview = evaluation.preview(case.key)
            if preview is not None:
                label = f"{case.data}: {case.name}\n{readable(what)} {record[what]:.3g}"
                sheet.append(SheetCase(label, case.path, case.mask, preview))
        return sheet

    forged = sorted(
        (record for record in seen if record["pixel_auc"] is not None), key=lambda record: record["pixel_auc"]
    )
    each = min(_CASES_EACH, len(forged) // 2)
    authentic = sorted(
        (record for record in seen if record["kind"] == "authentic"), key=lambda record: -record["score"]
    )
    sections = [
        (
            f"{detector}: best by pixel AUC (picture, truth, map from its lowest to its highest value)",
            shown(forged[::-1][:each], "pixel_auc"),
        ),
        (f"{detector}: worst by pixel AUC", shown(forged[:each], "pixel_auc")),
        (f"{detector}: authentic pictures with the highest scores", shown(authentic[:_CASES_EACH], "score")),
    ]
    return [(title, tiles) for title, tiles in sections if tiles]


def _box_lines(evaluation: Evaluation) -> bytes:
    """Every box of the first set and detector that has any; further ones follow after a line that names them."""
    lines = []
    for number, one in enumerate(evaluation.boxes):
        if number:
            lines.append(f"# {one.detector} on {one.data}")
        lines += one.lines
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _page(evaluation: Evaluation, pictures: dict[str, bytes]) -> bytes:
    from jinja2 import Environment, StrictUndefined

    template = resources.files("doctored.evaluate").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    sets = [
        {
            "name": data,
            "counts": counts,
            "tables": [*score_tables(evaluation.rows, data), *further_tables(evaluation, data)],
        }
        for data, counts in picture_counts(evaluation).items()
    ]
    page = environment.from_string(template).render(
        names=evaluation.settings.detectors,
        version=doctored.__version__,
        sentences=evaluation.settings.protocol.sentences(),
        sets=sets,
        pictures=[
            (_TITLES[name], f"data:image/png;base64,{base64.b64encode(data).decode()}")
            for name, data in pictures.items()
        ],
    )
    return f"{page}\n".encode("utf-8", "backslashreplace")
