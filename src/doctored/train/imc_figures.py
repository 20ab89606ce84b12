"""How well manipulations are told apart: accuracies at every level, and who is taken for whom."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from doctored.core.imc_classes import IMC_CLASSES, ImcClass, families_of, level_group_names, level_groups
from doctored.models.imc_head import level_log_probabilities

_NAMES = {
    7: "family_accuracy",
    25: "type_accuracy",
    49: "level_49_accuracy",
    96: "level_96_accuracy",
    185: "level_185_accuracy",
    385: "class_accuracy",
}
_INK, _PAPER, _FULL = (30, 30, 30), (255, 255, 255), (20, 70, 150)
_CELL_PX, _GAP_PX = 30, 6


def accuracies(
    logits: torch.Tensor,
    truth: torch.Tensor,
    classes: Sequence[ImcClass] = IMC_CLASSES,
    levels: Sequence[int] = (7, 25, 385),
) -> dict[str, torch.Tensor]:
    """Share of regions whose most probable group is the right one, at some levels.

    Args:
        logits: (N, len(classes)).
        truth: (N,), int64, the true class indices.
        classes: The 385, and those added to them.
        levels: Members of `IMC_LEVELS`; a group is as probable as its classes together.
    """
    log_probabilities = level_log_probabilities(logits, classes)
    figures = {}
    for level in levels:
        right = _groups(level, classes, logits.device)[truth]
        figures[_NAMES[level]] = (log_probabilities[level].argmax(dim=1) == right).float().mean()
    return figures


def held_out_accuracies(
    logits: torch.Tensor, truth: torch.Tensor, classes: Sequence[ImcClass] = IMC_CLASSES
) -> dict[str, float]:
    """Accuracy at all six levels, of the five most probable classes, and within each family.

    Args:
        logits: (N, len(classes)).
        truth: (N,), int64, the true class indices.
        classes: The 385, and those added to them.

    Returns:
        By name; "class_top5_accuracy" is the share of regions whose class is among the five most probable ones,
        "family_accuracy_blur" the share of blurred regions that are called blurred. A family that does not
        occur has no figure.
    """
    figures = {
        name: value.item() for name, value in accuracies(logits, truth, classes, tuple(_NAMES)).items()
    }
    top_five = logits.topk(5, dim=1).indices
    figures["class_top5_accuracy"] = (top_five == truth[:, None]).any(dim=1).float().mean().item()
    counts = confusion(logits, truth, 7, classes)
    for family, row, right in zip(families_of(classes), counts, counts.diagonal(), strict=True):
        if row.sum():
            figures[f"family_accuracy_{family}"] = float(right / row.sum())
    return figures


def confusion(
    logits: torch.Tensor, truth: torch.Tensor, level: int, classes: Sequence[ImcClass] = IMC_CLASSES
) -> NDArray[np.int64]:
    """Count regions by the group they belong to (rows) and the group they are taken for (columns).

    Args:
        logits: (N, len(classes)).
        truth: (N,), int64, the true class indices.
        level: A member of `IMC_LEVELS`.
        classes: The 385, and those added to them.
    """
    guesses = level_log_probabilities(logits, classes)[level].argmax(dim=1)
    right = _groups(level, classes, logits.device)[truth]
    counts = np.zeros((len(level_group_names(level, classes)),) * 2, np.int64)
    np.add.at(counts, (right.cpu().numpy(), guesses.cpu().numpy()), 1)
    return counts


def confusion_picture(counts: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.uint8]:
    """Draw a confusion as a table: the darker a cell, the larger the share of its row, written in percent.

    Args:
        counts: (G, G), as `confusion` gives it.
        names: Of the G groups.

    Returns:
        (H, W, 3), RGB. Rows are what the regions are, columns what they are taken for.
    """
    font = ImageFont.load_default(12)
    margin_px = _GAP_PX + max(int(font.getlength(name)) for name in names) + _GAP_PX
    side_px = margin_px + _CELL_PX * len(names) + _GAP_PX
    table = Image.new("RGB", (side_px, side_px), _PAPER)
    draw = ImageDraw.Draw(table)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    for number, name in enumerate(names):
        middle = margin_px + number * _CELL_PX + _CELL_PX // 2
        draw.text((margin_px - _GAP_PX, middle), name, _INK, font, anchor="rm")
        label = Image.new("RGB", (margin_px - _GAP_PX, 16), _PAPER)
        ImageDraw.Draw(label).text((0, 8), name, _INK, font, anchor="lm")
        table.paste(label.rotate(90, expand=True), (middle - 8, 0))
    for (row, column), share in np.ndenumerate(shares):
        left, top = margin_px + column * _CELL_PX, margin_px + row * _CELL_PX
        colour = tuple(
            round(light + share * (dark - light)) for light, dark in zip(_PAPER, _FULL, strict=True)
        )
        draw.rectangle((left, top, left + _CELL_PX - 2, top + _CELL_PX - 2), fill=colour, outline=(225,) * 3)
        if share >= 0.01:
            ink = _PAPER if share > 0.5 else _INK
            centre = (left + _CELL_PX // 2 - 1, top + _CELL_PX // 2 - 1)
            draw.text(centre, f"{100 * share:.0f}", ink, font, anchor="mm")
    return np.asarray(table)


def _groups(level: int, classes: Sequence[ImcClass], device: torch.device) -> torch.Tensor:
    return torch.as_tensor(level_groups(level, classes), device=device)
