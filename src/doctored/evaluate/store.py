"""What an evaluation has measured so far, in its output folder, so that the same command goes on there."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from doctored.core.errors import DataError
from doctored.core.json_text import parse_json
from doctored.data.resumable_folder import write_file
from doctored.evaluate.measure import Item, Measured, Record
from doctored.metrics.pooled import PooledPixelScores

RECORDS_FILE = "records.jsonl"
POOLED_FILE = "pooled.npz"
PREVIEWS_FOLDER = "previews"
_SECONDS_BETWEEN_SAVES = 10.0
_ARRAYS = ("negatives", "positives", "pictures", "convention")

Pooled = dict[tuple[str, str], PooledPixelScores]
"""Scores over all pixels, by data set and model."""


class Store:
    """Records of all items, and the pooled pixels of all pictures.

    Records are appended as they come. The pooled histograms are written from time to time, with the number of
    records that they hold; what was appended later by a program that was killed is measured again.

    Args:
        folder: Where it is kept; None keeps it in memory only.
        clock: Seconds, for the time between two saves.

    Attributes:
        records: Of all items, in the order in which they were added.
        pooled: Of all items.
        done: Keys of the items.

    Raises:
        DataError: A file in the folder is damaged.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.records: list[Record] = []
        self.pooled: Pooled = {}
        self.done: set[str] = set()
        self._folder, self._clock = folder, clock
        self._saved_at = clock()
        if folder is not None:
            self._restore(folder)
            (folder / PREVIEWS_FOLDER).mkdir(exist_ok=True)

    def add(self, item: Item, measured: Measured) -> None:
        """Keep what came of an item.

        Raises:
            DataError: The folder cannot be written to.
        """
        self.records += measured.records
        self.done.add(item.key)
        for model, pooled in measured.pooled.items():
            self._pool(item.case.data, model, pooled)
        if self._folder is None:
            return
        try:
            if measured.preview is not None:
                file = io.BytesIO()
                Image.fromarray(measured.preview).save(file, "PNG")
                preview = self._preview_file(self._folder, item.case.key)
                preview.parent.mkdir(parents=True, exist_ok=True)
                write_file(preview, file.getvalue())
            line = json.dumps({"key": item.key, "records": measured.records}, allow_nan=False)
            with (self._folder / RECORDS_FILE).open("a", encoding="utf-8", newline="\n") as lines:
                lines.write(f"{line}\n")
        except OSError as error:
            raise DataError(
                f"{self._folder} cannot be written to ({error}); make room, then go on"
            ) from error
        if self._clock() - self._saved_at >= _SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Write the pooled histograms, so that nothing added so far needs to be measured again."""
        if self._folder is None:
            return
        arrays = {
            f"{number}.{name}": array
            for number, pooled in enumerate(self.pooled.values())
            for name, array in pooled.state().items()
        }
        names = json.dumps([list(key) for key in self.pooled])
        file = io.BytesIO()
        np.savez_compressed(
            file,
            names=np.array(names),
            lines=np.array(len(self.done)),
            **arrays,  # type: ignore[arg-type]
        )
        write_file(self._folder / POOLED_FILE, file.getvalue())
        self._saved_at = self._clock()

    def preview(self, case_key: str) -> Path | None:
        """The reduced map of a picture, if there is one."""
        if self._folder is None:
            return None
        path = self._preview_file(self._folder, case_key)
        return path if path.is_file() else None

    @staticmethod
    def _preview_file(folder: Path, case_key: str) -> Path:
        return folder / PREVIEWS_FOLDER / f"{case_key}.png"

    def _pool(self, data: str, model: str, pooled: PooledPixelScores) -> None:
        if (data, model) in self.pooled:
            self.pooled[data, model].merge(pooled)
        else:
            self.pooled[data, model] = pooled

    def _restore(self, folder: Path) -> None:
        records, saved = folder / RECORDS_FILE, folder / POOLED_FILE
        if not saved.is_file():
            records.unlink(missing_ok=True)
            return
        try:
            with np.load(saved, allow_pickle=False) as arrays:
                count = int(arrays["lines"])
                for number, (data, model) in enumerate(parse_json(str(arrays["names"]))):
                    state = {name: arrays[f"{number}.{name}"] for name in _ARRAYS}
                    self.pooled[data, model] = PooledPixelScores.from_state(state)
            lines = records.read_text(encoding="utf-8").splitlines(keepends=True)[:count] if count else []
            for line in lines:
                entry = parse_json(line)
                self.done.add(entry["key"])
                self.records += entry["records"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"the results in {folder} are damaged ({error}); remove the folder to start anew"
            ) from error
        if len(self.done) != count:
            raise DataError(
                f"{records} holds {len(self.done)} of {count} results; remove the folder to start anew"
            )
        write_file(records, "".join(lines).encode())
