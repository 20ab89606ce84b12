"""The forgeries that Constrained R-CNN is pre-trained on: objects of COCO pasted into pictures of the same category.

Paper: Yang et al., ICME 2020 (Constrained R-CNN), which follows Zhou et al., CVPR 2018 (learning rich features for
    image manipulation detection).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from doctored.core.errors import DataError, ShapeError

CATEGORIES = ("person", "airplane", "dog", "train", "bed", "refrigerator")
"""The categories that the published lists were made of."""
TRIES_PER_CATEGORY = 2000
SPLITS = ("train", "test")
_BLUR_SHARE = 2 / 3
_BLUR_RADIUS_PX = 1.5


@dataclass(frozen=True)
class Paste:
    """One forgery to make.

    Args:
        split: "train" or "test".
        category: Of the object; the background shows one of the same category.
        object_id: The picture that the object is cut from.
        background_id: The picture that it is pasted into.
        blurred: Whether the whole composite is blurred.
    """

    split: str
    category: str
    object_id: str
    background_id: str
    blurred: bool


@dataclass(frozen=True, eq=False)
class PastedObject:
    """A forgery of this protocol.

    Args:
        image: (H, W, 3) uint8, of the background's size.
        gt_mask: (H, W) bool, the object.
        box_xyxy: Left, top, right and bottom of the object; right and bottom are just outside.
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.bool_]
    box_xyxy: tuple[int, int, int, int]


def draw_pastes(
    pictures_by_category: Mapping[str, Sequence[str]],
    split: Mapping[str, str],
    tries: int = TRIES_PER_CATEGORY,
    seed: int = 0,
) -> list[Paste]:
    """Draw who is pasted into whom.

    Args:
        pictures_by_category: Of each category, the pictures that show it.
        split: "train" or "test" for each picture.
        tries: Pairs to draw per category; one that was drawn before is not made again.
        seed: Of all pairs.

    Returns:
        At most tries per category, in the order of the categories. The sides are drawn by their shares of
        pictures; a category with less than two pictures on a side gives nothing there.

    Raises:
        DataError: One side would stay empty.
    """
    pastes: list[Paste] = []
    test_share = sum(side == "test" for side in split.values()) / max(1, len(split))
    for number, (category, pictures) in enumerate(pictures_by_category.items()):
        rng = np.random.default_rng((seed, number))
        sides = {side: [picture for picture in pictures if split[picture] == side] for side in SPLITS}
        seen = set()
        for _ in range(tries):
            side = SPLITS[int(rng.random() < test_share)]
            blurred = bool(rng.random() < _BLUR_SHARE)
            if len(sides[side]) < 2:
                continue
            pasted, background = rng.choice(len(sides[side]), size=2, replace=False)
            if (side, pasted, background) not in seen:
                seen.add((side, pasted, background))
                pastes.append(Paste(side, category, sides[side][pasted], sides[side][background], blurred))
    for side in SPLITS:
        if not any(paste.split == side for paste in pastes):
            raise DataError(
                f"no pair of {side} pictures shows the same one of {', '.join(pictures_by_category)}; "
                "annotate more pictures, ask for more categories or for more pairs"
            )
    return pastes


def paste_object(
    picture: NDArray[np.uint8],
    object_mask: NDArray[np.bool_],
    background: NDArray[np.uint8],
    blurred: bool,
) -> PastedObject | None:
    """Stretch a picture to the size of another, and paste its object there.

    Args:
        picture: (h, w, 3) uint8, RGB.
        object_mask: (h, w) bool.
        background: (H, W, 3) uint8, RGB.
        blurred: Blur the whole composite, with a Gaussian of radius 1.5 px.

    Returns:
        None if nothing of the object is left, or it fills the whole background.

    Raises:
        ShapeError: The mask is not of the picture's size.

    Differs: the original takes black pixels of the object for background and scales the box separately; here the
        mask is stretched with the picture and the box is the mask's.
    """
    if object_mask.shape != picture.shape[:2]:
        raise ShapeError(f"the object's mask is {object_mask.shape} but its picture is {picture.shape[:2]}")
    size_wh = background.shape[1::-1]
    stretched = np.asarray(Image.fromarray(picture).resize(size_wh, Image.Resampling.BICUBIC))
    mask = cv2.resize(object_mask.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR) >= 0.5
    if not mask.any() or mask.all():
        return None
    image = np.where(mask[:, :, None], stretched, background)
    if blurred:
        image = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS_PX)))
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return PastedObject(image, mask, (left, top, left + width, top + height))
