"""The one function that a scan applies to every file, on this machine or on many."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctored.apps.file_parser import FileParser, options_named
from doctored.apps.scan.archives import ArchiveReader
from doctored.apps.scan.entries import Entry
from doctored.apps.scan.remote import STALL_SECONDS, is_url, read_remote
from doctored.core.errors import DoctoredError
from doctored.core.read_image import read_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from doctored.core.inspection import Inspection
    from doctored.core.picture import Picture
    from doctored.predict import Detector

PREVIEW_PX = 64
"""Longer side of the small map that is kept of every picture."""


@dataclass(frozen=True)
class Limits:
    """What a scan spends on one file.

    Args:
        max_megapixels: Larger pictures are refused.
        max_megabytes: Larger files are refused.
        max_seconds: Whatever takes longer is given up; None for no limit.
        stall_seconds: How long a server may send nothing of one.
    """

    max_megapixels: float = 400
    max_megabytes: float = 500
    max_seconds: float | None = None
    stall_seconds: float = STALL_SECONDS


@dataclass(frozen=True)
class EarlierLook:
    """A quick look at a file, for the one who looks at the whole.

    Args:
        sha256: Of the bytes that it saw.
        kept: `QuickLook.kept`.
        seconds: That it took.
    """

    sha256: str
    kept: bytes
    seconds: float


@dataclass(frozen=True)
class Task:
    """One file, and how to look at it.

    Args:
        entry: The file.
        quick: Whether a quick look is all that is wanted.
        earlier: A quick look at it that need not be taken again; None if there was none.
    """

    entry: Entry
    quick: bool = False
    earlier: EarlierLook | None = None


@dataclass(frozen=True)
class Analysis:
    """What was found in one file; the fields are columns of the store.

    Args:
        error: One sentence; None if all went well.
        sha256: Of the file's bytes, lower-case hexadecimal; None if it could not be read.
        duplicate: Whether the result was taken over from another file of the same bytes.
        quick_look: Whether nothing but the quick look was taken, so that model and scores are those of the one network
            that took it.
        difference_hash: 64 bits as a signed integer, few of which differ between versions of one picture.
        format: Of the file, for instance "JPEG".
        width: In pixels, upright.
        height: In pixels, upright.
        compression: The estimated libjpeg quality of a JPEG file, "lossless", or another format's name.
        model: Name of the model that looked.
        model_sha256: Of the model.
        precision: What it computed in.
        raw_score: The model's own score.
        quick_score: The raw score of the one who takes quick looks, by which `--fast` chooses; None if the model has no
            such.
        verdict: As in the result, and so are the two numbers after it.
        detection_score: In (0, 1); None without a calibration.
        false_alarm_rate: In (0, 1]; None without a calibration.
        operating_point: The accepted rate of false alarms of the verdict; None without a calibration.
        result: The JSON form of the inspection but for path, error, outputs and timing; None after an error.
        preview: The map as a PNG file of 8 bits, no side longer than `PREVIEW_PX`, each pixel the largest value of
            what it stands for.
        map: Path of the map's file; None if none was asked for, or the look was quick.
        kept: What the quick look found, for the one who looks at the whole; None once that has happened.
        seconds: That reading and looking took, a quick look before included; 0 for what was taken over.
        analysed_at: In ISO 8601, UTC.
    """

    error: str | None
    sha256: str | None
    duplicate: bool
    quick_look: bool
    difference_hash: int | None
    format: str | None
    width: int | None
    height: int | None
    compression: float | str | None
    model: str
    model_sha256: str
    precision: str
    raw_score: float | None
    quick_score: float | None
    verdict: str | None
    detection_score: float | None
    false_alarm_rate: float | None
    operating_point: float | None
    result: str | None
    preview: bytes | None
    map: str | None
    kept: bytes | None
    seconds: float
    analysed_at: str


def map_path(maps: str, sha256: str) -> str:
    """Where in a folder of maps that of a file lies: in 256 folders, because few file systems like millions in one."""
    return os.path.join(maps, sha256[:2], f"{sha256}.png")


def failed(
    error: str, detector_facts: tuple[str, str, str], seconds: float = 0.0, sha256: str | None = None
) -> Analysis:
    """The row of a file that could not be analysed.

    Args:
        error: One sentence.
        detector_facts: Name, SHA-256 and precision of the model that should have looked.
        seconds: What it took.
        sha256: Of the file, if it could be read.
    """
    name, model_sha256, precision = detector_facts
    values: dict[str, Any] = dict.fromkeys(Analysis.__dataclass_fields__)
    return Analysis(
        **values
        | {
            "error": error,
            "sha256": sha256,
            "duplicate": False,
            "quick_look": False,
            "model": name,
            "model_sha256": model_sha256,
            "precision": precision,
            "seconds": seconds,
            "analysed_at": now(),
        }
    )


def now() -> str:
    """The time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Reader:
    """Reads files of any kind of entry, one after the other.

    Args:
        stall_seconds: How long a server may send nothing of one.
    """

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._archives = ArchiveReader(stall_seconds)

    def read(self, entry: Entry, max_megabytes: float) -> bytes:
        """The bytes of a file of limited size.

        Raises:
            DoctoredError: It is not there, too large, or cannot be read.
        """
        if entry.archive is not None:
            place = entry.archive, entry.position or 0, entry.file_bytes or 0
            return self._archives.read(*place, entry.path, max_megabytes)
        if is_url(entry.path):
            return read_remote(entry.path, max_megabytes, self._stall_seconds)
        with options_named():
            return read_file(entry.path, max_megabytes)


