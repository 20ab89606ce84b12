"""Whether a look at a part of each picture could spare looking at the whole of most.

    python benchmarks/triage.py PHOTOS --scores scores.jsonl [--count N]

Pictures of the fixed generated test set are looked at whole, and in two quarters on the diagonal, each on its own, as
a scan could that begins with one or two tiles. A share of the pictures with the highest scores of these tiles then goes
to the model as a whole. Printed is, at a saving, how many of the forgeries that the model detects whole at 5 % false
alarms remain, and how many of the tenth of all pictures with its highest scores; choosing blindly at the same cost
keeps as large a share as it looks at. Scores are kept in a file, so that the same command goes on where it was stopped.
"""

import argparse
import json
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.forgery import Source
from doctored.core.recipe import Recipe
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.metrics.image import image_auc
from doctored.predict import Detector
from doctored.synth.forge import rebuild

RECIPES = Path(__file__).parents[1] / "tests" / "recipes" / "heldout-v1.jsonl"
SAVINGS = (0.25, 0.5)
FALSE_ALARMS = 0.05
TOP = 0.1
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of the development photographs")
    parser.add_argument("--model", default="mantranet", help="name, or folder of a run or an exported model")
    parser.add_argument("--scores", type=Path, required=True, help="file to fill or go on with")
    parser.add_argument(
        "--count", type=int, default=500, help="how many pictures, half of them authentic at first"
    )
    arguments = parser.parse_args()
    rows = look(arguments.photos, arguments.model, arguments.scores, arguments.count)
    forged = np.array([row["forged"] for row in rows])
    whole = np.array([row["whole"] for row in rows])
    quarters = np.array([row["quarters"] for row in rows])
    print(f"{platform.processor() or platform.machine()}: python {' '.join(sys.argv)}")
    print(f"{forged.sum()} forged, {(~forged).sum()} authentic")
    threshold = np.quantile(whole[~forged], 1 - FALSE_ALARMS)
    detected = forged & (whole > threshold)
    print(f"whole: {detected.sum()} forged ones detected; AUC {image_auc(whole, forged):.3f}")
    for tiles in (1, 2):
        sample = quarters[:, :tiles].max(axis=1)
        print(
            f"{tiles} of 4 tiles: AUC {image_auc(sample, forged):.3f}, "
            f"rank correlation with the whole {_rank_correlation(sample, whole):.3f}"
        )
    highest = whole >= np.quantile(whole, 1 - TOP)
    print("| tiles first | saving | sent on | detected still | of the highest tenth | blindly |")
    print("|---|---|---|---|---|---|")
    for tiles in (1, 2):
        sample = quarters[:, :tiles].max(axis=1)
        for saving in SAVINGS:
            share = 1 - saving - tiles / 4
            if share <= 0:
                continue
            sent = sample >= np.quantile(sample, 1 - share)
            low, high = _interval(sent[highest])
            print(
                f"| {tiles} of 4 | {saving:.0%} | {share:.0%} | {(detected & sent).sum()} of {detected.sum()} | "
                f"{sent[highest].mean():.2f} [{low:.2f}, {high:.2f}] | {1 - saving:.2f} |"
            )


def look(photos: Path, model: str, scores: Path, count: int) -> list[dict[str, Any]]:
    """For each picture its recipe's number, whether it is forged, its raw score, and those of two of its quarters."""
    import cv2

    @lru_cache(maxsize=100)
    def source(file: str) -> Source:
        return read_source(Photograph(photos / file, file))

    cv2.setNumThreads(1)
    recipes = [Recipe.from_json(line) for line in RECIPES.read_text("utf-8").splitlines()]
    numbers: tuple[list[int], list[int]] = [], []
    for number, recipe in enumerate(recipes):
        numbers[recipe.technique != "authentic"].append(number)
    authentic, forged = numbers
    # In turn, and the forged ones from all over the list, so that any beginning is a fair sample.
    spread = [forged[index * 7 % len(forged)] for index in range(len(forged))]
    order = [number for pair in zip(authentic, spread, strict=False) for number in pair]
    order += spread[len(authentic) :]
    rows = [json.loads(line) for line in scores.read_text("utf-8").splitlines()] if scores.exists() else []
    done = {row["number"] for row in rows}
    # One for each size of picture, because a network is compiled anew whenever the size changes.
    of_wholes, of_quarters = (Detector.from_name(model, threads=1) for _ in range(2))
    with scores.open("a", encoding="utf-8") as file:
        for number in [number for number in order[:count] if number not in done]:
            recipe = recipes[number]
            sources = {name.file: source(name.file) for name in (recipe.host, recipe.donor)}
            image = rebuild(recipe, sources).image
            half = image.shape[0] // 2
            tiles = [np.ascontiguousarray(part) for part in (image[:half, :half], image[half:, half:])]
            row = {
                "number": number,
                "forged": recipe.technique != "authentic",
                "whole": of_wholes.raw_score(image),
                "quarters": [of_quarters.raw_score(tile) for tile in tiles],
            }
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    return rows


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def _interval(kept: NDArray[np.bool_]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    means = kept[rng.integers(0, len(kept), (RESAMPLES, len(kept)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


if __name__ == "__main__":
    main()
