"""The stored scores of authentic pictures, and which of them are like a given picture."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.core.inspection import PictureFacts
from doctored.core.json_text import parse_json
from doctored.core.picture import Picture

CALIBRATION_FILE = "calibration.json"
CALIBRATION_FORMAT = 1

REACH_OCTAVES = 1.0
"""How far from a picture another may lie and still be like it; see `Calibration.like`."""

FEWEST_LIKE = 50
"""With fewer photographs like it a picture is not judged: the threshold would hang on one or two of them."""

MOST_LIKE = 200
"""More photographs than these would only be less like it."""

_LOSSLESS_FORMATS = frozenset({"array", "BMP", "PNG", "TIFF"})
_FARTHEST = 1000.0

Compression = float | str
"""The estimated libjpeg quality of a JPEG file, "lossless", or another lossy format in lower case, such as "webp"."""


def compression_of(picture: Picture | PictureFacts) -> Compression:
    """How a picture's file was compressed, as far as one can tell without decoding it."""
    if picture.jpeg is not None:
        return picture.jpeg.estimated_quality
    return "lossless" if picture.format in _LOSSLESS_FORMATS else picture.format.lower()


def describe_compression(compression: Compression) -> str:
    """For a sentence, for instance "JPEG quality 85" or "lossless"."""
    if isinstance(compression, str):
        return compression if compression == "lossless" else compression.upper()
    return f"JPEG quality {compression:.0f}"


@dataclass(frozen=True)
class Entry:
    """One version of an authentic photograph.

    Args:
        photograph: Its number in the calibration's list of photographs.
        size_hw: Height and width in pixels.
        compression: Of the file.
        raw_score: What the model made of it.
    """

    photograph: int
    size_hw: tuple[int, int]
    compression: Compression
    raw_score: float


@dataclass(frozen=True)
class CalibrationPhotograph:
    """A photograph, whatever versions of it there are.

    Args:
        sha256: Of its file, lower-case hexadecimal.
        group: What it shares with others, for instance its source and the make of its camera.
    """

    sha256: str
    group: str


