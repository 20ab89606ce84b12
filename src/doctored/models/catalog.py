"""Every model that can be named, and how to build it; importing this loads no network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.settings import ManTraNetSettings

NetworkSettings = ManTraNetSettings | ConstrainedRCNNSettings
"""The shape of a network."""


@dataclass(frozen=True)
class CatalogEntry:
    """One model, or several together.

    Attributes:
        kind: "network" if it has weights; "search" if it looks for one thing and has none; "yardstick" if it is a plain
            function that every network should beat; "combination" of several.
        description: One sentence for `doctored models`.
        techniques: The manipulations that it tells apart; empty if it only says manipulated or authentic.
        build: For a network, from its settings as a dict to the PyTorch module; for a yardstick, from an empty
            dict to the function from pixels (H, W, 3) uint8 to a localization map (H, W) float32; for a search, to the
            function from pixels to what it found. A combination is not built, its members are: that raises ConfigError.
        settings: For a network, the class of its settings; else None.
    """

    kind: Literal["network", "search", "yardstick", "combination"]
    description: str
    techniques: tuple[str, ...]
    build: Callable[[Mapping[str, Any]], Any]
    settings: type[NetworkSettings] | None = None

    @property
    def is_code_alone(self) -> bool:
        """Whether it needs no files, so that it can be run wherever the package is."""
        return self.kind in ("search", "yardstick")


def _mantranet(settings: Mapping[str, Any]) -> Any:
    from doctored.models.mantranet.mantranet import ManTraNet

    return ManTraNet(ManTraNetSettings(**settings))


def _constrained_rcnn(settings: Mapping[str, Any]) -> Any:
    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN

    return ConstrainedRCNN(ConstrainedRCNNSettings(**settings))


def _combination(_: Mapping[str, Any]) -> Any:
    raise ConfigError(f"{COMBINATION} is no single network; name one of those that it combines")


def _centre(_: Mapping[str, Any]) -> Any:
    from doctored.models.yardsticks import centre

    return centre


def _sharpness(_: Mapping[str, Any]) -> Any:
    from doctored.models.yardsticks import sharpness

    return sharpness


def _ela(_: Mapping[str, Any]) -> Any:
    from doctored.models.yardsticks import ela

    return ela


def _noise(_: Mapping[str, Any]) -> Any:
    from doctored.models.yardsticks import noise

    return noise


def _copy_search(_: Mapping[str, Any]) -> Any:
    from doctored.models.copy_search import find_copies

    return find_copies


def _grid_search(_: Mapping[str, Any]) -> Any:
    from doctored.models.grid_search import find_foreign_grids

    return find_foreign_grids


COMBINATION = "both"
"""Name of the combination that comes with the package."""

COPY_SEARCH = "copy-search"

GRID_SEARCH = "grid-search"

CATALOG: dict[str, CatalogEntry] = {
    COMBINATION: CatalogEntry(
        "combination",
        "ManTra-Net and Constrained R-CNN with both searches, and what follows from all.",
        TECHNIQUES[1:],
        _combination,
    ),
    "mantranet": CatalogEntry(
        "network",
        "ManTra-Net: traces of 385 manipulations, and where they deviate.",
        (),
        _mantranet,
        ManTraNetSettings,
    ),
    "constrained-rcnn": CatalogEntry(
        "network",
        "Constrained R-CNN: manipulated regions, each with a box, a technique and a mask.",
        TECHNIQUES[1:],
        _constrained_rcnn,
        ConstrainedRCNNSettings,
    ),
    COPY_SEARCH: CatalogEntry(
        "search",
        "Places that show the same content, of which one is a copy of the other.",
        ("copy_move",),
        _copy_search,
    ),
    GRID_SEARCH: CatalogEntry(
        "search",
        "Places that were compressed on another JPEG grid than the rest of the picture.",
        (),
        _grid_search,
    ),
    "centre": CatalogEntry("yardstick", "A blob in the middle that never looks at the picture.", (), _centre),
    "sharpness": CatalogEntry("yardstick", "How much fine detail there is.", (), _sharpness),
    "ela": CatalogEntry("yardstick", "How much saving once more as JPEG changes.", (), _ela),
    "noise": CatalogEntry("yardstick", "Where the noise level is not that of the rest.", (), _noise),
}


def is_search(name: str) -> bool:
    """Whether a model looks for one thing alone, so that its map says nothing where it is dark."""
    return name in CATALOG and CATALOG[name].kind == "search"
