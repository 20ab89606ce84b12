"""How a generated picture was made, complete enough to make it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from doctored.core.errors import DataError
from doctored.core.json_text import parse_json

GENERATOR_VERSION = 1
"""Raised whenever an old recipe would no longer give the same bytes; drawing other recipes needs no new number."""


@dataclass(frozen=True)
class SourceName:
    """A photograph as a recipe names it.

    Attributes:
        file: Name relative to the folder of photographs.
        sha256: Hash of the file's bytes, in hex.
    """

    file: str
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a generated picture, in JSON's types.

    Attributes:
        technique: "authentic", "splicing", "copy_move", "removal" or "enhancement".
        size_px: Side of the square picture.
        seed: Of the choices made while forging.
        host: The photograph that is forged.
        donor: The photograph that foreign content comes from; drawn for every technique, used by splicing.
        history: What happens to the pictures before and after forging.
        outline_xy: Polygons of the object that is cut out, in pixels of the photograph that it is taken from;
            None for a free shape.
        wide_inpainting: A removal by inpainting with a radius of 10 px or more, which takes seconds.
        choices: What was drawn from the seed while forging; empty until the picture has been made.
        generator: Version of the generator.
    """

    technique: str
    size_px: int
    seed: int
    host: SourceName
    donor: SourceName
    history: dict[str, Any]
    outline_xy: list[list[list[int]]] | None = None
    wide_inpainting: bool = False
    choices: dict[str, Any] = field(default_factory=dict)
    generator: int = GENERATOR_VERSION

    @property
    def domain(self) -> str:
        """The kind of history: "web", "lossless" or "chain"."""
        return str(self.history["domain"])

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives the same recipe back."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            DataError: The text is no recipe.
        """
        try:
            values = parse_json(text)
            values |= {name: SourceName(**values[name]) for name in ("host", "donor")}
            recipe = cls(**values)
            recipe._check_types()
        except (ValueError, TypeError, KeyError) as error:
            names = ", ".join(entry.name for entry in fields(cls))
            raise DataError(
                f"this is no recipe ({error}); expected a JSON object with {names}, as the generator writes it"
            ) from error
        return recipe

    def _check_types(self) -> None:
        for owner, names, kind in (
            (self, ("technique",), str),
            (self.host, ("file", "sha256"), str),
            (self.donor, ("file", "sha256"), str),
            (self, ("size_px", "seed"), int),
            (self, ("history", "choices"), dict),
        ):
            for name in names:
                value = getattr(owner, name)
                if not isinstance(value, kind):
                    raise TypeError(f"{name} is {value!r:.80}")