@dataclass(frozen=True, eq=False)
class Like:
    """The authentic pictures like a given one, at most one version of each photograph.

    Attributes:
        scores: (N,) float64, of those that are truly like it.
        nearest: (M,) float64, of those that it is compared with to get a detection score: the same, or where these
            are fewer than `FEWEST_LIKE` the nearest there are, however far; never empty.
        smaller: Whether they are like it in compression only, and smaller; see `Calibration.like`.
    """

    scores: NDArray[np.float64]
    nearest: NDArray[np.float64]
    smaller: bool = False


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a model makes of authentic pictures.

    Args:
        model: Catalogue name.
        model_sha256: Of the model, as its results state it.
        raw_score: Name of the rule from map to score.
        precision: What the model computed in. Other precisions give nearly the same scores.
        versions: How the versions of each photograph were made, in a sentence.
        photographs: All of them.
        entries: Their versions, in any order.
        left_out: How many pictures were not used, by reason.
        sha256: Of the file; empty if it never was one.

    Raises:
        ModelError: There are no entries, or one names a photograph that is not listed, or a score is not finite.
    """

    model: str
    model_sha256: str
    raw_score: str
    precision: str
    versions: str
    photographs: tuple[CalibrationPhotograph, ...]
    entries: tuple[Entry, ...]
    left_out: dict[str, int]
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.entries:
            raise ModelError("a calibration needs at least one picture; none was given")
        for entry in self.entries:
            if not 0 <= entry.photograph < len(self.photographs) or min(entry.size_hw) < 1:
                raise ModelError(
                    f"the calibration's entry {entry} names no photograph of its list, or no size"
                )
            if not math.isfinite(entry.raw_score):
                raise ModelError(f"the calibration holds the score {entry.raw_score}; make it again")
            if not isinstance(entry.compression, str) and not 1 <= entry.compression <= 100:
                raise ModelError(f"the calibration holds the JPEG quality {entry.compression}; make it again")

    def check_model(self, name: str, sha256: str, raw_score: str) -> None:
        """Refuse to speak for another model.

        Args:
            name: Of the model.
            sha256: Of the model.
            raw_score: Name of the model's rule from map to score.

        Raises:
            ModelError: The hash, or the rule from map to score, is not that of this calibration.
        """
        if sha256 != self.model_sha256:
            raise ModelError(
                f"the calibration belongs to {self.model} with SHA-256 {self.model_sha256[:12]}..., not to {name} with "
                f"{sha256[:12]}...; make one for this model with: doctored calibrate"
            )
        if self.raw_score != raw_score:
            raise ModelError(
                f"the calibration was made with the raw score {self.raw_score!r}, this version uses {raw_score!r}; "
                "make it again with: doctored calibrate"
            )

    def like(self, size_hw: tuple[int, int], compression: Compression) -> Like:
        """The authentic pictures most like one of a given size and compression.

        Size is measured in doublings of the side of a square of as many pixels, compression in doublings of the
        mean quantisation step of JPEG files (plus 2, since decoded values are rounded: steps of 1 and of 0 hardly
        differ). Pictures are alike within a distance of `REACH_OCTAVES`, the root of the sum of squares of
        both. Lossless files, and each other lossy format, are like their own kind only.

        Of each photograph only the nearest version counts, because versions of one photograph do not vary
        independently. Then groups take turns, each giving its nearest photograph left, until `MOST_LIKE` are found;
        and where one group still has more than all others together, its farthest are dropped down to as many, or
        as `FEWEST_LIKE` in all need. So no large source decides alone.

        Photographs large enough to be like the pictures of today's cameras are few. Where too few are like a picture
        because it is larger than most of them, it is compared with those instead, if `scores_fall_with_size`: then the
        rate comes out too high rather than too low.
        """
        octaves = _size_octaves(size_hw)
        like, entries = self._like(octaves, compression)
        if len(like) < FEWEST_LIKE and octaves > self._usual_octaves and self.scores_fall_with_size:
            of_smaller, _ = self._like(self._usual_octaves, compression)
            if len(of_smaller) >= FEWEST_LIKE:
                scores = self._scores[of_smaller]
                return Like(scores, scores, smaller=True)
        scores = self._scores[like]
        return Like(scores, scores if len(like) >= FEWEST_LIKE else self._scores[entries[:FEWEST_LIKE]])

    def _like(self, octaves: float, compression: Compression) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries like a picture of that size, and the nearest of each photograph, nearest first."""
        distances, entries = self._nearest_versions(octaves, compression)
        return self._balanced(entries[distances <= REACH_OCTAVES]), entries

    @cached_property
    def scores_fall_with_size(self) -> bool:
        """Whether larger versions of the same photographs score lower, at the top of their scores too.

        Compared are the versions of usual size with those of half and of a quarter of the side: median and 0.95
        quantile must fall, or stay, at both steps.
        """
        rows = []
        for step in (0, 1, 2):
            offsets = np.abs(self._octaves - (self._usual_octaves - step))
            order = np.argsort(offsets, kind="stable")
            photographs, first = np.unique(self._photographs[order], return_index=True)
            near = offsets[order[first]] <= REACH_OCTAVES / 2
            scores = dict(
                zip(photographs[near].tolist(), self._scores[order[first[near]]].tolist(), strict=True)
            )
            rows.append(scores)
        common = sorted(rows[0].keys() & rows[1].keys() & rows[2].keys())
        if len(common) < FEWEST_LIKE:
            return False
        of_size, of_half, of_quarter = (
            np.quantile([scores[photograph] for photograph in common], (0.5, 0.95)) for scores in rows
        )
        return bool((of_size <= of_half).all() and (of_half <= of_quarter).all())

    @cached_property
    def _usual_octaves(self) -> float:
        """The size that half of the photographs reach."""
        largest = np.full(len(self.photographs), -np.inf)
        np.maximum.at(largest, self._photographs, self._octaves)
        return float(np.median(largest[np.isfinite(largest)]))

    def counts_near(self, size_hw: tuple[int, int]) -> tuple[int, int, int]:
        """How many photographs have a version of nearly that size in any compression, only smaller, only larger."""
        offsets = self._octaves - _size_octaves(size_hw)
        near, smaller, larger = (
            set(self._photographs[chosen].tolist())
            for chosen in (np.abs(offsets) <= REACH_OCTAVES, offsets < 0, offsets > 0)
        )
        return len(near), len(smaller - near), len(larger - near)

    def save(self, path: Path) -> None:
        """Write the calibration to a file, complete or not at all, the same bytes each time.

        Raises:
            ModelError: The file cannot be written.
        """
        unfinished = path.with_name(f".{path.name}.part")
        try:
            try:
                unfinished.write_bytes(self.to_bytes())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                f"{path} cannot be written ({error.strerror}); choose another --output"
            ) from error

    def to_bytes(self) -> bytes:
        """The content of its file: JSON, one photograph or version to a line."""
        groups = sorted({photograph.group for photograph in self.photographs})
        head = {
            "format": CALIBRATION_FORMAT,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "raw_score": self.raw_score,
            "precision": self.precision,
            "versions": self.versions,
            "left_out": self.left_out,
            "groups": dict(sorted(Counter(photograph.group for photograph in self.photographs).items())),
        }
        photographs = [[photograph.sha256, groups.index(photograph.group)] for photograph in self.photographs]
        entries = [
            [entry.photograph, *entry.size_hw, entry.compression, entry.raw_score] for entry in self.entries
        ]
        text = json.dumps(head, indent=1)[:-2]
        for name, rows in (("photographs", photographs), ("entries", entries)):
            lines = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in rows)
            text += f',\n "{name}": [\n{lines}\n ]'
        return (text + "\n}\n").encode("ascii")

    @cached_property
    def _photographs(self) -> NDArray[np.int64]:
        return np.array([entry.photograph for entry in self.entries])

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        """Number of the group of each entry."""
        names = sorted({photograph.group for photograph in self.photographs})
        number = {name: position for position, name in enumerate(names)}
        of_photograph = [number[photograph.group] for photograph in self.photographs]
        return np.array(of_photograph)[self._photographs]

    @cached_property
    def _octaves(self) -> NDArray[np.float64]:
        return np.array([_size_octaves(entry.size_hw) for entry in self.entries])

    @cached_property
    def _compressions(self) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        kinds, octaves = zip(
            *(_compression_octaves(entry.compression) for entry in self.entries), strict=True
        )
        return np.array(kinds), np.array(octaves)

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        return np.array([entry.raw_score for entry in self.entries])

    def _nearest_versions(
        self, size_octaves: float, compression: Compression
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances and numbers of the nearest entry of each photograph, nearest first."""
        kind, octaves = _compression_octaves(compression)
        own_kinds, own_octaves = self._compressions
        apart = np.where(own_kinds == kind, own_octaves - octaves, _FARTHEST)
        distances = np.hypot(self._octaves - size_octaves, apart)
        order = np.argsort(distances, kind="stable")
        _, first = np.unique(self._photographs[order], return_index=True)
        nearest = order[np.sort(first)]
        return distances[nearest], nearest

    def _balanced(self, entries: NDArray[np.int64]) -> NDArray[np.int64]:
        """Some of the entries, which come nearest first, so that no group outweighs the others."""
        taken: Counter[int] = Counter()
        turns = []
        for group in self._groups[entries].tolist():
            turns.append(taken[group])
            taken[group] += 1
        chosen = entries[np.argsort(turns, kind="stable")[:MOST_LIKE]]
        groups = self._groups[chosen]
        if len(taken) < 2:
            return chosen
        (largest, count), *_ = Counter(groups.tolist()).most_common(1)
        others = len(chosen) - count
        # Within a group the nearest come first, so the last are its farthest.
        surplus = count - max(others, FEWEST_LIKE - others)
        kept = np.ones(len(chosen), np.bool_)
        if surplus > 0:
            kept[np.flatnonzero(groups == largest)[-surplus:]] = False
        return chosen[kept]


def read_calibration(path: Path) -> Calibration:
    """Read a calibration from its file.

    Raises:
        ModelError: The file is missing, damaged, or of another format.
    """
    try:
        content = path.read_bytes()
        stored = parse_json(content)
        if stored["format"] != CALIBRATION_FORMAT:
            raise ModelError(
                f"{path} has format {stored['format']}, this version reads {CALIBRATION_FORMAT}; make it again with: "
                "doctored calibrate"
            )
        return Calibration(
            model=_text(stored["model"]),
            model_sha256=_text(stored["model_sha256"]),
            raw_score=_text(stored["raw_score"]),
            precision=_text(stored["precision"]),
            versions=_text(stored["versions"]),
            photographs=_photographs(stored["photographs"], list(stored["groups"])),
            entries=tuple(
                Entry(int(photograph), (int(height), int(width)), _known(compression), float(score))
                for photograph, height, width, compression, score in stored["entries"]
            ),
            left_out=dict(stored["left_out"]),
            sha256=hashlib.sha256(content).hexdigest(),
        )
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give a file that doctored calibrate wrote"
        ) from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a complete calibration ({type(error).__name__}: {error}); "
            "make it again with: doctored calibrate"
        ) from error


def _photographs(rows: Sequence[Any], groups: list[str]) -> tuple[CalibrationPhotograph, ...]:
    return tuple(CalibrationPhotograph(_text(sha256), _text(groups[group])) for sha256, group in rows)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _known(compression: Any) -> Compression:
    return compression if isinstance(compression, str) else float(compression)


def _size_octaves(size_hw: tuple[int, int]) -> float:
    return 0.5 * math.log2(size_hw[0] * size_hw[1])


def _compression_octaves(compression: Compression) -> tuple[str, float]:
    """The kind of compression, and how strong it is as far as that is known."""
    if isinstance(compression, str):
        return compression, 0.0
    percent = 200 - 2 * compression if compression >= 50 else 5000 / compression
    return "jpeg", math.log2(0.57625 * percent + 2)
