"""The scale at which the network sees a picture."""

from dataclasses import dataclass

from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings


@dataclass(frozen=True)
class Scaling:
    """How the network's copy of a picture relates to it.

    Attributes:
        factor: Pixels of the copy for one of the picture.
        picture_hw: Size of the picture.
        network_hw: Size of the copy.
    """

    factor: float
    picture_hw: tuple[int, int]
    network_hw: tuple[int, int]


def scaling_for(size_hw: tuple[int, int], settings: ConstrainedRCNNSettings) -> Scaling:
    """By how much a picture is resized: to the short side, unless the long side would become too long."""
    if settings.short_side_px is None or settings.long_side_px is None:
        return Scaling(1.0, size_hw, size_hw)
    factor = settings.short_side_px / min(size_hw)
    if round(factor * max(size_hw)) > settings.long_side_px:
        factor = settings.long_side_px / max(size_hw)
    height, width = (max(1, round(factor * side)) for side in size_hw)
    return Scaling(factor, size_hw, (height, width))
