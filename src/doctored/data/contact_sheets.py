"""One photograph through every kind of forgery and every family of manipulations, on one picture."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from doctored.core.errors import ConfigError, DataError
from doctored.core.forgery import TECHNIQUES, Forgery, Source
from doctored.core.imc_classes import ImcClass, families_of, types_of
from doctored.data.forged_folder import one_opencv_thread
from doctored.data.photograph_pool import read_source
from doctored.data.photographs import Photograph
from doctored.data.resumable_folder import write_file
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.histories import DOMAIN_SHARES, smallest_side_px
from doctored.synth.imc385 import MANIPULATIONS, Manipulations, apply_manipulation
from doctored.synth.objects import find_objects

_LARGEST_PX, _SMALLEST_PX = 224, 64
_TILES_PER_ROW = 6
_LABEL_PX, _GAP_PX = 18, 6
_INK, _PAPER = (30, 30, 30), (250, 250, 248)
_OUTLINE_RGB, _SOURCE_RGB = (255, 40, 40), (60, 160, 255)

Tile = tuple[str, NDArray[np.uint8]]


def write_contact_sheet(picture: Path, output: Path, donor: Path | None = None, seed: int = 0) -> None:
    """Write the contact sheet of a photograph as a PNG file.

    Args:
        picture: The photograph.
        output: The file to write.
        donor: What splices take content from; None takes the photograph itself, turned by half.
        seed: Of every choice.

    Raises:
        ImageReadError: A photograph cannot be read.
        ConfigError: A photograph is too small.
        DataError: The file cannot be written.
    """
    host = _with_objects(read_source(Photograph(picture, picture.name)))
    if donor is None:
        other = _with_objects(
            replace(host, file=f"{host.file} turned", pixels=_turned(host.pixels), objects=())
        )
    else:
        other = _with_objects(read_source(Photograph(donor, donor.name)))
    file = io.BytesIO()
    with one_opencv_thread():
        contact_sheet(host, other, seed).save(file, "PNG")
    try:
        write_file(output, file.getvalue())
    except OSError as error:
        raise DataError(f"{output} cannot be written ({error}); choose another file") from error


def contact_sheet(
    host: Source, donor: Source, seed: int = 0, manipulations: Manipulations = MANIPULATIONS
) -> Image.Image:
    """Draw a contact sheet: a row for every kind of forgery, then one for every family of manipulations.

    Forgeries come in each of the three domains, beside the same picture with the truth drawn in: the forged region
    in red, the source of a copy-move in blue. Manipulations are shown on the middle of the photograph at its own
    resolution: of every type one strength, or more of them as long as there is room.

    Args:
        host: The photograph.
        donor: What splices take content from.
        seed: Of every choice.
        manipulations: What families there are.

    Raises:
        ConfigError: A photograph is too small.
    """
    side = min(*host.size_hw, *donor.size_hw)
    tile_px = next(
        (size for size in range(_LARGEST_PX, _SMALLEST_PX - 1, -16) if smallest_side_px(size) <= side), None
    )
    if tile_px is None:
        raise ConfigError(
            f"a contact sheet needs photographs of at least {smallest_side_px(_SMALLEST_PX)} px on both sides; "
            f"the smallest has {side}"
        )
    rows = [(kind, _forgery_tiles(host, donor, kind, seed, tile_px)) for kind in TECHNIQUES]
    patch = _middle(host.pixels, tile_px)
    for family in families_of(manipulations.classes):
        tiles: list[Tile] = []
        for c in _examples([c for c in manipulations.classes if c.family == family]):
            rng = np.random.default_rng(seed)
            shown = apply_manipulation(patch, c, rng, manipulations=manipulations)
            tiles.append((c.label, shown.astype(np.uint8)))
        rows.append((family, tiles))
    return _drawn(rows, tile_px)


def _forgery_tiles(host: Source, donor: Source, kind: str, seed: int, tile_px: int) -> list[Tile]:
    tiles: list[Tile] = []
    for domain in DOMAIN_SHARES:
        forgery = make_forgery(draw_recipe(host, donor, kind, tile_px, seed, domain), host, donor)
        tiles += [(domain, forgery.image), (_details(forgery), _with_truth(forgery))]
    return tiles


def _details(forgery: Forgery) -> str:
    choices = forgery.recipe.choices
    return str(choices.get("manipulation") or choices.get("fill") or choices.get("shape") or "untouched")


def _with_truth(forgery: Forgery) -> NDArray[np.uint8]:
    shown = forgery.image // 2 + 64
    for mask, colour in ((forgery.source_mask, _SOURCE_RGB), (forgery.gt_mask, _OUTLINE_RGB)):
        if mask is not None:
            shown[mask] = forgery.image[mask]
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(shown, outlines, -1, colour, 2)
    return shown


def _examples(classes: Sequence[ImcClass]) -> list[ImcClass]:
    """Up to a row of classes of a family: as many strengths of every type as fit, spread over their range."""
    types = types_of(classes)
    each = max(1, _TILES_PER_ROW // len(types))
    chosen: list[ImcClass] = []
    for imc_type in types:
        strengths = sorted(
            (c for c in classes if c.type == imc_type), key=lambda c: str(c.parameter).zfill(9)
        )
        positions = np.linspace(0, len(strengths) - 1, min(each, len(strengths)) + 2)[1:-1]
        chosen += [strengths[round(position)] for position in positions]
    return chosen


def _middle(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    top, left = ((side - size_px) // 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + size_px, left : left + size_px])


def _drawn(rows: Sequence[tuple[str, Sequence[Tile]]], tile_px: int) -> Image.Image:
    font, title = ImageFont.load_default(12), ImageFont.load_default(15)
    margin_px = 110
    columns = max(len(tiles) for _, tiles in rows)
    row_px = tile_px + _LABEL_PX + _GAP_PX
    size_wh = (margin_px + columns * (tile_px + _GAP_PX) + _GAP_PX, len(rows) * row_px + _GAP_PX)
    sheet = Image.new("RGB", size_wh, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (name, tiles) in enumerate(rows):
        top = _GAP_PX + row * row_px
        draw.text((_GAP_PX, top), name, _INK, title)
        for column, (label, tile) in enumerate(tiles):
            left = margin_px + column * (tile_px + _GAP_PX)
            sheet.paste(Image.fromarray(tile), (left, top))
            draw.text((left, top + tile_px + 2), label, _INK, font)
    return sheet


def _with_objects(source: Source) -> Source:
    return replace(source, objects=find_objects(source.pixels))


def _turned(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[::-1, ::-1])
