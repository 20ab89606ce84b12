"""How tests/recipes/heldout-v1.jsonl was drawn; a new draw needs a new name, since figures refer to the old one.

500 recipes of 256 px from photographs that are never trained on: all kinds and domains alike, a sixth of the
removals inpainted with a wide radius. The recipes hold names, hashes and numbers, no pixels. They also hold the choices
made while forging: a generator that would choose otherwise refuses them.

Run: python benchmarks/make_heldout.py PHOTOS --output tests/recipes/heldout-v2.jsonl
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from doctored.core.forgery import TECHNIQUES
from doctored.core.recipe import Recipe
from doctored.data.photograph_pool import PhotographPool, build_pool
from doctored.data.photographs import development_split, list_photographs, with_role
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.histories import DOMAIN_SHARES, smallest_side_px

SEED = 20_500
COUNT = 500
SIZE_PX = 256


def draw_all(pool: PhotographPool) -> list[Recipe]:
    """Kinds and domains in turn, photographs at random, what is pasted from another camera or collection."""
    cells = [(technique, domain) for technique in TECHNIQUES for domain in DOMAIN_SHARES]
    recipes = []
    for number in range(COUNT):
        rng = np.random.default_rng((SEED, number))
        technique, domain = cells[number % len(cells)]
        host, donor = (pool[int(position)] for position in rng.choice(len(pool), 2, replace=False))
        while donor.group == host.group:
            donor = pool[int(rng.integers(len(pool)))]
        wide = technique == "removal" and bool(rng.random() < 1 / 6)
        seed = int(rng.integers(2**53))
        recipe = draw_recipe(host, donor, technique, SIZE_PX, seed, domain, wide_inpainting=wide)
        recipes.append(make_forgery(recipe, host, donor).recipe)
    return recipes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of the development photographs")
    parser.add_argument("--output", type=Path, required=True, help="file to write; must be new")
    parser.add_argument("--pool", type=Path, help="folder of a prepared pool; made if it is not there")
    arguments = parser.parse_args()
    folder = arguments.pool or Path(tempfile.mkdtemp())
    if not (folder / "index.json").exists():
        photographs = with_role(list_photographs(arguments.photos), development_split(), "test")
        build_pool(photographs, folder, min_side_px=smallest_side_px(SIZE_PX))
    recipes = draw_all(PhotographPool(folder))
    with arguments.output.open("x", encoding="utf-8") as file:
        file.writelines(recipe.to_json() + "\n" for recipe in recipes)


if __name__ == "__main__":
    main()
