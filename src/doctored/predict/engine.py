"""What the networks must be able to do on one tile so that witnesses can run them on a picture of any size."""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.predict.regions import TileRegions

Precision = Literal["int8", "bf16", "fp32"]
"""Arithmetic of the large convolutions; all else is float32 in every precision."""


class ManTraNetEngine(Protocol):
    """The two passes over one tile. Shapes: H and W are the tile's, C is `settings.adapted_channels`.

    The tile's edges are treated as the picture's: each pass pads there as the network does. Within
    `settings.feature_halo_px` (first pass) or `settings.anomaly_halo_px` (second pass) of an edge that is not
    the picture's, results are therefore wrong, and the caller drops them.

    Attributes:
        settings: Shape of the network.
        precision: What it computes in.
    """

    settings: ManTraNetSettings
    precision: Precision

    def adapted(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        """First pass, (H, W, 3) to (H, W, C); the result may be overwritten by the next call."""
        ...

    def anomaly_logits(
        self, adapted_tile: NDArray[np.float32], mean: NDArray[np.float32], std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Second pass, (H, W, C) to (H, W); the result may be overwritten by the next call.

        Args:
            adapted_tile: Part of the adapted map.
            mean: (C,) over the whole picture.
            std: (C,) population standard deviation over the whole picture, not floored yet.
        """
        ...

    def trace_features(self, image_tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) to (H, W, feature_channels), of norm 1 over the channels, in a new array."""
        ...

    def release_memory(self) -> None:
        """Give back what is held for the next tile; results that were not copied are gone."""
        ...


class ConstrainedRCNNEngine(Protocol):
    """Both stages on one tile, whose edges are treated as the picture's.

    Attributes:
        settings: Shape of the network.
        precision: What it computes in.
    """

    settings: ConstrainedRCNNSettings
    precision: Precision

    def regions(self, image_tile: NDArray[np.uint8]) -> TileRegions:
        """What the network finds in a tile (H, W, 3)."""
        ...

    def release_memory(self) -> None:
        """Give back what is held for the next tile."""
        ...
