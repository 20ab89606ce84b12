"""The generated test set that every later figure refers to: `tests/recipes/heldout-v1.jsonl`."""

import dataclasses
import hashlib
import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.core.forgery import TECHNIQUES, Source
from doctored.core.recipe import Recipe
from doctored.data.photographs import development_split
from doctored.synth.forge import rebuild
from doctored.synth.histories import DOMAIN_SHARES
from synth.scenes import photo

HELD_OUT = Path(__file__).parent / "recipes" / "heldout-v1.jsonl"
SHA256 = "0615fadd417f0d3de2a867541df64605a4f06ddb2b73fef66394a2f098213d15"


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


@pytest.mark.parametrize(
    ("every", "accepted"), [(1, True), (2, True), (7, True), (5, False), (6, False), (0, False)]
)
def test_a_part_of_it_holds_all_kinds_and_domains_alike(
    recipes, every, accepted, tmp_path, monkeypatch, capsys
):
    """Every fifth recipe was taken for a smaller test set, and is of three of the fifteen combinations."""
    heldout = runpy.run_path(str(HELD_OUT.parents[2] / "benchmarks" / "heldout.py"))
    made = []
    monkeypatch.setitem(heldout["main"].__globals__, "read_source", lambda photograph: photograph.file)
    monkeypatch.setitem(heldout["main"].__globals__, "rebuild", lambda recipe, photographs: recipe)
    monkeypatch.setitem(
        heldout["main"].__globals__, "write", lambda forgeries, folder: made.extend(forgeries)
    )
    monkeypatch.setattr(
        sys, "argv", ["heldout.py", "photos", "--every", str(every), "--write", str(tmp_path / "part")]
    )
    if not accepted:
        with pytest.raises(SystemExit, match="2"):
            heldout["main"]()
        assert f"--every {every} leaves out kinds of forgeries" in capsys.readouterr().err
        return
    heldout["main"]()
    assert made == recipes[::every]
    cells = Counter((recipe.technique, recipe.domain) for recipe in made)
    assert len(cells) == len(TECHNIQUES) * len(DOMAIN_SHARES)
    assert max(cells.values()) - min(cells.values()) <= 1


def test_its_photographs_are_never_trained_on(recipes):
    roles = development_split()
    named = {source for recipe in recipes for source in (recipe.host, recipe.donor)}
    assert {roles[source.file] for source in named} == {"test"}
    assert len({source.file for source in named}) == len(named) > 60
    assert all(recipe.host != recipe.donor for recipe in recipes)


def test_its_recipes_still_make_the_choices_that_they_record(recipes):
    """A generator that drew otherwise would refuse them. The real photographs are not here; made ones of the same
    names and hashes take their place, where choices do not depend on what is seen."""
    stands_in = photo(0, (900, 900))
    quick = [recipe for recipe in recipes if not recipe.wide_inpainting and recipe.technique != "enhancement"]
    for recipe in quick[::20]:
        photographs = {
            name.file: Source(name.file, name.sha256, np.roll(stands_in, shift, axis=1))
            for shift, name in enumerate((recipe.host, recipe.donor))
        }
        made = rebuild(recipe, photographs)
        assert made.image.shape == (256, 256, 3)
        assert made.recipe == recipe
        changed = dataclasses.replace(recipe, choices={**recipe.choices, "feather_px": -1.0})
        with pytest.raises(DataError, match="other choices"):
            rebuild(changed, photographs)
