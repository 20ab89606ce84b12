import dataclasses
import json

import pytest

from doctored.core.errors import DataError
from doctored.core.recipe import GENERATOR_VERSION, Recipe, SourceName

RECIPE = Recipe(
    technique="splicing",
    size_px=64,
    seed=7,
    host=SourceName("a/host.jpg", "0" * 64),
    donor=SourceName("b/donor.png", "1" * 64),
    history={"domain": "web", "after": [{"step": "save", "quality": 80}]},
    outline_xy=[[[1, 2], [3, 4], [5, 0]]],
)


def test_a_recipe_is_one_line_of_json_and_comes_back():
    text = RECIPE.to_json()
    assert "\n" not in text
    assert Recipe.from_json(text) == RECIPE
    assert json.loads(text)["generator"] == GENERATOR_VERSION
    assert RECIPE.domain == "web"
    free = dataclasses.replace(RECIPE, outline_xy=None, choices={"feather_px": 1.5})
    assert Recipe.from_json(free.to_json()) == free


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"host": 3, "donor": 4}', RECIPE.to_json()[:-1] + ',"new":1}']
)
def test_other_json_is_no_recipe(text):
    with pytest.raises(DataError, match="this is no recipe"):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"size_px": "64"},
        {"seed": None},
        {"technique": ["splicing"]},
        {"history": []},
        {"host": {"file": 3, "sha256": ""}},
    ],
)
def test_values_of_another_type_are_no_recipe(changes):
    """They came through, and whatever used them first failed with a TypeError."""
    document = json.loads(RECIPE.to_json()) | changes
    with pytest.raises(DataError, match="this is no recipe"):
        Recipe.from_json(json.dumps(document))


def test_json_nested_deeply_is_no_recipe():
    with pytest.raises(DataError, match="nested too deeply"):
        Recipe.from_json("[" * 100_000)
