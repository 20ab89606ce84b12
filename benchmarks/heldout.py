"""Scores of models on the fixed generated test set, by kind of forgery and by domain.

    python benchmarks/heldout.py PHOTOS --model both --model mantranet --model constrained-rcnn [--every N]
    python benchmarks/heldout.py PHOTOS --write FOLDER       # for `doctored evaluate FOLDER`

Techniques and domains take turns in the recipes, so N may share no factor with the length of a turn: every fifth recipe
would be of three of the fifteen combinations.

PHOTOS is the folder of the development photographs, of which the recipes name those that are never trained on. Pixel
AUC is a mean over the forged pictures; image AUC is of the raw scores, authentic pictures against forged ones. For
models that give regions also the average precision of their boxes at an IoU of 0.5, whatever the technique, without
those on what a copy-move copied; and the technique accuracy: of the true regions that a box overlaps by an IoU of more
than 0.5, the share whose surest such box names the technique.
"""

import argparse
import math
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from doctored.core.forgery import Forgery, Source
from doctored.core.inspection import Inspection, Region
from doctored.core.picture import Picture
from doctored.core.recipe import Recipe
from doctored.data.boxes import boxes_from_mask
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.metrics.boxes import ScoredBox, TrueBox, box_iou, voc_average_precision
from doctored.metrics.image import image_auc
from doctored.metrics.pixel import pixel_auc
from doctored.metrics.resampling import bootstrap_interval
from doctored.predict.detector import Detector, load_panel, load_witness
from doctored.predict.panel import RememberingWitness
from doctored.synth.forge import rebuild

RECIPES = Path(__file__).parents[1] / "tests" / "recipes" / "heldout-v1.jsonl"
FOUND_IOU = 0.5
ON_SOURCE = 0.5  # of a box's area


@dataclass
class Scores:
    """What one model made of the test set."""

    pixel_auc: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    raw_scores: list[float] = field(default_factory=list)
    forged: list[bool] = field(default_factory=list)
    found: list[ScoredBox] = field(default_factory=list)
    true: list[TrueBox] = field(default_factory=list)
    named_right: list[bool] = field(default_factory=list)

    def add(self, forgery: Forgery, inspection: Inspection) -> None:
        recipe, picture = forgery.recipe, str(len(self.forged))
        self.raw_scores.append(inspection.model.raw_score)
        self.forged.append(forgery.technique != "authentic")
        true = boxes_from_mask(forgery.gt_mask) if self.forged[-1] else ()
        sources = () if forgery.source_mask is None else boxes_from_mask(forgery.source_mask)
        if self.forged[-1]:
            score = pixel_auc(inspection.localization_map, forgery.gt_mask)
            for group in ("all", forgery.technique, recipe.domain):
                self.pixel_auc[group].append(score)
        self.true += [TrueBox(picture, box, "") for box in true]
        hits = {box: [one for one in inspection.regions if overlap(one.box_xyxy, box)] for box in true}
        for regions in hits.values():
            if regions:
                surest = max(regions, key=lambda region: region.score)
                self.named_right.append(surest.technique == forgery.technique)
        hitting = {id(region) for regions in hits.values() for region in regions}
        self.found += [
            ScoredBox(picture, region.box_xyxy, "", region.score)
            for region in inspection.regions
            if id(region) in hitting or not any(lies_on(region, source) for source in sources)
        ]

    def show(self) -> None:
        for group, values in self.pixel_auc.items():
            interval = bootstrap_interval(np.array(values))
            bounds = f"[{interval.low:.3f}, {interval.high:.3f}]"
            print(f"  pixel AUC {group:<12} {interval.value:.3f} {bounds}  {len(values)} pictures")
        print(
            f"  image AUC              {image_auc(self.raw_scores, self.forged):.3f}  {len(self.forged)} pictures"
        )
        if self.found:
            precision = voc_average_precision(self.found, self.true, FOUND_IOU).average_precision
            print(f"  box AP                 {precision:.3f}  {len(self.true)} regions")
        if self.named_right:
            right = np.mean(self.named_right)
            print(f"  technique accuracy     {right:.3f}  {len(self.named_right)} regions found")


def overlap(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(box_iou(box, other)[0, 0] > FOUND_IOU)


def lies_on(region: Region, source: tuple[float, ...]) -> bool:
    left, top, right, bottom = region.box_xyxy
    width = max(0, min(right, source[2]) - max(left, source[0]))
    height = max(0, min(bottom, source[3]) - max(top, source[1]))
    return width * height >= ON_SOURCE * (right - left) * (bottom - top)


def write(forgeries: Iterable[Forgery], folder: Path) -> None:
    """Pictures and masks as PNG files, in the folders that an evaluation reads."""
    for part in ("images", "masks", "authentic"):
        (folder / part).mkdir(parents=True)
    for number, forgery in enumerate(forgeries):
        authentic = forgery.technique == "authentic"
        name = f"{number:03d}-{forgery.technique}.png"
        Image.fromarray(forgery.image).save(folder / ("authentic" if authentic else "images") / name)
        if not authentic:
            Image.fromarray(forgery.gt_mask).save(folder / "masks" / name)


def turn_length(recipes: Sequence[Recipe]) -> int:
    """After how many recipes their techniques and domains come again in the same order."""
    kinds = [(recipe.technique, recipe.domain) for recipe in recipes]
    return next(length for length in range(1, len(kinds) + 1) if kinds[length:] == kinds[:-length])


@cache
def witness(name: str) -> RememberingWitness:
    return RememberingWitness(load_witness(name))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of the development photographs")
    parser.add_argument("--model", action="append", help="name, or folder of a run or a model; repeatable")
    parser.add_argument("--every", type=int, default=1, help="take only every so many of the recipes")
    parser.add_argument("--write", type=Path, help="only write the pictures and masks into this new folder")
    arguments = parser.parse_args()
    recipes = [Recipe.from_json(line) for line in RECIPES.read_text(encoding="utf-8").splitlines()]
    length = turn_length(recipes)
    if arguments.every < 1 or math.gcd(arguments.every, length) > 1:
        parser.error(
            f"--every {arguments.every} leaves out kinds of forgeries, which come again after {length} recipes; give a "
            f"number from 1 on that shares no factor with {length}"
        )

    @lru_cache(maxsize=100)
    def source(file: str) -> Source:
        return read_source(Photograph(arguments.photos / file, file))

    def forgeries() -> Iterator[Forgery]:
        for recipe in recipes[:: arguments.every]:
            yield rebuild(recipe, {name.file: source(name.file) for name in (recipe.host, recipe.donor)})

    cv2.setNumThreads(1)
    if arguments.write is not None:
        write(forgeries(), arguments.write)
        return
    detectors = {name: Detector(load_panel(name, witness)) for name in arguments.model or ["both"]}
    scores = {name: Scores() for name in detectors}
    for forgery in forgeries():
        picture = Picture.from_array(forgery.image)
        for name, detector in detectors.items():
            scores[name].add(forgery, detector.inspect(picture))
    print(f"{platform.processor() or platform.machine()}: python {' '.join(sys.argv)}")
    for name, of_model in scores.items():
        print(name)
        of_model.show()


if __name__ == "__main__":
    main()
