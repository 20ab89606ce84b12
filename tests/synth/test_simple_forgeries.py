import json

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.forgery import TECHNIQUES
from doctored.synth.histories import Save, draw_history, encode
from doctored.synth.simple_forgeries import compose, make_forgery

SIZE_PX = 96
MANIPULATED = TECHNIQUES[1:]
DOMAINS = ("web", "lossless", "chain")


def photo(seed, size_hw=(176, 240)):
    """Structure at three scales, and grain: enough for every operator to bite on."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(
            rng.normal(0, 70 / cells**0.5, (cells, cells, 3)), size_hw[::-1], interpolation=cv2.INTER_CUBIC
        )
        for cells in (4, 16, 64)
    ]
    return np.clip(128 + sum(layers) + rng.normal(0, 3, (*size_hw, 3)), 0, 255).astype(np.uint8)


def history_of(domain, seed=0):
    return draw_history(np.random.default_rng(seed), (176, 240), (176, 240), SIZE_PX, domain)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", TECHNIQUES)
def test_contract_of_a_sample(kind, domain):
    for seed in range(6):
        forgery = make_forgery(photo(0), photo(1), kind, np.random.default_rng(seed), SIZE_PX, domain)
        assert forgery.image.shape == (SIZE_PX, SIZE_PX, 3)
        assert forgery.image.dtype == np.uint8
        assert forgery.image.flags.writeable
        assert forgery.gt_mask.shape == (SIZE_PX, SIZE_PX)
        assert forgery.gt_mask.dtype == bool
        assert forgery.technique == kind
        assert forgery.gt_mask.any() == (kind != "authentic")
        assert forgery.gt_mask.mean() < 0.55
        assert (forgery.source_mask is not None) == (kind == "copy_move")
        if forgery.source_mask is not None:
            assert not (forgery.source_mask & forgery.gt_mask).any()
        assert json.loads(json.dumps(forgery.recipe))["technique"] == kind


@pytest.mark.parametrize("kind", TECHNIQUES)
def test_the_same_seed_makes_the_same_bytes(kind):
    first, again, other = (
        make_forgery(photo(0), photo(1), kind, np.random.default_rng(s), SIZE_PX) for s in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.gt_mask, again.gt_mask)
    assert first.recipe == again.recipe
    assert not np.array_equal(first.image, other.image)


def test_the_history_does_not_depend_on_the_kind():
    recipes = [
        make_forgery(photo(0), photo(1), kind, np.random.default_rng(9), SIZE_PX).recipe["history"]
        for kind in TECHNIQUES
    ]
    assert all(recipe == recipes[0] for recipe in recipes)


@pytest.mark.parametrize("kind", MANIPULATED)
def test_before_the_final_history_only_the_mask_and_its_feather_change(kind):
    for seed in range(25):
        history = history_of(DOMAINS[seed % 3], seed)
        side = history.host.canvas_px
        canvas, donor = photo(2)[:side, :side], photo(3)[:side, :side]
        untouched = canvas.copy()
        composite = compose(canvas, donor, kind, history, np.random.default_rng(seed))
        np.testing.assert_array_equal(canvas, untouched)
        changed = (composite.image != canvas).any(axis=2)
        reach = composite.feather_px
        touched = cv2.dilate(
            composite.gt_mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        )
        assert not (changed & (touched == 0)).any()
        if history.domain == "lossless":
            assert reach == 0
        assert changed[composite.gt_mask].mean() > 0.3


def test_an_authentic_canvas_stays_as_it_is():
    history = history_of("web")
    canvas = photo(2)[: history.host.canvas_px, : history.host.canvas_px]
    composite = compose(canvas, canvas, "authentic", history, np.random.default_rng(0))
    np.testing.assert_array_equal(composite.image, canvas)
    assert not composite.gt_mask.any()


def test_a_lossless_splice_is_made_of_the_donors_own_pixels():
    history = history_of("lossless")
    side = history.host.canvas_px
    rows, columns = np.indices((side, side))
    # Blue tells the two apart; red and green say where a pixel of the donor was.
    canvas = np.zeros((side, side, 3), np.uint8)
    donor = np.dstack((rows, columns, np.full_like(rows, 255))).astype(np.uint8)
    for seed in range(10):
        composite = compose(canvas, donor, "splicing", history, np.random.default_rng(seed))
        np.testing.assert_array_equal(composite.image[..., 2] == 255, composite.gt_mask)


def test_a_plain_copy_shows_its_source_pixel_by_pixel():
    history = history_of("lossless")
    side = history.host.canvas_px
    rows, columns = np.indices((side, side))
    canvas = np.dstack((rows, columns, rows ^ columns)).astype(np.uint8)
    plain = 0
    for seed in range(60):
        composite = compose(canvas, canvas, "copy_move", history, np.random.default_rng(seed))
        if composite.recipe["retouches"]:
            continue
        plain += 1
        source_y, source_x = composite.image[composite.gt_mask][:, :2].T.astype(int)
        on_source = composite.source_mask[source_y, source_x] | composite.gt_mask[source_y, source_x]
        # but for what was mirrored in from outside the canvas
        assert on_source.mean() > 0.85
        assert composite.source_mask.sum() <= composite.gt_mask.sum()
    assert 1 <= plain < 0.2 * 60


def test_copy_moves_find_a_source_beside_the_target():
    overlaps = []
    for seed in range(40):
        history = history_of("web", seed)
        side = history.host.canvas_px
        composite = compose(
            photo(4)[:side, :side], photo(5)[:side, :side], "copy_move", history, np.random.default_rng(seed)
        )
        overlaps.append(1 - composite.source_mask.sum() / composite.gt_mask.sum())
    assert np.median(overlaps) < 0.3


@pytest.mark.parametrize("kind", MANIPULATED)
def test_areas_are_those_of_the_domain(kind):
    areas = {
        domain: [
            make_forgery(
                photo(0), photo(1), kind, np.random.default_rng(seed), SIZE_PX, domain
            ).gt_mask.mean()
            for seed in range(40)
        ]
        for domain in ("web", "lossless")
    }
    assert 0.01 < np.median(areas["web"]) < 0.12
    assert np.quantile(areas["lossless"], 0.8) > 1.2 * np.quantile(areas["web"], 0.8)
    assert max(areas["web"]) < 0.27


def test_a_removal_takes_the_colour_around_it():
    history = history_of("web")
    side = history.host.canvas_px
    canvas = np.full((side, side, 3), (200, 120, 40), np.uint8)
    for seed in range(10):
        composite = compose(canvas, canvas, "removal", history, np.random.default_rng(seed))
        filled = composite.image[composite.gt_mask].mean(axis=0)
        np.testing.assert_allclose(filled, (200, 120, 40), atol=2)


def test_wrong_inputs_are_named():
    with pytest.raises(ConfigError, match="got 'erasure'"):
        make_forgery(photo(0), photo(1), "erasure", np.random.default_rng(0), SIZE_PX)
    with pytest.raises(ShapeError, match="the host is 176 x 240"):
        make_forgery(photo(0), photo(1), "splicing", np.random.default_rng(0), 192)


def file_facts(image):
    grey = image.astype(np.float64).mean(axis=2)
    gradient = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    file_bytes = len(encode(image, Save("jpeg", 90)))
    return [file_bytes / grey.size, grey.mean(), grey.std(), gradient]


def test_global_statistics_cannot_tell_forged_from_authentic():
    """Forged samples that differ in their files or their overall look would teach a network just that."""
    rng = np.random.default_rng(7)
    photos = [photo(seed) for seed in range(40)]
    facts, forged = [], []
    for number in range(600):
        host, donor = rng.choice(len(photos), 2, replace=False)
        kind = "authentic" if number % 2 else MANIPULATED[number // 2 % 4]
        facts.append(file_facts(make_forgery(photos[host], photos[donor], kind, rng, SIZE_PX).image))
        forged.append(kind != "authentic")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    auc = cross_val_score(model, np.log(np.array(facts)), forged, cv=5, scoring="roc_auc").mean()
    assert 0.4 < auc < 0.6
