"""Recipes of generated pictures."""

import json
from pathlib import Path

import mutations
from core.made_files import scene
from doctored.core.recipe import Recipe
from doctored.data.forged_folder import rebuild_file
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.synth.forge import TECHNIQUES
from doctored.synth.forged_file import FileRecipe, draw_file
from parser import Parser, Reader, text_reader
from targets.pictures import saved

_SIZE_PX = 64


def _photographs(folder: Path) -> list[Photograph]:
    from PIL import Image

    found = []
    for number in range(2):
        path = folder / f"{number}.png"
        path.write_bytes(saved(Image.fromarray(scene(240, 200, seed=number)), "PNG"))
        found.append(Photograph(path, path.name))
    return found


def file_recipes() -> list[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        host, donor = (read_source(photograph) for photograph in _photographs(Path(folder)))
        return [
            draw_file(host, donor, technique, _SIZE_PX, seed).to_json()
            for seed, technique in enumerate([*TECHNIQUES, *TECHNIQUES])
        ]


def _rebuild(folder: Path) -> Reader:
    _photographs(folder)
    path = folder / "recipe.json"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return rebuild_file(path, folder)

    return read


PARSERS = [
    Parser(
        "recipe",
        text_reader(lambda text: Recipe.from_json(text).to_json()),
        lambda: [json.dumps(json.loads(text)["picture"]).encode() for text in file_recipes()],
        mutations.json_values,
    ),
    Parser(
        "file-recipe",
        text_reader(lambda text: FileRecipe.from_json(text).to_json()),
        lambda: [text.encode() for text in file_recipes()],
        mutations.json_values,
    ),
    Parser(
        "rebuilt-recipe",
        _rebuild,
        lambda: [f'{{"recipe": {text}}}'.encode() for text in file_recipes()],
        mutations.json_values,
    ),
]
