"""What a run tells while it goes on: figures as CSV and for TensorBoard, and pictures."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

_HEADER = ["step", "seconds", "samples", "kind", "name", "value"]
_KEPT_PICTURES = 5


class RunLog:
    """`log.csv` with one row per figure, `tensorboard/`, and the newest pictures of each name in a folder of theirs.

    Args:
        run: The folder of the run.
        step: Where the run goes on. Rows after it were written by a process that was killed before it could save
            a checkpoint; their steps are done again, so they are dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.run = run
        self._csv = run / "log.csv"
        rows = [row for row in _rows(self._csv) if int(row[0]) <= step]
        partial = self._csv.with_name("log.csv.partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_HEADER, *rows])
        os.replace(partial, self._csv)
        self._tensorboard = SummaryWriter(run / "tensorboard", purge_step=step + 1 if step else None)

    def figures(
        self, step: int, seconds: float, samples: int, kind: str, figures: Mapping[str, float]
    ) -> None:
        """Add what was measured at a step; kind is "train" or "held_out"."""
        with self._csv.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [step, f"{seconds:.1f}", samples, kind, name, f"{value:.6g}"]
                for name, value in figures.items()
            )
        for name, value in figures.items():
            self._tensorboard.add_scalar(f"{kind}/{name}", value, step)
        self._tensorboard.flush()

    def pictures(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write RGB pictures (H, W, 3) as NAME/step-000001234.png and remove all but the newest of each name."""
        for name, pixels in pictures.items():
            folder = self.run / name
            folder.mkdir(exist_ok=True)
            path = folder / f"step-{step:09d}.png"
            partial = path.with_name(path.name + ".partial")
            Image.fromarray(pixels).save(partial, "PNG")
            os.replace(partial, path)
            for old in sorted(folder.glob("step-*.png"))[:-_KEPT_PICTURES]:
                old.unlink()
            self._tensorboard.add_image(name, pixels, step, dataformats="HWC")
        self._tensorboard.flush()

    def close(self) -> None:
        """Write what is still waiting to be written."""
        self._tensorboard.close()


def _rows(path: Path) -> list[list[str]]:
    """The complete rows of a log, without its header; a process killed while it wrote leaves a part of one."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.reader(whole.splitlines()) if len(row) == len(_HEADER) and row != _HEADER]
