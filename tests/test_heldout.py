"""The generated test set that every later figure refers to: `tests/recipes/heldout-v1.jsonl`."""

import dataclasses
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from doctored.core.forgery import TECHNIQUES, Source
from doctored.core.recipe import Recipe, SourceName
from doctored.data.photographs import development_split
from doctored.synth.forge import rebuild
from doctored.synth.histories import DOMAIN_SHARES
from synth.scenes import photo

HELD_OUT = Path(__file__).parent / "recipes" / "heldout-v1.jsonl"
SHA256 = "e7aa6ba23858b3fea14d117340ccc68307823b0496f8368c8f0248088ba4d5d9"


@pytest.fixture(scope="module")
def recipes():
    return [Recipe.from_json(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]


def test_it_never_changes():
    """Figures measured on it could not be compared any more; other recipes belong into another file."""
    assert hashlib.sha256(HELD_OUT.read_bytes()).hexdigest() == SHA256


def test_it_holds_all_kinds_and_domains_alike(recipes):
    assert len(recipes) == 500
    cells = Counter((recipe.technique, recipe.domain) for recipe in recipes)
    assert cells.keys() == {(technique, domain) for technique in TECHNIQUES for domain in DOMAIN_SHARES}
    assert set(cells.values()) == {33, 34}
    assert len({recipe.seed for recipe in recipes}) == 500
    assert {recipe.size_px for recipe in recipes} == {256}


def test_its_photographs_are_never_trained_on(recipes):
    roles = development_split()
    named = {source for recipe in recipes for source in (recipe.host, recipe.donor)}
    assert {roles[source.file] for source in named} == {"test"}
    assert len({source.file for source in named}) == len(named) > 60
    assert all(recipe.host != recipe.donor for recipe in recipes)


def test_its_recipes_rebuild_the_same_bytes_from_photographs_of_any_content(recipes):
    """The real photographs are not here; made ones of the same names and hashes take their place."""
    stands_in = photo(0, (900, 900))
    for recipe in [recipe for recipe in recipes if not recipe.wide_inpainting][::25]:
        photographs = {
            name.file: Source(name.file, name.sha256, np.roll(stands_in, shift, axis=1))
            for shift, name in enumerate((recipe.host, recipe.donor))
        }
        first = rebuild(recipe, photographs)
        again = rebuild(Recipe.from_json(first.recipe.to_json()), photographs)
        assert first.image.shape == (256, 256, 3)
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.gt_mask, again.gt_mask)
        assert dataclasses.replace(first.recipe, choices={}) == recipe
        assert isinstance(recipe.host, SourceName)
