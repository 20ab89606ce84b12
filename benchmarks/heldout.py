"""Scores of a model on the fixed generated test set, by kind of forgery and by domain.

    python benchmarks/heldout.py PHOTOS --model mantranet [--every N]

PHOTOS is the folder of the development photographs, of which the recipes name those that are never trained on. Pixel
AUC, mean per image; authentic pictures have none and are left out.
"""

import argparse
import platform
import sys
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from doctored.core.forgery import Source
from doctored.core.picture import Picture
from doctored.core.recipe import Recipe
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.metrics.pixel import pixel_auc
from doctored.metrics.resampling import bootstrap_interval
from doctored.predict import Detector
from doctored.synth.forge import rebuild

RECIPES = Path(__file__).parents[1] / "tests" / "recipes" / "heldout-v1.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of the development photographs")
    parser.add_argument("--model", default="mantranet", help="name, or folder of a run or an exported model")
    parser.add_argument("--every", type=int, default=1, help="take only every so many of the recipes")
    arguments = parser.parse_args()

    @lru_cache(maxsize=100)
    def source(file: str) -> Source:
        return read_source(Photograph(arguments.photos / file, file))

    cv2.setNumThreads(1)
    detector = Detector.from_name(arguments.model)
    scores: dict[str, list[float]] = defaultdict(list)
    for line in RECIPES.read_text(encoding="utf-8").splitlines()[:: arguments.every]:
        recipe = Recipe.from_json(line)
        if recipe.technique == "authentic":
            continue
        forgery = rebuild(recipe, {name.file: source(name.file) for name in (recipe.host, recipe.donor)})
        found = detector.inspect(Picture.from_array(forgery.image)).localization_map
        score = pixel_auc(found, forgery.gt_mask)
        for group in ("all", recipe.technique, recipe.domain):
            scores[group].append(score)
    print(f"{platform.processor() or platform.machine()}: python {' '.join(sys.argv)}")
    for group, values in scores.items():
        interval = bootstrap_interval(np.array(values))
        print(
            f"{group:<12} {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]  {len(values)} pictures"
        )


if __name__ == "__main__":
    main()
