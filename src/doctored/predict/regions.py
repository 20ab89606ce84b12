"""Regions of a picture from those of its tiles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.core.inspection import Region
from doctored.models.constrained_rcnn.paste import localization_map, paste_masks, roi_votes
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.predict.tiling import Tile

_SAME_IOU = 0.5
_TOUCHING_PX = 16
"""A cell of the network's maps: boxes are no more exact than that."""

_MASK_THRESHOLD = 0.5

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class TileRegions:
    """What a Constrained R-CNN says of one tile; arrays as in `findings.Regions`, in pixels of the tile.

    Attributes:
        boxes_xyxy: (M, 4) float32, surest first.
        scores: (M,) float32.
        labels: (M,) int64.
        masks: (M, 14, 14) float32.
        rois: (R, 4) float32, R at least 1.
        roi_logits: (R,) float32.

    Raises:
        ModelError: A number is not finite.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.float32]
    rois: NDArray[np.float32]
    roi_logits: NDArray[np.float32]

    def __post_init__(self) -> None:
        for array in (self.boxes_xyxy, self.scores, self.masks, self.rois, self.roi_logits):
            if not np.isfinite(array).all():
                raise ModelError("the network's answer holds NaN or infinity; its weights are damaged")


@dataclass(frozen=True, eq=False)
class Piece:
    """A region as one tile shows it.

    Attributes:
        box: Left, top, right, bottom in pixels of the picture.
        score: In [0, 1].
        label: Index into the network's classes.
        mask: (14, 14) float32 over the box.
        seen: What the tile shows of the picture, like the box.
        cut: Whether the box reaches an end of the tile that is not one of the picture.
        reduction: By what the picture was divided for the network.
    """

    box: Box
    score: float
    label: int
    mask: NDArray[np.float32]
    seen: Box
    cut: bool
    reduction: int = 1


Whole = tuple[Piece, ...]
"""The pieces that one region of the picture consists of, surest first."""


def pieces_of(tile: Tile, found: TileRegions, size_hw: tuple[int, int]) -> list[Piece]:
    """The regions of a tile in pixels of the picture."""
    top, left = tile.origin_yx
    height, width = tile.seen_hw
    seen = (float(left), float(top), float(left + width), float(top + height))
    picture: Box = (0, 0, size_hw[1], size_hw[0])
    pieces = []
    for box, score, label, mask in zip(
        found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), found.masks, strict=True
    ):
        moved = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
        cut = any(
            abs(moved[edge] - seen[edge]) < _TOUCHING_PX and seen[edge] != picture[edge] for edge in range(4)
        )
        pieces.append(Piece(moved, score, label, mask, seen, cut))
    return pieces


def enlarged(piece: Piece, factor: int) -> Piece:
    """A piece of a picture from that of the picture divided by a factor."""
    if factor == 1:
        return piece
    box, seen = (_times(corners, factor) for corners in (piece.box, piece.seen))
    return replace(piece, box=box, seen=seen, reduction=factor)


def _times(box: Box, factor: int) -> Box:
    return box[0] * factor, box[1] * factor, box[2] * factor, box[3] * factor


def merge(pieces: Sequence[Piece], most: int) -> list[Whole]:
    """The regions of the picture, surest first, each of them once.

    Two pieces of different tiles, or of the picture at different sizes, show one region if their boxes agree (IoU
    above 0.5) on what both tiles see. That holds for pieces that one tile cuts off and another does not, where the
    boxes themselves hardly overlap. Of pieces that show one region, a whole one counts alone, the surest if there are
    several. Where every tile cuts the region off, it is all of its pieces together. Regions of one tile were told
    apart by the network.

    Args:
        pieces: Of all tiles at all sizes.
        most: Regions to keep.
    """
    ordered = sorted(pieces, key=lambda piece: -piece.score)
    wholes: list[Whole] = []
    left = [piece for piece in ordered if piece.cut]
    for piece in ordered:
        if not piece.cut and not any(_same(piece, kept) for (kept,) in wholes):
            wholes.append((piece,))
            left = [other for other in left if not _same(piece, other)]
    while left:
        group = [left.pop(0)]
        for piece in group:
            beside = [other for other in left if _same(piece, other)]
            left = [other for other in left if other not in beside]
            group += beside
        wholes.append(tuple(sorted(group, key=lambda piece: -piece.score)))
    return sorted(wholes, key=lambda whole: -whole[0].score)[:most]


def _same(piece: Piece, other: Piece) -> bool:
    if (piece.seen, piece.reduction) == (other.seen, other.reduction):
        return False
    shared = _common(piece.seen, other.seen)
    return _iou(_common(piece.box, shared), _common(other.box, shared)) > _SAME_IOU


def _common(box: Box, other: Box) -> Box:
    return max(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), min(box[3], other[3])


def _iou(box: Box, other: Box) -> float:
    common = _area(_common(box, other))
    return common / (_area(box) + _area(other) - common) if common else 0.0


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def as_regions(
    wholes: Sequence[Whole], size_hw: tuple[int, int], settings: ConstrainedRCNNSettings
) -> tuple[Region, ...]:
    """Regions of whole pixels, with masks; one that holds no pixel of the picture is left out.

    Score and technique of a region in several pieces are those of its surest piece, its box surrounds all of them.
    """
    regions = []
    for whole in wholes:
        box = _whole_pixels(np.array([piece.box for piece in whole]), size_hw)
        if box[0] < box[2] and box[1] < box[3]:
            masks, boxes, _ = _arrays(whole)
            moved = boxes - np.array([box[0], box[1], box[0], box[1]], np.float32)
            pasted = paste_masks(masks, moved, (box[3] - box[1], box[2] - box[0]))
            technique = settings.classes[whole[0].label]
            regions.append(Region(box, technique, whole[0].score, pasted >= _MASK_THRESHOLD))
    return tuple(regions)


def map_of(
    wholes: Sequence[Whole], votes: NDArray[np.float32], settings: ConstrainedRCNNSettings
) -> NDArray[np.float32]:
    """The localization map (H, W) of a picture with these regions and votes (H, W), whose memory it takes over."""
    masks, boxes, scores = _arrays([piece for whole in wholes for piece in whole])
    return localization_map(masks, boxes, scores, votes, settings.compat)


def _arrays(
    pieces: Sequence[Piece],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Masks, boxes and scores."""
    return (
        np.array([piece.mask for piece in pieces], np.float32).reshape(len(pieces), 14, 14),
        np.array([piece.box for piece in pieces], np.float32).reshape(-1, 4),
        np.array([piece.score for piece in pieces], np.float32),
    )


def _whole_pixels(boxes: NDArray[np.float64], size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The smallest box of whole pixels in the picture around some boxes (N, 4)."""
    left, top = np.floor(boxes[:, :2].min(axis=0)).clip(0).astype(int).tolist()
    right, bottom = (
        np.ceil(boxes[:, 2:].max(axis=0)).clip(None, (size_hw[1], size_hw[0])).astype(int).tolist()
    )
    return left, top, right, bottom


def count_votes(votes: NDArray[np.float32], found: TileRegions) -> None:
    """Raise the votes (h, w) of what a tile sees to those of its regions of interest, in place.

    Where tiles overlap, each has regions of interest of its own, and the votes of one count.
    """
    height, width = votes.shape
    np.maximum(votes, roi_votes(found.rois, found.roi_logits, (height, width)), out=votes)
