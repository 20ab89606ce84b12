"""How often does a calibrated model accuse authentic pictures of a source that it was not calibrated on?

    python benchmarks/false_alarms.py --model MODEL --authentic PHOTOS [PHOTOS ...] --scores SCORES.jsonl
        [--split CSV --roles calibration test unused] [--megapixels 0.1 0.5 2 12] [--forged FOLDER ...] [--by make]
        [--fpr 0.05] [--limit N]

Every group (a source, or with --by make the make of a camera within one) is judged by a calibration on all other
groups: the files as they are, and versions of 0.1, 0.5, 2 and 12 megapixels (reduced, JPEG quality 90, of the
photographs that are as large). Calibrated on are those photographs that `doctored calibrate --split CSV` would
take; the others of the roles, and those that name an editor, which are a group of their own, are only judged. FOLDER
holds images/ and perhaps authentic/, judged by a calibration on all groups. All of it is repeated for other ways
to make one number of a map. Intervals are Clopper and Pearson's at 95 %; they count pictures as independent, which
those of one source are not quite. Scores are kept in SCORES.jsonl, so that the same call goes on where it was stopped,
and other calls on the same pictures cost nothing.
"""

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest

from doctored.apps.calibrate import SMALLEST_SIDE_PX, group_of, version_scores
from doctored.core.picture import Picture
from doctored.core.read_image import read_image
from doctored.data.editors import editor_named_in
from doctored.data.photographs import (
    SUFFIXES,
    Photograph,
    Skipped,
    list_photographs,
    read_split,
    usable_pictures,
)
from doctored.predict.calibration import (
    FEWEST_LIKE,
    Calibration,
    CalibrationPhotograph,
    Compression,
    Entry,
    compression_of,
)
from doctored.predict.conformal import false_alarm_rate
from doctored.predict.detector import load_panel, load_witness
from doctored.predict.panel import Panel
from doctored.predict.raw_score import LARGEST_REGION

MEGAPIXELS = (0.1, 0.5, 2.0, 12.0)
TESTED_QUALITY = 90
EDITED = ", names an editor"


def mean_of_top(share: float) -> Callable[[NDArray[np.float32]], float]:
    def reduction(values: NDArray[np.float32]) -> float:
        count = max(1, int(values.size * share))
        return float(np.partition(values.ravel(), values.size - count)[-count:].mean(dtype=np.float64))

    return reduction


def logit_of_area(values: NDArray[np.float32]) -> float:
    above = int(np.count_nonzero(values > 0))
    return float(np.log((above + 0.5) / (values.size - above + 0.5)))


REDUCTIONS: dict[str, Callable[[NDArray[np.float32]], float]] = {
    LARGEST_REGION.name: LARGEST_REGION.score,
    "largest value": lambda values: float(values.max()),
    "mean of top 1 %": mean_of_top(0.01),
    "mean of top 0.1 %": mean_of_top(0.001),
    "top 1 % above median": lambda values: mean_of_top(0.01)(values) - float(np.median(values)),
    "standard deviation": lambda values: float(values.std(dtype=np.float64)),
    "logit of area above 0": logit_of_area,
}

Version = tuple[int, int, Compression, dict[str, float]]
"""Height, width, compression, and the score of each reduction."""


@dataclass(frozen=True)
class Scored:
    """A photograph with the scores of its versions; there are none to calibrate on if it is only judged."""

    sha256: str
    group: str
    to_calibrate: Sequence[Version]
    to_test: dict[str, Version]


class ScoreFile:
    """Scores by picture, written as they are made."""

    def __init__(self, path: Path, model_sha256: str) -> None:
        self._path, self._model = path, model_sha256
        self._known: dict[str, Any] = {}
        if path.exists():
            # A line that was cut off does not end.
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                record = json.loads(line)
                if record["model"] == model_sha256:
                    self._known[record["key"]] = record["value"]

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            record = {"model": self._model, "key": key, "value": self._known[key]}
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(record) + "\n")
        return self._known[key]


def reduced(picture: Picture, megapixels: float) -> tuple[NDArray[np.uint8], float]:
    """The whole picture at that size, saved as JPEG and read again, and the quality estimated from that file."""
    height, width = picture.size_hw
    scale = (megapixels * 1e6 / (height * width)) ** 0.5
    size = max(1, round(width * scale)), max(1, round(height * scale))
    file = io.BytesIO()
    Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS).save(
        file, "JPEG", quality=TESTED_QUALITY
    )
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")), float(TESTED_QUALITY)


