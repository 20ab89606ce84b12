"""The page about a scan: how the scores are spread, the highest with their maps, what failed, and what looks alike."""

from __future__ import annotations

import io
import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import doctored
from doctored.apps.file_parser import FileParser
from doctored.apps.outputs import overlay_bands
from doctored.apps.page import page_policy, render_page
from doctored.apps.scan.analyse import Limits, Reader
from doctored.apps.scan.near_duplicates import near_duplicates
from doctored.apps.scan.results import FileResult, Filter, highest_results, read_results, stored_file
from doctored.apps.scan.store import connect, reading
from doctored.core.errors import DataError, DoctoredError, ImageReadError
from doctored.core.reduction import reduce_pixels, reduction_factor

HIGHEST = 24
VERDICTS = {
    "manipulated": "Signs of manipulation",
    "no_signs": "No signs found",
    "cannot_judge": "Cannot judge",
}

_GROUPS, _OF_GROUP = 6, 4
_THUMBNAIL_PX, _THUMBNAIL_QUALITY = 420, 80
_BINS = 40
_REASONS, _EXAMPLES = 20, 3
_HERE = "doctored.apps.scan"
_STYLES = (("doctored.apps.report", "page.css"), (_HERE, "page.css"))


@dataclass(frozen=True)
class Thumbnail:
    """A small picture with the colours of suspicion over it.

    Attributes:
        data: A JPEG file.
        width: In pixels.
        height: In pixels.
    """

    data: bytes
    width: int
    height: int
    media_type: str = "image/jpeg"


