"""From two photographs to a forgery, by way of a recipe.

A picture is made in four stages, in the order in which real forgeries come about: a canvas from the host
photograph, the forgery on it, the saves and resizes that follow, and a crop at any phase of the JPEG grid.
Authentic pictures go through the same but for the second stage.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.forgery import TECHNIQUES, Forgery, Outline, Source
from doctored.core.recipe import GENERATOR_VERSION, Recipe, SourceName
from doctored.synth.composite import AREA_RANGE, OVERHANG, Composite, Scene, draw_area
from doctored.synth.copy_move import COPY_MOVE_MAX_AREA, copy_move
from doctored.synth.enhancement import enhance
from doctored.synth.histories import Domain, History, draw_history, origin_around, render
from doctored.synth.masks import outline_area_px, outline_extent_px
from doctored.synth.removal import remove
from doctored.synth.splicing import splice
from doctored.synth.steps import follow

_OBJECT_SHARE = 0.7
_DONOR_SCALES = (0.15, 1.1)
# An object may be longer than the picture, but most of it should be seen.
_LARGEST_EXTENT = 1.2
# A region that comes out as it was is authentic, whatever was done to it: below this mean change in grey levels, the
# forgery is drawn again. Flat sky offers nothing else, so that after a few tries it is taken as it is.
_LEAST_CHANGE = 0.5
_TRIES = 8


def authentic(scene: Scene, rng: np.random.Generator) -> Composite:
    """Leave the canvas as it is."""
    return Composite(scene.canvas, np.zeros(scene.canvas.shape[:2], bool))


COMPOSERS: dict[str, Callable[[Scene, np.random.Generator], Composite]] = {
    "authentic": authentic,
    "splicing": splice,
    "copy_move": copy_move,
    "removal": remove,
    "enhancement": enhance,
}
"""What is done to the canvas, by technique."""


def draw_recipe(
    host: Source,
    donor: Source,
    technique: str,
    size_px: int,
    seed: int,
    domain: Domain | None = None,
    wide_inpainting: bool = False,
) -> Recipe:
    """Draw how a picture is to be made: its history, and the object that is cut out if there is one.

    Args:
        host: The photograph that is forged.
        donor: Another one, that foreign content comes from.
        technique: One of `TECHNIQUES`.
        size_px: Side of the square picture.
        seed: Source of every choice; the same seed and photographs make the same picture.
        domain: "web", "lossless" or "chain"; None draws one by its share.
        wide_inpainting: Let a removal inpaint with a radius that takes seconds.

    Returns:
        A recipe without choices, for `make_forgery`.

    Raises:
        ConfigError: There is no such technique.
        ShapeError: A photograph is too small for a picture of this size.
    """
    if technique not in TECHNIQUES:
        raise ConfigError(f"a forgery is one of {', '.join(TECHNIQUES)}; got {technique!r}")
    rng = np.random.default_rng((seed, 0))
    history = draw_history(rng, host, donor, size_px, domain)
    outline = None
    # Drawn for every technique: what a picture becomes must not change what else happens to it.
    if rng.random() < _OBJECT_SHARE:
        if technique == "splicing":
            outline, history = _donor_object(history, donor, rng)
        elif technique in ("copy_move", "removal", "enhancement"):
            outline = _host_object(history, host, technique, rng)
    return Recipe(
        technique=technique,
        size_px=size_px,
        seed=seed,
        host=SourceName(host.file, host.sha256),
        donor=SourceName(donor.file, donor.sha256),
        history=history.to_recipe(),
        outline_xy=None if outline is None else [ring.tolist() for ring in outline],
        wide_inpainting=wide_inpainting,
    )


def make_forgery(recipe: Recipe, host: Source, donor: Source) -> Forgery:
    """Make the picture of a recipe.

    Args:
        recipe: Of this version of the generator.
        host: The photograph that the recipe names as host.
        donor: The photograph that the recipe names as donor.

    Returns:
        The picture; its recipe also tells the choices made.

    Raises:
        DataError: A photograph is not the one that the recipe was drawn for, the recipe is of another version,
            or it records choices other than those made now.
    """
    _check(recipe, host, donor)
    rng = np.random.default_rng((recipe.seed, 1))
    history = History.from_recipe(recipe.history)
    composite = _compose(recipe.technique, _scene(recipe, history, host, donor), rng)
    if recipe.choices and recipe.choices != composite.choices:
        raise DataError(
            f"the recipe of {recipe.host.file} records other choices than its seed gives; "
            "it was edited, or made with other versions of the libraries"
        )
    masks = (
        [composite.gt_mask] if composite.source_mask is None else [composite.gt_mask, composite.source_mask]
    )
    image, masks = follow(composite.image, masks, history.after)
    top, left = history.crop_yx
    crop = slice(top, top + recipe.size_px), slice(left, left + recipe.size_px)
    masks = [mask[crop].copy() for mask in masks]
    return Forgery(
        image=image[crop].copy(),
        gt_mask=masks[0],
        source_mask=masks[1] & ~masks[0] if len(masks) == 2 else None,
        technique=recipe.technique,
        recipe=replace(recipe, choices=composite.choices),
    )


def rebuild(recipe: Recipe, photographs: Mapping[str, Source]) -> Forgery:
    """Make the picture of a recipe again, byte by byte.

    Args:
        recipe: As a `Forgery` carries it, or as `draw_recipe` gave it.
        photographs: By file name; objects are not needed.

    Raises:
        DataError: A photograph is missing or has another hash, or the recipe is of another version of the
            generator.
    """
    missing = sorted({recipe.host.file, recipe.donor.file} - photographs.keys())
    if missing:
        raise DataError(
            f"the recipe needs {' and '.join(missing)}; add the photographs that it was drawn from"
        )
    with edited_recipes_refused(recipe):
        return make_forgery(recipe, photographs[recipe.host.file], photographs[recipe.donor.file])


@contextmanager
def edited_recipes_refused(recipe: Recipe) -> Iterator[None]:
    """Whatever a recipe does that none of ours would, its steps may fail in any way.

    Raises:
        DataError: They did.
    """
    try:
        yield
    except DoctoredError:
        raise
    except Exception as error:
        raise DataError(
            f"the recipe of {recipe.host.file} cannot be followed ({error!r}); it was edited or is damaged"
        ) from error


def _check(recipe: Recipe, host: Source, donor: Source) -> None:
    if recipe.generator != GENERATOR_VERSION:
        raise DataError(
            f"the recipe is of generator version {recipe.generator!r}, this is version {GENERATOR_VERSION}; "
            "install the release that wrote it"
        )
    for role, name, source in (("host", recipe.host, host), ("donor", recipe.donor, donor)):
        if name.sha256 != source.sha256:
            raise DataError(
                f"the {role} of the recipe is {name.file} with SHA-256 {name.sha256[:12]}..., but got {source.file} "
                f"with {source.sha256[:12]}...; give the file that the recipe was drawn from"
            )


def _compose(technique: str, scene: Scene, rng: np.random.Generator) -> Composite:
    compose = COMPOSERS[technique]
    if technique == "authentic":
        return compose(scene, rng)
    for _ in range(_TRIES):
        composite = compose(scene, rng)
        inside = composite.gt_mask
        change = composite.image[inside].astype(np.int16) - scene.canvas[inside]
        if np.abs(change).mean() >= _LEAST_CHANGE:
            break
    return composite


def _scene(recipe: Recipe, history: History, host: Source, donor: Source) -> Scene:
    outline = None
    if recipe.outline_xy is not None:
        cut_from = history.donor if recipe.technique == "splicing" else history.host
        outline = cut_from.on_canvas(tuple(np.array(ring, np.int32) for ring in recipe.outline_xy))
    return Scene(
        canvas=render(host.pixels, history.host),
        # Only splices need the donor, and rendering it takes as long as rendering the host.
        donor=render(donor.pixels, history.donor) if recipe.technique == "splicing" else host.pixels[:1, :1],
        window=history.window,
        domain=history.domain,
        outline=outline,
        wide_inpainting=recipe.wide_inpainting,
    )


def _donor_object(
    history: History, donor: Source, rng: np.random.Generator
) -> tuple[Outline | None, History]:
    """An object of the donor that can be given the size the domain asks for, and the donor rendered around it."""
    window = history.window
    low, high = AREA_RANGE[history.domain]
    if history.domain == "lossless":
        fitting = [
            (outline, 1.0)
            for outline in donor.objects
            if low <= outline_area_px(outline) / window.area_px <= OVERHANG * high
            and outline_extent_px(outline) <= _LARGEST_EXTENT * window.side_px
        ]
    else:
        wanted_px = OVERHANG * draw_area(rng, (low, high)) * window.area_px
        scaled = [
            (outline, float(np.sqrt(wanted_px / outline_area_px(outline)))) for outline in donor.objects
        ]
        fitting = [
            (outline, scale)
            for outline, scale in scaled
            if _DONOR_SCALES[0] <= scale <= _DONOR_SCALES[1]
            and scale * outline_extent_px(outline) <= _LARGEST_EXTENT * window.side_px
        ]
    if not fitting:
        return None, history
    outline, scale = fitting[_pick(len(fitting), rng)]
    return outline, replace(history, donor=origin_around(history.donor, donor.size_hw, outline, scale, rng))


def _host_object(history: History, host: Source, technique: str, rng: np.random.Generator) -> Outline | None:
    """An object of the host of a size that the domain asks for; one that is copied must lie on the canvas."""
    low, high = AREA_RANGE[history.domain]
    if technique == "copy_move":
        low, high = min(low, COPY_MOVE_MAX_AREA), min(high, COPY_MOVE_MAX_AREA)
    # Things smaller than asked for are better than none, but where regions are to be large.
    least = low if history.domain == "lossless" else 0.5 * low
    fitting = []
    for outline in host.objects:
        scaled = history.host.on_canvas(outline)
        share = outline_area_px(scaled) / history.window.area_px
        if not least <= share <= OVERHANG * high or outline_extent_px(scaled) > history.window.side_px:
            continue
        points = np.concatenate(scaled)
        on_canvas = (points >= 0).all() and (points < history.host.canvas_hw[::-1]).all()
        if on_canvas or technique != "copy_move":
            fitting.append(outline)
    return fitting[_pick(len(fitting), rng)] if fitting else None


def _pick(count: int, rng: np.random.Generator) -> int:
    """A position that is more often among the first: the clearest objects come first."""
    return int(rng.integers(count, size=2).min())