def score_photograph(
    picture: Picture,
    scores: ScoreFile,
    score_of: Callable[[NDArray[np.uint8]], dict[str, float]],
    calibrates: bool,
    megapixels: Sequence[float],
) -> tuple[list[Version], dict[str, Version]]:
    """The versions to calibrate on, and those to judge."""
    as_it_is = scores.get(f"as it is {picture.sha256}", lambda: score_of(picture.pixels))

    def known_score_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
        return as_it_is if pixels is picture.pixels else score_of(pixels)

    def tested(size: float) -> Version:
        pixels, quality = reduced(picture, size)
        return (*pixels.shape[:2], quality, score_of(pixels))

    to_calibrate = []
    if calibrates:
        to_calibrate = scores.get(
            f"versions {picture.sha256}", lambda: list(version_scores(picture, known_score_of, True, 0))
        )
    to_test = {"as they are": (*picture.size_hw, compression_of(picture), as_it_is)}
    for size in megapixels:
        if picture.pixels.size / 3 >= size * 1e6:
            to_test[f"{size:g} MP"] = scores.get(
                f"{size:g} MP {picture.sha256}", lambda size=size: tested(size)
            )
    return to_calibrate, to_test


def authentic_photographs(
    folders: Iterable[Path], split: Path | None, roles: Sequence[str]
) -> list[tuple[Photograph, bool]]:
    """The photographs, and whether each may be calibrated on."""
    role_of = {} if split is None else read_split(split)
    listed = [
        (photograph, role_of.get(photograph.file, "calibration"))
        for folder in folders
        for photograph in list_photographs(folder)
    ]
    return [(photograph, role == "calibration") for photograph, role in listed if role in roles]


def score_authentic(
    photographs: Sequence[tuple[Photograph, bool]],
    scores: ScoreFile,
    score_of: Callable[[NDArray[np.uint8]], dict[str, float]],
    by: str,
    megapixels: Sequence[float],
) -> list[Scored]:
    skipped: list[Skipped] = []
    found: dict[str, Scored] = {}
    for photograph, may_calibrate in photographs:
        for _, picture in usable_pictures([photograph], skipped, min_side_px=SMALLEST_SIDE_PX):
            edited = editor_named_in(photograph.path.read_bytes()) is not None
            versions = score_photograph(picture, scores, score_of, may_calibrate and not edited, megapixels)
            group = photograph.source if by == "source" and photograph.source else group_of(photograph)
            found[picture.sha256] = Scored(picture.sha256, f"{group}{EDITED}" if edited else group, *versions)
            print(f"{len(found)} scored", end="\r", file=sys.stderr, flush=True)
    calibrating = sum(bool(one.to_calibrate) for one in found.values())
    print(f"{len(found)} authentic pictures, {calibrating} of them calibrated on, {len(skipped)} left out")
    return list(found.values())


def calibration_of(photographs: Sequence[Scored], reduction: str) -> Calibration:
    photographs = [photograph for photograph in photographs if photograph.to_calibrate]
    entries = tuple(
        Entry(number, (height, width), compression, values[reduction])
        for number, photograph in enumerate(photographs)
        for height, width, compression, values in photograph.to_calibrate
    )
    listed = tuple(CalibrationPhotograph(photograph.sha256, photograph.group) for photograph in photographs)
    return Calibration("", "", reduction, "", "", listed, entries, {})


def rate_of(calibration: Calibration, version: Version, reduction: str) -> float | None:
    """The false-alarm rate of a version; None where there are too few pictures like it to judge."""
    height, width, compression, values = version
    scores = calibration.like((height, width), compression).scores
    return false_alarm_rate(values[reduction], scores) if len(scores) >= FEWEST_LIKE else None


def share(rates: Sequence[float | None], fpr: float) -> str:
    """Flagged pictures of those that can be judged, with an interval, and how many cannot."""
    judged = [rate for rate in rates if rate is not None]
    unjudged = f"{len(rates) - len(judged):4d} not judged"
    if not judged:
        return f"{'-':>23}  {0:4d} pictures, {unjudged}"
    flagged = sum(rate <= fpr for rate in judged)
    interval = binomtest(flagged, len(judged)).proportion_ci(0.95, "exact")
    numbers = f"{flagged / len(judged):6.1%} [{interval.low:6.1%}, {interval.high:6.1%}]"
    return f"{numbers}  {len(judged):4d} pictures, {unjudged}"