class Analyst:
    """Looks at files, one after the other.

    Args:
        detector: The model that looks.
        limits: What may be spent on one file.
        maps: Folder for the maps; None writes none.
        parser: What parses the files; None for this process.
    """

    def __init__(
        self,
        detector: Detector,
        limits: Limits,
        maps: Path | None = None,
        parser: FileParser | None = None,
    ) -> None:
        self._parser = parser or FileParser()
        self._detector, self._limits, self._maps = detector, limits, maps
        self._reader = Reader(limits.stall_seconds)
        self._facts = detector.name, detector.sha256, detector.precision

    def analyse(self, task: Task, claim: Callable[[str], bool]) -> Analysis | None:
        """Look at one file; what goes wrong with it becomes the error of its row.

        Args:
            task: The file, and how to look at it.
            claim: Asked with the SHA-256 of the file's bytes before it is decoded; False says that the same bytes
                are, or were, looked at elsewhere.

        Returns:
            None if the claim was refused.
        """
        start = time.perf_counter()
        entry, earlier, sha256 = task.entry, task.earlier, None
        try:
            data = self._reader.read(entry, self._limits.max_megabytes)
            sha256 = hashlib.sha256(data).hexdigest()
            if not claim(sha256):
                return None
            picture = self._parser.decode(entry.path, data, max_megapixels=self._limits.max_megapixels)
            del data
            if task.quick:
                look = self._detector.quick_look(picture)
                return self._found(picture, look.inspection, start, kept=look.kept)
            if earlier is not None and earlier.sha256 != sha256:
                earlier = None  # the file has changed since
            inspection = self._detector.inspect(picture, kept=None if earlier is None else earlier.kept)
            map_path = self._write_map(inspection)
        except DoctoredError as error:
            return failed(str(error), self._facts, time.perf_counter() - start, sha256)
        except MemoryError:
            error_text = (
                f"{entry.path} needs more memory than is free; use fewer --workers, or lower --max-mp"
            )
            return failed(error_text, self._facts, time.perf_counter() - start, sha256)
        if earlier is not None:
            start -= earlier.seconds
        return self._found(picture, inspection, start, map_path=map_path)

    def _write_map(self, inspection: Inspection) -> str | None:
        if self._maps is None:
            return None
        from doctored.apps.outputs import make_folder, write_small_map

        path = map_path(str(self._maps), inspection.picture.sha256)
        make_folder(Path(path).parent)
        write_small_map(Path(path), inspection.localization_map)
        return path

    def _found(
        self,
        picture: Picture,
        inspection: Inspection,
        start: float,
        *,
        map_path: str | None = None,
        kept: bytes | None = None,
    ) -> Analysis:
        from doctored.predict.calibration import compression_of

        facts, quick = inspection.picture, self._detector.quick_facts
        scores = {witness.name: witness.raw_score for witness in inspection.witnesses}
        result = inspection.to_json(path="")
        for key in ("path", "error", "outputs", "timing"):
            del result[key]
        return Analysis(
            error=None,
            sha256=facts.sha256,
            duplicate=False,
            quick_look=kept is not None,
            difference_hash=difference_hash(picture.pixels),
            format=facts.format,
            width=facts.size_hw[1],
            height=facts.size_hw[0],
            compression=compression_of(facts),
            model=inspection.model.name,
            model_sha256=inspection.model.sha256,
            precision=self._detector.precision if quick is None or kept is None else quick[2],
            raw_score=inspection.model.raw_score,
            quick_score=None if quick is None else scores[quick[0]],
            verdict=inspection.verdict,
            detection_score=inspection.detection_score,
            false_alarm_rate=inspection.false_alarm_rate,
            operating_point=None if inspection.comparison is None else inspection.comparison.operating_point,
            result=json.dumps(result, allow_nan=False, separators=(",", ":")),
            preview=_preview(inspection.localization_map),
            map=map_path,
            kept=kept,
            seconds=time.perf_counter() - start,
            analysed_at=now(),
        )


def difference_hash(pixels: NDArray[np.uint8]) -> int:
    """Whether each of 8 x 8 fields of a picture is darker than its right neighbour, as 64 bits of a signed integer.

    Scaling and compression flip few of them. A flat picture gives 0.

    Args:
        pixels: (H, W, 3) uint8.
    """
    import numpy as np
    from PIL import Image

    from doctored.core.reduction import reduce_pixels, reduction_factor

    reduced = reduce_pixels(pixels, reduction_factor((pixels.shape[0], pixels.shape[1]), 256))
    grey = Image.fromarray(np.ascontiguousarray(reduced)).convert("L")
    fields = np.asarray(grey.resize((9, 8), Image.Resampling.BOX)).astype(np.int16)
    bits = np.packbits(fields[:, :-1] < fields[:, 1:])
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def _preview(localization_map: NDArray[np.float32]) -> bytes:
    import numpy as np
    from PIL import Image

    from doctored.core.reduction import reduce_map, reduction_factor

    size_hw = localization_map.shape[0], localization_map.shape[1]
    reduced = reduce_map(localization_map, reduction_factor(size_hw, PREVIEW_PX))
    file = io.BytesIO()
    Image.fromarray(np.rint(reduced * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
