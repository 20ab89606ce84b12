"""Crops of pictures with masks, by number, for training on data sets and on a user's own forgeries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.core.sample import Sample

_TRIES = 8


class Readable(Protocol):
    """A picture that is read when it is asked for."""

    @property
    def authentic(self) -> bool: ...

    def read(self) -> Sample: ...


class CropsInTurn:
    """Crops of pictures at their own resolution, flipped at random, by number.

    Sample number n of a seed is always the same. Forged and authentic pictures take turns where there are both. A
    crop of a forged picture shows some of the forgery, and not more than half of it is forged if a few tries find
    such a place.

    Args:
        pictures: What to crop; read anew for every crop, so that their number is no matter of memory.
        crop_px: Side of the crops; a shorter side of a picture stays whole.
        seed: Of all samples.
    """

    def __init__(self, pictures: Sequence[Readable], crop_px: int, seed: int) -> None:
        classes = (
            [picture for picture in pictures if not picture.authentic],
            [picture for picture in pictures if picture.authentic],
        )
        self._classes = [members for members in classes if members]
        self._crop_px, self._seed = crop_px, seed

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self._seed, number))
        members = self._classes[number % len(self._classes)]
        whole = members[rng.integers(len(members))].read()
        marked = _marked(whole)
        for _ in range(_TRIES):
            window = self._window(marked, rng)
            if marked[window].mean() <= 0.5:
                break
        return flipped(_cropped(whole, window), rng)

    def _window(self, marked: NDArray[np.bool_], rng: np.random.Generator) -> tuple[slice, slice]:
        """A place for the crop; around any forged pixel where there is one."""
        size = np.minimum(self._crop_px, marked.shape)
        last = np.array(marked.shape) - size
        start = rng.integers(last + 1)
        forged = np.flatnonzero(marked)
        if len(forged):
            pixel = np.array(np.unravel_index(forged[rng.integers(len(forged))], marked.shape))
            start = np.clip(pixel - rng.integers(size), 0, last)
        return slice(start[0], start[0] + size[0]), slice(start[1], start[1] + size[1])


def smaller_part(gt_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask, inverted if it marks more than half of its picture.

    Nobody can see which of two parts was pasted into the other, so the smaller one counts as the manipulated one.
    """
    return ~gt_mask if gt_mask.mean() > 0.5 else gt_mask


def flipped(sample: Sample, rng: np.random.Generator) -> Sample:
    """A sample mirrored in each direction or not, at random.

    That mirrors the grids of all its JPEG generations together: they stay aligned, or apart, as they were, and only
    where the last one starts changes, which is anywhere in a crop.
    """
    steps_yx = rng.choice([-1, 1], size=2)
    here = tuple(slice(None, None, step) for step in steps_yx)
    boxes = sample.boxes_xyxy.copy()
    for axis, (step, side) in enumerate(zip(steps_yx, sample.image.shape[:2], strict=True)):
        if step < 0:
            low, high = 1 - axis, 3 - axis
            boxes[:, [low, high]] = side - boxes[:, [high, low]]
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[here]),
        gt_mask=None if sample.gt_mask is None else np.ascontiguousarray(sample.gt_mask[here]),
        ignore_mask=None if sample.ignore_mask is None else np.ascontiguousarray(sample.ignore_mask[here]),
        boxes_xyxy=boxes,
    )


def _marked(sample: Sample) -> NDArray[np.bool_]:
    """Where a sample is manipulated: everywhere in its boxes, where it has no mask."""
    if sample.gt_mask is not None:
        return sample.gt_mask
    marked = np.zeros(sample.image.shape[:2], bool)
    for left, top, right, bottom in sample.boxes_xyxy:
        marked[top:bottom, left:right] = True
    return marked


def _cropped(sample: Sample, window: tuple[slice, slice]) -> Sample:
    rows, columns = window
    start = np.array([columns.start, rows.start] * 2)
    end = np.array([columns.stop, rows.stop] * 2)
    boxes = sample.boxes_xyxy.clip(start, end) - start
    return replace(
        sample,
        image=sample.image[window],
        gt_mask=None if sample.gt_mask is None else sample.gt_mask[window],
        ignore_mask=None if sample.ignore_mask is None else sample.ignore_mask[window],
        boxes_xyxy=boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)],
    )