def leave_one_group_out(
    photographs: Sequence[Scored], reduction: str
) -> dict[str, dict[str, list[float | None]]]:
    """Rates by kind of picture ("as they are", "0.1 MP", ...), then group."""
    rates: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for group in sorted({photograph.group for photograph in photographs}):
        whole_group = group.removesuffix(EDITED)
        others = calibration_of(
            [one for one in photographs if one.group.removesuffix(EDITED) != whole_group], reduction
        )
        for photograph in photographs:
            if photograph.group == group:
                for kind, version in photograph.to_test.items():
                    rates[kind][group].append(rate_of(others, version, reduction))
    return rates


def forged_versions(
    folder: Path,
    scores: ScoreFile,
    score_of: Callable[[NDArray[np.uint8]], dict[str, float]],
    limit: int | None,
) -> list[Version]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    versions = []
    for path in paths[:: max(1, len(paths) // limit)] if limit else paths:
        picture = read_image(path)
        compression = compression_of(picture)
        key = f"as it is {picture.sha256}"
        values = scores.get(key, lambda picture=picture: score_of(picture.pixels))
        versions.append((*picture.size_hw, compression, values))
    return versions


def reductions_of(panel: Panel) -> tuple[list[str], Callable[[NDArray[np.uint8]], dict[str, float]]]:
    """The names of all ways to make one number, the panel's own first, and from pixels to these numbers.

    Where several witnesses look, there is only their own.
    """
    if len(panel.witnesses) > 1:
        return [panel.raw_score_rule], lambda pixels: {panel.raw_score_rule: panel.raw_score(pixels)}
    (witness,) = panel.witnesses
    own = witness.score_rule
    reductions = {own.name: own.score} | {
        name: reduction for name, reduction in REDUCTIONS.items() if reduction is not own.score
    }

    def score_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
        values = witness.scored_map(pixels, None)
        return {name: reduction(values) for name, reduction in reductions.items()}

    return list(reductions), score_of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mantranet")
    parser.add_argument("--authentic", type=Path, nargs="+", required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="CSV with columns file and role; others may calibrate")
    parser.add_argument("--roles", nargs="+", default=["calibration", "test", "unused"])
    parser.add_argument("--megapixels", type=float, nargs="*", default=MEGAPIXELS)
    parser.add_argument("--forged", type=Path, nargs="*", default=[])
    parser.add_argument("--by", choices=("source", "make"), default="source")
    parser.add_argument("--fpr", type=float, default=0.05)
    parser.add_argument("--limit", type=int, help="about so many pictures of each folder")
    arguments = parser.parse_args()
    print("python " + " ".join(sys.argv))

    panel = load_panel(arguments.model, load_witness)
    scores = ScoreFile(arguments.scores, f"{panel.sha256} {panel.precision}")
    names, score_of = reductions_of(panel)

    listed = authentic_photographs(arguments.authentic, arguments.split, arguments.roles)
    if arguments.limit:
        listed = listed[:: max(1, len(listed) // arguments.limit)]
    authentic = score_authentic(listed, scores, score_of, arguments.by, arguments.megapixels)
    forged = {
        str(folder): forged_versions(folder, scores, score_of, arguments.limit)
        for parent in arguments.forged
        for folder in (parent / "images", parent / "authentic")
        if folder.is_dir()
    }
    for reduction in names:
        print(f"\n{reduction}: flagged at {arguments.fpr:.0%}")
        rates = leave_one_group_out(authentic, reduction)
        for kind, by_group in rates.items():
            for name, with_edited in (("authentic", True), ("without those that name an editor", False)):
                pooled = [
                    rate
                    for group, of_group in by_group.items()
                    if with_edited or not group.endswith(EDITED)
                    for rate in of_group
                ]
                print(f"  {f'{name}, {kind}':<46} {share(pooled, arguments.fpr)}")
        whole = calibration_of(authentic, reduction)
        for folder, versions in forged.items():
            of_folder = [rate_of(whole, version, reduction) for version in versions]
            print(f"  {folder[-46:]:<46} {share(of_folder, arguments.fpr)}")
        if reduction == names[0]:
            for group, of_group in sorted(rates["as they are"].items()):
                print(f"    {group:<44} {share(of_group, arguments.fpr)}")


if __name__ == "__main__":
    main()
