"""Curves as PNG pictures, drawn without a display."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.evaluate.robustness import AXES, CONTROLS, SWEEP, RobustnessPoint

_DPI = 110
_PANEL_INCHES = (4.2, 3.9)
_COLOURS = ("#1b6ca8", "#d1495b", "#3b7a57", "#8d6a9f", "#c98a1b", "#5b5b5b", "#2a9d8f", "#a23b72")
_CHANCE = {"color": "#999999", "linestyle": ":", "linewidth": 1}


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a plot.

    Attributes:
        label: For the legend.
        x: (P,).
        y: (P,).
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def roc_plot(panels: Mapping[str, Sequence[Curve]]) -> bytes:
    """ROC curves, one panel for each title; the dotted diagonal is a guess."""
    return _panels(panels, "share of authentic flagged", "share of manipulated flagged", diagonal=True)


def pr_plot(panels: Mapping[str, Sequence[Curve]]) -> bytes:
    """Precision-recall curves, one panel for each title."""
    return _panels(panels, "recall", "precision", diagonal=False)


def robustness_plot(points: Sequence[RobustnessPoint]) -> bytes:
    """One row of panels for each score, one column for each family; the first point of a line is unperturbed."""
    figure_class, canvas_class = _matplotlib()
    families = [family for family in SWEEP + CONTROLS if any(point.family == family for point in points)]
    scores = {
        "pixel_auc": "pixel AUC",
        "image_auc": "image AUC",
        "detected": "detected",
        "false_alarms": "false alarms",
        "not_judged": "cannot judge",
    }
    shown = [name for name in scores if any(getattr(point, name) is not None for point in points)]
    size = (2.5 * len(families) + 0.8, 2.4 * len(shown) + 0.6)
    figure = figure_class(figsize=size, layout="constrained")
    canvas_class(figure)
    axes = figure.subplots(len(shown), len(families), squeeze=False, sharey="row")
    lines = list(dict.fromkeys((point.data, point.model) for point in points))
    several = len({data for data, _ in lines}) > 1
    for column, family in enumerate(families):
        for row, score in enumerate(shown):
            panel = axes[row][column]
            for number, (data, model) in enumerate(lines):
                seen = [
                    point
                    for point in points
                    if (point.data, point.model) == (data, model) and point.family in ("none", family)
                ]
                heights = [getattr(point, score) for point in seen]
                names = ["none" if point.family == "none" else f"{point.level:g}" for point in seen]
                panel.plot(
                    names,
                    [np.nan if height is None else height for height in heights],
                    marker="o",
                    markersize=3,
                    linewidth=1.3,
                    color=_COLOURS[number % len(_COLOURS)],
                    label=f"{model} ({data})" if several else model,
                )
            if score != "not_judged":
                panel.axhline(0.05 if score in ("detected", "false_alarms") else 0.5, **_CHANCE)
            _tidy(panel)
            panel.tick_params(axis="x", labelsize=7)
            if row == len(shown) - 1:
                panel.set_xlabel(AXES[family], fontsize=8)
            if column == 0:
                panel.set_ylabel(scores[score], fontsize=8)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    return _png(figure)


def _panels(panels: Mapping[str, Sequence[Curve]], x_label: str, y_label: str, *, diagonal: bool) -> bytes:
    figure_class, canvas_class = _matplotlib()
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = figure_class(figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows), layout="constrained")
    canvas_class(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (title, curves) in zip(axes, panels.items(), strict=False):
        if diagonal:
            panel.plot((0, 1), (0, 1), **_CHANCE)
        for number, curve in enumerate(curves):
            panel.plot(
                curve.x, curve.y, label=curve.label, color=_COLOURS[number % len(_COLOURS)], linewidth=1.4
            )
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.set_title(title, fontsize=9)
        panel.set_xlabel(x_label, fontsize=8)
        panel.set_ylabel(y_label, fontsize=8)
        panel.legend(fontsize=7, frameon=False, loc="lower right" if diagonal else "best")
        _tidy(panel)
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    return _png(figure)


def _matplotlib() -> tuple[Any, Any]:
    """Figures and a canvas that need neither a display nor the global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return Figure, FigureCanvasAgg


def _tidy(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)
    panel.grid(color="#eeeeee", linewidth=0.7)
    panel.set_axisbelow(True)


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