@dataclass(frozen=True)
class Shown:
    """A file on the page.

    Args:
        result: Its row.
        picture: The picture, reduced; None if the file cannot be read any more.
        overlay: The same in grey under the map; None likewise.
        missing: Why there is no picture.
    """

    result: FileResult
    picture: Thumbnail | None
    overlay: Thumbnail | None
    missing: str | None


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram.

    Args:
        low: Where it begins on the scale of scores.
        high: Where it ends.
        counts: By verdict.
    """

    low: float
    high: float
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Reason:
    """What several files failed of.

    Args:
        text: The error without what is particular to one file.
        count: How many files.
        examples: Errors of some of them.
    """

    text: str
    count: int
    examples: list[str]


def scan_page(
    stores: Sequence[Path],
    wanted: Filter,
    limits: Limits,
    on_progress: Callable[[int, int], None],
    parser: FileParser | None = None,
) -> str:
    """The whole page as text.

    Thumbnails are made from the files themselves, where these are still there, and the small maps in the store.

    Args:
        stores: Paths.
        wanted: Which results it is about.
        limits: Larger files get no thumbnail.
        on_progress: Called with the number of thumbnails made, and of all.
        parser: What parses the files; None for this process.
    """
    summary = Summary()
    for store in stores:
        for result in read_results(store, wanted):
            summary.add(result)
    highest = [
        result
        for result in highest_results(stores, wanted, HIGHEST)
        if result.error is None and not result.quick_look
    ]
    groups = [[_result_at(stores, place, wanted) for place in group] for group in summary.alike()]
    total = len(highest) + sum(map(len, groups))
    reader, made = Reader(), 0

    def shown(result: FileResult) -> Shown:
        nonlocal made
        made += 1
        on_progress(made, total)
        return _shown(result, reader, limits, parser or FileParser())

    return render_page(
        _HERE,
        _STYLES,
        stores=[store.name for store in stores],
        made_at=datetime.now(UTC),
        version=doctored.__version__,
        scans=[scan for store in stores for scan in _scans(store)],
        summary=summary,
        bars=summary.bars(),
        reasons=summary.reasons(),
        highest=[shown(result) for result in highest],
        groups=[[shown(result) for result in group] for group in groups],
        verdicts=VERDICTS,
        fpr=wanted.fpr,
        thumbnail_px=_THUMBNAIL_PX,
    )


def scan_page_policy() -> str:
    """The content security policy that the page states, for servers to state as well."""
    return page_policy(_HERE, _STYLES)


class Summary:
    """What is said of all files together; of each one it keeps a few numbers.

    Attributes:
        files: How many there are.
        failed: How many of them failed.
        duplicates: How many took their result over from another file of the same bytes.
        quick: How many have had a quick look and no other; they have no score to be counted.
        verdicts: How many of each verdict.
        seconds: That reading and looking took, all together.
        calibrated: Whether there are detection scores; else raw scores are counted.
    """

    def __init__(self) -> None:
        self.files = self.failed = self.duplicates = self.quick = 0
        self.verdicts: Counter[str] = Counter()
        self.seconds = 0.0
        self._scores, self._raw_scores, self._verdict_numbers = array("d"), array("d"), array("b")
        self._hashes, self._hash_scores = array("q"), array("d")
        self._places: list[tuple[Path, int]] = []
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, result: FileResult) -> None:
        """Count one file."""
        self.files += 1
        self.seconds += result.seconds or 0.0
        if result.error is not None:
            self.failed += 1
            reason = _reason(result)
            self._reasons[reason] += 1
            examples = self._examples.setdefault(reason, [])
            if len(examples) < _EXAMPLES:
                examples.append(result.path)
            return
        assert result.verdict is not None
        assert result.raw_score is not None
        self.duplicates += result.duplicate
        self.verdicts[result.verdict] += 1
        self.quick += result.quick_look
        score = float("nan") if result.detection_score is None else result.detection_score
        sort_score = result.raw_score if np.isnan(score) else score
        if result.quick_look:
            sort_score = float("-inf")
        else:
            self._scores.append(score)
            self._raw_scores.append(result.raw_score)
            self._verdict_numbers.append(list(VERDICTS).index(result.verdict))
        if not result.duplicate and result.difference_hash is not None:
            self._hashes.append(result.difference_hash)
            self._hash_scores.append(sort_score)
            self._places.append((result.store, result.id))

    @property
    def calibrated(self) -> bool:
        return bool(np.isfinite(np.frombuffer(self._scores)).any()) if self._scores else False

    def bars(self) -> list[Bar]:
        """The histogram of the scores; empty if there are none."""
        scores = np.frombuffer(self._scores if self.calibrated else self._raw_scores)
        verdicts = np.frombuffer(self._verdict_numbers, np.int8)
        scores, verdicts = scores[np.isfinite(scores)], verdicts[np.isfinite(scores)]
        if not len(scores):
            return []
        limits = (0.0, 1.0) if self.calibrated else (float(scores.min()), float(scores.max()))
        edges = np.linspace(*limits, _BINS + 1)
        if not np.all(np.diff(edges) > 0):  # all scores are equal, or as good as
            edges = np.linspace(limits[0] - 0.5, limits[1] + 0.5, _BINS + 1)
        counts = {
            name: np.histogram(scores[verdicts == number], edges)[0] for number, name in enumerate(VERDICTS)
        }
        return [
            Bar(float(edges[i]), float(edges[i + 1]), {name: int(counts[name][i]) for name in VERDICTS})
            for i in range(_BINS)
        ]

    def reasons(self) -> list[Reason]:
        """What files failed of, the most frequent first."""
        common = self._reasons.most_common(_REASONS)
        return [Reason(text, count, self._examples[text]) for text, count in common]

    def alike(self) -> list[list[tuple[Path, int]]]:
        """Where the results of pictures are that look alike: groups with the highest scores first, and so in each."""
        scores = np.frombuffer(self._hash_scores)
        groups = [
            sorted(group, key=lambda number: -scores[number])
            for group in near_duplicates(np.frombuffer(self._hashes, np.int64))
        ]
        groups.sort(key=lambda group: -scores[group[0]])
        return [[self._places[number] for number in group[:_OF_GROUP]] for group in groups[:_GROUPS]]


def _reason(result: FileResult) -> str:
    """The error without the name of the file and with numbers left out, so that like errors read alike."""
    text = (result.error or "").replace(result.path, "the file")
    return re.sub(r"\d+(\.\d+)?", "…", text)


def _result_at(stores: Sequence[Path], place: tuple[Path, int], wanted: Filter) -> FileResult:
    store, number = place
    for result in read_results(store, wanted, number):
        return result
    raise DataError(f"row {number} of {store} has vanished; the store is damaged, or a scan writes into it")


def _scans(store: Path) -> list[dict[str, Any]]:
    """The calls that filled a store, newest first."""
    columns = (
        "started_at",
        "finished_at",
        "model",
        "model_sha256",
        "precision",
        "operating_point",
        "version",
    )
    with closing(connect(store)) as database, reading(store):
        rows = database.execute(f"SELECT {', '.join(columns)} FROM scans ORDER BY id DESC LIMIT 5").fetchall()
    for row in rows:
        *texts, operating_point, version = row
        numbers = isinstance(operating_point, float | int)
        if not numbers or not all(isinstance(text, str | None) for text in (*texts, version)):
            raise DataError(f"{store} holds a damaged list of its scans; scan into a new store")
    return [{"store": store.name} | dict(zip(columns, row, strict=True)) for row in rows]


def _shown(result: FileResult, reader: Reader, limits: Limits, parser: FileParser) -> Shown:
    entry, preview = stored_file(result)
    try:
        data = reader.read(entry, limits.max_megabytes)
        picture = parser.decode(entry.path, data, max_megapixels=limits.max_megapixels)
        if picture.sha256 != result.sha256:
            raise ImageReadError("the file has changed since it was analysed")
        grey = parser.decode("its small map in the store", preview or b"", max_megapixels=1).pixels[..., 0]
    except DoctoredError as error:
        return Shown(result, None, None, str(error))
    pixels = reduce_pixels(picture.pixels, reduction_factor(picture.size_hw, _THUMBNAIL_PX))
    small_map = Image.fromarray(grey).resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BILINEAR)
    suspicion = np.asarray(small_map, np.float32) / np.float32(255)
    overlay = np.concatenate(list(overlay_bands(pixels, suspicion)))
    return Shown(result, _thumbnail(pixels), _thumbnail(overlay), None)


def _thumbnail(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Thumbnail:
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return Thumbnail(file.getvalue(), image.width, image.height)
