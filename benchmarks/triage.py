"""What is lost if a quick look chooses the pictures that all networks look at, as `doctored scan --fast` does.

    python benchmarks/triage.py PHOTOS --scores scores.jsonl [--count N] [--model both]

Pictures of the fixed generated test set get a quick look by the model's Constrained R-CNN, and then the look of all.
For a saving of work it follows from the cost of both, in processor time, which share of the pictures may be sent on. As
most archives hold few forgeries, a share of the authentic pictures is meant: the quick score that this share of them
reaches is the threshold. Printed is how many of the forged pictures reach it, of those that the model detects at 5 %
false alarms, and of the tenth of all pictures that the model ranks highest. Choosing blindly at the same cost keeps as
large a share as it looks at. Intervals are of 95 %, over resampled pictures. Scores are kept in a file by the hash of
the model, so that the same command goes on where it was stopped, and begins anew for another model.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.forgery import Source
from doctored.core.picture import Picture
from doctored.core.recipe import Recipe
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.metrics.image import image_auc
from doctored.predict import Detector
from doctored.synth.forge import rebuild

RECIPES = Path(__file__).parents[1] / "tests" / "recipes" / "heldout-v1.jsonl"
SAVINGS = (0.5, 0.75, 0.85, 0.9)
FALSE_ALARMS = 0.05
TOP = 0.1
RESAMPLES = 2000

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of the development photographs")
    parser.add_argument("--model", default="both", help="name, or folder of a combination")
    parser.add_argument("--scores", type=Path, required=True, help="file to fill or go on with")
    parser.add_argument(
        "--count", type=int, default=500, help="how many pictures, half of them authentic at first"
    )
    arguments = parser.parse_args()
    detector = Detector.from_name(arguments.model, threads=1)
    rows = look(arguments.photos, detector, arguments.scores, arguments.count)
    forged = np.array([row["forged"] for row in rows])
    quick, whole = (np.array([row[name] for row in rows]) for name in ("quick", "whole"))
    cost = sum(row["quick_seconds"] for row in rows)
    cost /= cost + sum(row["rest_seconds"] for row in rows)
    print(f"{platform.processor() or platform.machine()}: python {' '.join(sys.argv)}")
    print(f"model {detector.name} {detector.sha256[:12]}: {forged.sum()} forged, {(~forged).sum()} authentic")
    print(f"a quick look takes {cost:.1%} of the time of the look of all")
    print(
        f"AUC of the quick look {image_auc(quick, forged):.3f}, of all {image_auc(whole, forged):.3f}; "
        f"rank correlation {_rank_correlation(quick, whole):.3f}"
    )
    detected = forged & (whole > np.quantile(whole[~forged], 1 - FALSE_ALARMS))
    highest = whole >= np.quantile(whole, 1 - TOP)
    groups = (forged, detected, highest)
    print(f"| work saved | sent on | forged ({forged.sum()}) | detected ({detected.sum()}) | ", end="")
    print(f"the highest tenth ({highest.sum()}) | blindly |\n|---|---|---|---|---|---|")
    for saving in SAVINGS:
        share = (1 - saving - cost) / (1 - cost)
        if share <= 0:
            print(f"| {saving:.0%} | cannot be: the quick look alone takes {cost:.1%} | | | | |")
            continue
        cells = [_kept(quick, forged, group, share) for group in groups]
        print(f"| {saving:.0%} | {share:.1%} | {' | '.join(cells)} | {1 - saving:.2f} |")


def look(photos: Path, detector: Detector, scores: Path, count: int) -> list[dict[str, Any]]:
    """For each picture its recipe's number, whether it is forged, and score and cost of both looks."""
    import cv2

    @lru_cache(maxsize=100)
    def source(file: str) -> Source:
        return read_source(Photograph(photos / file, file))

    cv2.setNumThreads(1)
    recipes = [Recipe.from_json(line) for line in RECIPES.read_text("utf-8").splitlines()]
    stored = [json.loads(line) for line in scores.read_text("utf-8").splitlines()] if scores.exists() else []
    rows = {row["number"]: row for row in stored if row["model"] == detector.sha256}
    wanted = _in_turn([recipe.technique != "authentic" for recipe in recipes])[:count]
    with scores.open("a", encoding="utf-8") as file:
        for number in wanted:
            if number in rows:
                continue
            recipe = recipes[number]
            sources = {name.file: source(name.file) for name in (recipe.host, recipe.donor)}
            picture = Picture.from_array(rebuild(recipe, sources).image)
            if not rows:
                detector.inspect(picture)  # the first look compiles the networks, which a scan does once
            start = time.process_time()
            quick = detector.quick_look(picture)
            middle = time.process_time()
            whole = detector.inspect(picture, kept=quick.kept)
            rows[number] = {
                "model": detector.sha256,
                "number": number,
                "forged": recipe.technique != "authentic",
                "quick": quick.inspection.model.raw_score,
                "whole": whole.model.raw_score,
                "quick_seconds": middle - start,
                "rest_seconds": time.process_time() - middle,
            }
            file.write(json.dumps(rows[number]) + "\n")
            file.flush()
    return [rows[number] for number in wanted]


def _in_turn(forged: list[bool]) -> list[int]:
    """Numbers of authentic and forged pictures in turn, the latter from all over, so that any beginning is fair."""
    authentic = [number for number, is_forged in enumerate(forged) if not is_forged]
    others = [number for number, is_forged in enumerate(forged) if is_forged]
    spread = [others[index * 7 % len(others)] for index in range(len(others))]
    order = [number for pair in zip(authentic, spread, strict=False) for number in pair]
    return order + spread[len(authentic) :]


def _kept(quick: Floats, forged: Bools, group: Bools, share: float) -> str:
    """Which part of a group is sent on if a share of the authentic pictures is."""

    def kept(picked: NDArray[np.int64]) -> float:
        threshold = np.quantile(quick[picked][~forged[picked]], 1 - share)
        return float((quick[picked][group[picked]] > threshold).mean())

    if not group.any():
        return "none"
    low, high = _interval(kept, forged, group)
    return f"{kept(np.arange(len(quick))):.2f} [{low:.2f}, {high:.2f}]"


def _interval(
    statistic: Callable[[NDArray[np.int64]], float], forged: Bools, group: Bools
) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    classes = np.flatnonzero(forged), np.flatnonzero(~forged)
    drawn = [np.concatenate([rng.choice(one, len(one)) for one in classes]) for _ in range(RESAMPLES)]
    values = [statistic(picked) for picked in drawn if group[picked].any()]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def _rank_correlation(first: Floats, second: Floats) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
