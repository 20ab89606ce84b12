import dataclasses
import json

import cv2
import numpy as np
import pytest
import skimage.data
from sklearn.datasets import load_sample_images

from doctored.core.errors import ConfigError, DataError, ShapeError
from doctored.core.forgery import TECHNIQUES, Source
from doctored.core.recipe import Recipe
from doctored.synth.composite import Composite
from doctored.synth.forge import COMPOSERS, draw_recipe, make_forgery, rebuild
from forgery_statistics import coverage_deviation, global_statistics, leak_auc
from synth.scenes import DOMAINS, box, reach, scene, source

SIZE_PX = 96
MANIPULATED = TECHNIQUES[1:]
OBJECTS = (box(40, 50, 70, 75), box(100, 20, 150, 60), box(150, 90, 190, 160))
HOST, DONOR = source(0, objects=OBJECTS), source(1, objects=OBJECTS)


def make(kind, seed, domain=None, host=HOST, donor=DONOR):
    return make_forgery(draw_recipe(host, donor, kind, SIZE_PX, seed, domain), host, donor)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", TECHNIQUES)
def test_contract_of_a_sample(kind, domain):
    for seed in range(6):
        forgery = make(kind, seed, domain)
        assert forgery.image.shape == (SIZE_PX, SIZE_PX, 3)
        assert forgery.image.dtype == np.uint8
        assert forgery.image.flags.writeable
        assert forgery.gt_mask.shape == (SIZE_PX, SIZE_PX)
        assert forgery.gt_mask.dtype == bool
        assert forgery.technique == forgery.recipe.technique == kind
        assert forgery.recipe.domain == domain
        assert forgery.gt_mask.any() == (kind != "authentic")
        assert forgery.gt_mask.mean() < 0.6
        assert (forgery.source_mask is not None) == (kind == "copy_move")
        if forgery.source_mask is not None:
            assert not (forgery.source_mask & forgery.gt_mask).any()


def test_a_region_that_comes_out_as_it_was_is_drawn_again(monkeypatch):
    changes = iter([0, 0, 9, 9])

    def compose(before, rng):
        mask = np.zeros(before.canvas.shape[:2], bool)
        mask[before.window.top : before.window.bottom, before.window.left : before.window.right] = True
        change = next(changes)
        image = np.where(
            before.canvas < 128, before.canvas + np.uint8(change), before.canvas - np.uint8(change)
        )
        return Composite(image.astype(np.uint8), mask, choices={"change": change})

    monkeypatch.setitem(COMPOSERS, "removal", compose)
    assert make("removal", 0).recipe.choices == {"change": 9}
    changes = iter(range(-100, 0))
    monkeypatch.setitem(COMPOSERS, "removal", lambda before, rng: still(before, next(changes)))
    assert make("removal", 0).recipe.choices == {"change": -93}


def still(before, number):
    """A forgery that changes nothing."""
    return Composite(before.canvas, np.ones(before.canvas.shape[:2], bool), choices={"change": number})


@pytest.mark.parametrize("kind", TECHNIQUES)
def test_a_recipe_rebuilds_the_same_bytes_from_its_json(kind):
    # Other objects, or none, must not matter: the recipe says which one was cut out.
    photographs = {origin.file: dataclasses.replace(origin, objects=()) for origin in (HOST, DONOR)}
    for seed in range(12):
        forgery = make(kind, seed)
        again = rebuild(Recipe.from_json(forgery.recipe.to_json()), photographs)
        np.testing.assert_array_equal(forgery.image, again.image)
        np.testing.assert_array_equal(forgery.gt_mask, again.gt_mask)
        assert again.recipe == forgery.recipe
        if kind == "copy_move":
            np.testing.assert_array_equal(forgery.source_mask, again.source_mask)
    assert not np.array_equal(forgery.image, make(kind, 100).image)


def test_a_rebuild_refuses_other_photographs_versions_and_choices():
    recipe = make("splicing", 0).recipe
    photographs = {"photo0.png": HOST, "photo1.png": DONOR}
    with pytest.raises(DataError, match=r"needs photo1\.png"):
        rebuild(recipe, {"photo0.png": HOST})
    other = dataclasses.replace(DONOR, sha256="f" * 64)
    with pytest.raises(DataError, match=r"donor of the recipe is photo1\.png with SHA-256 000000000000"):
        rebuild(recipe, photographs | {"photo1.png": other})
    with pytest.raises(DataError, match="generator version 99"):
        rebuild(dataclasses.replace(recipe, generator=99), photographs)
    edited = dataclasses.replace(recipe, choices=recipe.choices | {"feather_px": 77.0})
    with pytest.raises(DataError, match="other choices"):
        rebuild(edited, photographs)


