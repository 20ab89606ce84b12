"""Boxes around the areas of a mask."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from doctored.data.list_files import Box


@dataclass(frozen=True)
class BoxRule:
    """Which outer contours of a mask get a box.

    Attributes:
        keep: "all"; "longest", the one with the most boundary points; or "largest", the one that encloses most.
        more_boundary_points_than: With "all": shorter contours get none; where none is longer, the longest gets one.
    """

    keep: Literal["all", "longest", "largest"] = "all"
    more_boundary_points_than: int = 0


EVERY_CONTOUR = BoxRule()


def boxes_from_mask(mask: NDArray[np.bool_], rule: BoxRule = EVERY_CONTOUR) -> tuple[Box, ...]:
    """Boxes around connected areas; pixels that touch at a corner belong together, islands in a hole are passed over.

    Args:
        mask: (H, W) bool.
        rule: Which areas count. Boundary points are all pixels along a contour, not only its corners.

    Returns:
        Left, top, right and bottom, right and bottom just outside; from top to bottom, then from left to right.
        Nothing for an empty mask.
    """
    import cv2

    contours = outer_contours(mask)
    if not contours:
        return ()
    if rule.keep == "largest":
        contours = [max(contours, key=cv2.contourArea)]
    elif rule.keep == "longest":
        contours = [max(contours, key=len)]
    elif rule.more_boundary_points_than:
        long = [contour for contour in contours if len(contour) > rule.more_boundary_points_than]
        contours = long or [max(contours, key=len)]
    boxes = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        boxes.append((left, top, left + width, top + height))
    return tuple(sorted(boxes, key=lambda box: (box[1], box[0])))


def outer_contours(mask: NDArray[np.bool_]) -> list[NDArray[np.int32]]:
    """The outer contours of a mask as OpenCV finds them, every boundary pixel a point."""
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return list(found)
