"""One picture of a data set, with the truth about it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ShapeError

MANIPULATED = "manipulated"
"""The technique of a manipulated picture whose set does not say more."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture of a data set.

    Attributes:
        image: (H, W, 3) uint8, RGB, as `read_image` gives it.
        gt_mask: (H, W) bool, True where manipulated; all False for an authentic picture; None where the set gives
            boxes only.
        ignore_mask: (H, W) bool, True where pixels count as neither; None where the set has none.
        boxes_xyxy: (N, 4) int64: left, top, right, bottom in pixels, right and bottom just outside; one for each
            manipulated area.
        technique: "authentic", "splicing", "copy_move", "removal", "enhancement", or "manipulated" where the set
            does not say.
        name: Of the picture, unique in its set among the manipulated and among the authentic ones.

    Raises:
        ShapeError: A mask is not of the picture's size, or the boxes are not (N, 4).
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.bool_] | None
    ignore_mask: NDArray[np.bool_] | None
    boxes_xyxy: NDArray[np.int64]
    technique: str
    name: str

    def __post_init__(self) -> None:
        for what, mask in (("gt_mask", self.gt_mask), ("ignore_mask", self.ignore_mask)):
            if mask is not None and mask.shape != self.image.shape[:2]:
                raise ShapeError(
                    f"{what} of {self.name} is {mask.shape} but its picture is {self.image.shape[:2]}; "
                    "pair it with the picture it was drawn for"
                )
        if self.boxes_xyxy.ndim != 2 or self.boxes_xyxy.shape[1] != 4:
            raise ShapeError(f"boxes_xyxy of {self.name} must be (N, 4), got {self.boxes_xyxy.shape}")