def test_the_history_does_not_depend_on_the_kind():
    for seed in range(5):
        histories = [draw_recipe(HOST, DONOR, kind, SIZE_PX, seed).history for kind in TECHNIQUES]
        for history in histories:
            # A splice's donor is rendered around its object.
            history.pop("donor")
        assert all(history == histories[0] for history in histories)


@pytest.mark.parametrize("kind", MANIPULATED)
@pytest.mark.parametrize("outline", [None, box(30, 40, 70, 65)])
def test_before_the_final_history_only_the_mask_and_its_feather_change(kind, outline):
    for seed in range(18):
        before = scene(DOMAINS[seed % 3], seed, outline)
        untouched = before.canvas.copy()
        composite = COMPOSERS[kind](before, np.random.default_rng(seed))
        np.testing.assert_array_equal(before.canvas, untouched)
        changed = (composite.image != untouched).any(axis=2)
        assert not (changed & ~reach(composite)).any()
        if before.domain == "lossless":
            assert composite.feather_px == 0
        assert changed[composite.gt_mask].mean() > 0.02  # weak impulse noise changes few pixels
        assert json.loads(json.dumps(composite.choices)) == composite.choices


def test_an_authentic_canvas_stays_as_it_is():
    before = scene()
    composite = COMPOSERS["authentic"](before, np.random.default_rng(0))
    np.testing.assert_array_equal(composite.image, before.canvas)
    assert not composite.gt_mask.any()


def test_an_object_is_cut_out_along_its_outline():
    """A red disc in a grey donor, in the domain that changes no pixel: what is pasted is all red."""
    pixels = np.full((240, 240, 3), 90, np.uint8)
    cv2.circle(pixels, (120, 120), 24, (255, 0, 0), cv2.FILLED)
    (outline,), _ = cv2.findContours(
        (pixels[..., 0] == 255).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    donor = Source("disc.png", "d" * 64, pixels, ((outline[:, 0],),))
    host = Source("host.png", "e" * 64, np.zeros((240, 240, 3), np.uint8))
    shapes = []
    for seed in range(12):
        forgery = make("splicing", seed, "lossless", host, donor)
        shapes.append(forgery.recipe.choices["shape"])
        if shapes[-1] == "object":
            np.testing.assert_array_equal(forgery.image[..., 0] == 255, forgery.gt_mask)
    assert shapes.count("object") >= 5


@pytest.mark.parametrize("kind", MANIPULATED)
def test_areas_are_those_of_the_domain(kind):
    areas = {
        domain: [make(kind, seed, domain).gt_mask.mean() for seed in range(40)]
        for domain in ("web", "lossless")
    }
    assert 0.01 < np.median(areas["web"]) < 0.12
    assert np.quantile(areas["lossless"], 0.8) > 1.2 * np.quantile(areas["web"], 0.8)
    assert max(areas["web"]) < 0.27


def test_wrong_inputs_are_named():
    with pytest.raises(ConfigError, match="got 'erasure'"):
        draw_recipe(HOST, DONOR, "erasure", SIZE_PX, 0)
    with pytest.raises(ShapeError, match="the host is 176 x 240"):
        draw_recipe(HOST, DONOR, "splicing", 192, 0)


def library_photographs():
    """Photographs that come with the test dependencies: where everything is alike, any change shows at once."""
    names = (
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "retina",
        "immunohistochemistry",
        "hubble_deep_field",
    )
    pixels = [getattr(skimage.data, name)() for name in names] + [*skimage.data.stereo_motorcycle()[:2]]
    boxes = [box(left, 40, left + side, 40 + side) for left, side in ((30, 50), (60, 90), (150, 130))]
    pixels += [*load_sample_images().images]
    pixels += [
        np.dstack([getattr(skimage.data, name)()] * 3) for name in ("brick", "grass", "gravel", "camera")
    ]
    return [
        Source(str(number), str(number), np.ascontiguousarray(one), tuple(boxes), group=str(number))
        for number, one in enumerate(pixels)
    ]


def test_neither_global_statistics_nor_places_tell_forged_from_authentic():
    """Forged samples that differ in their files or their overall look would teach a network just that."""
    rng = np.random.default_rng(7)
    photographs = library_photographs()
    forgeries = []
    for number in range(1200):
        host, donor = (photographs[position] for position in rng.choice(len(photographs), 2, replace=False))
        kind = "authentic" if number % 2 else MANIPULATED[number // 2 % 4]
        forgeries.append(make_forgery(draw_recipe(host, donor, kind, 128, number), host, donor))
    forged = np.array([forgery.technique != "authentic" for forgery in forgeries])
    facts = np.array([global_statistics(forgery) for forgery in forgeries])
    assert 0.45 <= leak_auc(facts, forged) <= 0.55
    # A smaller sample than the benchmark's; its own spread comes on top of the tenth that is allowed.
    assert coverage_deviation([forgery.gt_mask for forgery in forgeries if forgery.gt_mask.any()]) < 0.2
