"""Where a model does best and worst: picture, truth and map side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from doctored.core.read_image import read_image, read_mask

_TILE_PX, _GAP_PX, _LABEL_PX, _TITLE_PX = 180, 6, 30, 26
_COLUMNS = 2
_INK, _PAPER, _NOTHING = (30, 30, 30), (250, 250, 248), (225, 225, 222)


@dataclass(frozen=True)
class SheetCase:
    """One picture of a sheet.

    Attributes:
        label: Two short lines.
        path: The picture.
        mask: Its mask; None for an authentic picture.
        preview: The reduced map, stretched to its own range.
    """

    label: str
    path: Path
    mask: Path | None
    preview: Path


def contact_sheet(sections: Sequence[tuple[str, Sequence[SheetCase]]]) -> Image.Image:
    """Draw cases in titled sections; each case shows its picture, its mask (grey for an authentic one) and the map.

    Args:
        sections: Title and cases of each; empty ones are left out.
    """
    sections = [(title, cases) for title, cases in sections if cases]
    case_width = 3 * _TILE_PX + 4 * _GAP_PX
    case_height = _TILE_PX + _LABEL_PX + _GAP_PX
    height = sum(_TITLE_PX + -(-len(cases) // _COLUMNS) * case_height for _, cases in sections)
    sheet = Image.new("RGB", (_COLUMNS * case_width, max(height, 1)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(11), ImageFont.load_default(15)
    top = 0
    for title, cases in sections:
        draw.text((_GAP_PX, top + 5), title, _INK, large)
        top += _TITLE_PX
        for number, case in enumerate(cases):
            row, column = divmod(number, _COLUMNS)
            corner = column * case_width + _GAP_PX, top + row * case_height
            for index, tile in enumerate(_tiles(case)):
                sheet.paste(tile, (corner[0] + index * (_TILE_PX + _GAP_PX), corner[1]))
            draw.text((corner[0], corner[1] + _TILE_PX + 1), case.label, _INK, small)
        top += -(-len(cases) // _COLUMNS) * case_height
    return sheet


def _tiles(case: SheetCase) -> list[Image.Image]:
    picture = read_image(case.path)
    tiles = [_fitted(Image.fromarray(picture.pixels))]
    if case.mask is None:
        tiles.append(Image.new("RGB", tiles[0].size, _NOTHING))
    else:
        mask = read_mask(case.mask, picture.size_hw)
        tiles.append(_fitted(Image.fromarray(mask.astype(np.uint8) * 255)))
    with Image.open(case.preview) as preview:
        tiles.append(_fitted(preview.convert("L")))
    return tiles


def _fitted(image: Image.Image) -> Image.Image:
    """The picture within a square tile, at its own proportions."""
    scale = _TILE_PX / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), _PAPER)
    small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    tile.paste(small, ((_TILE_PX - size[0]) // 2, (_TILE_PX - size[1]) // 2))
    return tile
