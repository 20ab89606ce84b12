"""Forgeries as files: what somebody would have been sent, down to the bytes.

Samples for training are cut out after their last save, at any phase of the JPEG grid. A file cannot be: it is
cropped first and then saved, so its own grid starts in its corner, as in every real one.
"""

import io
import json
from dataclasses import asdict, dataclass, replace

from PIL import Image

from doctored.core.errors import DataError
from doctored.core.forgery import Forgery, Source
from doctored.core.json_text import parse_json
from doctored.core.recipe import Recipe
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.histories import Domain, History
from doctored.synth.steps import Save, encode

_SUFFIXES = {"jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True)
class FileRecipe:
    """How a file is made: a picture, and the save that writes it.

    Attributes:
        picture: Of the picture before its last save.
        save: That save; None writes a lossless PNG.
    """

    picture: Recipe
    save: Save | None

    @property
    def suffix(self) -> str:
        """The file's ending: ".jpg", ".webp" or ".png"."""
        return ".png" if self.save is None else _SUFFIXES[self.save.format]

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives the same recipe back."""
        save = None if self.save is None else asdict(self.save)
        return json.dumps(
            {"picture": json.loads(self.picture.to_json()), "save": save},
            separators=(",", ":"),
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "FileRecipe":
        """Read what `to_json` wrote.

        Raises:
            DataError: The text is no recipe of a file.
        """
        try:
            values = parse_json(text)
            picture, save = json.dumps(values["picture"]), values["save"]
            save = None if save is None else Save(**save)
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"this is no recipe of a file ({error!r}); expected a JSON object with picture and save"
            ) from error
        return cls(Recipe.from_json(picture), save)


@dataclass(frozen=True, eq=False)
class ForgedFile:
    """A file and the truth about it.

    Attributes:
        data: The bytes.
        forgery: The picture before its last save, of the same size, with its masks.
        recipe: From which the same bytes are made again.
    """

    data: bytes
    forgery: Forgery
    recipe: FileRecipe


def draw_file(
    host: Source, donor: Source, technique: str, size_px: int, seed: int, domain: Domain | None = None
) -> FileRecipe:
    """Draw how a file is to be made; the arguments and errors are those of `draw_recipe`."""
    recipe = draw_recipe(host, donor, technique, size_px, seed, domain)
    history = History.from_recipe(recipe.history)
    last = history.after[-1] if history.after else None
    save = last if isinstance(last, Save) else None
    steps = history.after if save is None else history.after[:-1]
    unsaved = replace(history, after=steps, crop_yx=(0, 0))
    return FileRecipe(replace(recipe, history=unsaved.to_recipe()), save)


def make_file(recipe: FileRecipe, host: Source, donor: Source) -> ForgedFile:
    """Make the file of a recipe; the arguments and errors are those of `make_forgery`."""
    forgery = make_forgery(recipe.picture, host, donor)
    if recipe.save is not None:
        data = encode(forgery.image, recipe.save)
    else:
        file = io.BytesIO()
        Image.fromarray(forgery.image).save(file, "PNG")
        data = file.getvalue()
    return ForgedFile(data, forgery, replace(recipe, picture=forgery.recipe))
