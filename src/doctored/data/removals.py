"""Removals that take seconds each: made once into files, and then taken from there."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.core.forgery import Forgery, Source
from doctored.core.json_text import parse_json
from doctored.core.recipe import Recipe
from doctored.data.resumable_folder import write_file
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.histories import smallest_side_px

_SEED = 33  # removals made ahead are the same for every run


class MadeRemovals(Sequence[Forgery]):
    """Forgeries by position, mapped from the files that `prepared_removals` wrote.

    Raises:
        DataError: The folder holds none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.asked: Any = parse_json((folder / "asked.json").read_text(encoding="utf-8"))
            lines = (folder / "recipes.jsonl").read_text(encoding="utf-8").splitlines()
            self._images = np.load(folder / "images.npy", mmap_mode="r")
            self._masks = np.load(folder / "masks.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no removals ({error}); prepare them first") from error
        self._recipes = [Recipe.from_json(line) for line in lines]

    def __len__(self) -> int:
        return len(self._recipes)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        return Forgery(
            image=self._images[position].copy(),
            gt_mask=self._masks[position].copy(),
            source_mask=None,
            technique="removal",
            recipe=self._recipes[position],
        )

    def __reduce__(self) -> tuple[type["MadeRemovals"], tuple[Path]]:
        return MadeRemovals, (self.folder,)


def prepared_removals(
    photographs: Sequence[Source], folder: Path, size_px: int, count: int = 300
) -> MadeRemovals:
    """The removals in a folder if they were made from these photographs in this size, else new ones.

    Args:
        photographs: To remove something from.
        folder: Made if needed.
        size_px: Side of the square pictures.
        count: How many to make; each takes up to a second or two.

    Raises:
        DataError: No photograph is large enough.
    """
    fitting = [source for source in photographs if min(source.size_hw) >= smallest_side_px(size_px)]
    if not fitting:
        raise DataError(f"none of the {len(photographs)} photographs is large enough for {size_px} px")
    asked = {"size_px": size_px, "count": count, "sha256": [source.sha256 for source in fitting]}
    try:
        made = MadeRemovals(folder)
        if made.asked == asked:
            return made
    except DataError:
        pass  # nothing there, or of no use: they are made below
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked.json").unlink(missing_ok=True)
    forgeries = [_removal(fitting, size_px, number) for number in range(count)]
    # Replaced at once, since another process may have them mapped, or be making the same.
    write_file(folder / "images.npy", _npy(np.stack([forgery.image for forgery in forgeries])))
    write_file(folder / "masks.npy", _npy(np.stack([forgery.gt_mask for forgery in forgeries])))
    recipes = "".join(forgery.recipe.to_json() + "\n" for forgery in forgeries)
    write_file(folder / "recipes.jsonl", recipes.encode())
    # Written last: with it, the rest is complete.
    write_file(folder / "asked.json", json.dumps(asked).encode())
    return MadeRemovals(folder)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _removal(photographs: Sequence[Source], size_px: int, number: int) -> Forgery:
    rng = np.random.default_rng((_SEED, number))
    host = photographs[int(rng.integers(len(photographs)))]
    recipe = draw_recipe(host, host, "removal", size_px, int(rng.integers(2**53)), wide_inpainting=True)
    return make_forgery(recipe, host, host)
