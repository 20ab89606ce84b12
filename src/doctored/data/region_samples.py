"""Pictures with the boxes and techniques of their manipulated regions, as Constrained R-CNN learns from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.core.reduction import reduce_pixels
from doctored.core.sample import Sample
from doctored.data.boxes import boxes_from_mask
from doctored.data.crops import flipped
from doctored.data.forgery_stream import ForgeryStream
from doctored.synth.operators.blur import gaussian_blur, median_blur
from doctored.synth.operators.compression import jpeg_compress

MOST_REGIONS = 8
SMALLEST_SIDE_PX = 8
_NOISE_STD = 5**0.5
_JPEG_QUALITIES = (60, 95)
_FILTERS = tuple((median_blur, side) for side in (3, 5, 7)) + tuple(
    (gaussian_blur, side) for side in (3, 5, 7, 9, 11, 15, 19)
)

RegionSample = tuple[
    NDArray[np.uint8], NDArray[np.bool_], np.bool_, NDArray[np.bool_],
    NDArray[np.float32], NDArray[np.int64], NDArray[np.float32],
]  # fmt: skip
"""Picture (H, W, 3); gt_mask (H, W) and whether there is one; ignore_mask (H, W); boxes (8, 4), their labels (8,), from
1, 0 where there is no further region; boxes (8, 4) of what is neither. Unused boxes are zeros."""


class SamplesByNumber(Protocol):
    """Pictures with the truth about them, without an end."""

    def __getitem__(self, number: int, /) -> Sample: ...


class GeneratedSamples:
    """Forgeries of a stream by number, flipped at random unless they are to be checked on.

    Args:
        stream: Where they come from.
        flip: Whether they are flipped.
        large: Forgeries of twice the side, some of which take the place of those of the stream, halved: that is how
            large pictures are seen later. None has none of them.
        halved_share: How many.
    """

    def __init__(
        self,
        stream: ForgeryStream,
        flip: bool = True,
        large: ForgeryStream | None = None,
        halved_share: float = 0.0,
    ) -> None:
        self._stream, self._flip = stream, flip
        self._large, self._halved_share = large, halved_share

    def __getitem__(self, number: int) -> Sample:
        sample = self._sample(number)
        return (
            flipped(sample, np.random.default_rng((self._stream.seed, number, 3))) if self._flip else sample
        )

    def _sample(self, number: int) -> Sample:
        rng = np.random.default_rng((self._stream.seed, number, 5))
        stream = self._stream if self._large is None or rng.random() >= self._halved_share else self._large
        forgery = stream[number]
        image, gt_mask, ignore_mask = forgery.image, forgery.gt_mask, forgery.ignore_mask
        if stream is self._large:
            image, gt_mask = reduce_pixels(image, 2), _halved(gt_mask)
            ignore_mask = None if ignore_mask is None else _halved(ignore_mask)
        nothing = np.zeros((0, 4), np.int64)
        return Sample(image, gt_mask, ignore_mask, nothing, forgery.technique, str(number))


def _halved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where at least two of four pixels are; sides are even."""
    return mask.reshape(mask.shape[0] // 2, 2, mask.shape[1] // 2, 2).sum(axis=(1, 3), dtype=np.uint8) >= 2


@dataclass(frozen=True)
class Disturbance:
    """What is done to some samples, after which their masks stay true.

    Attributes:
        noise: Where noise is added: to "whole" pictures or only within the true "boxes".
        noise_share: Share of the samples with noise.
        filter_share: Share of the samples that are filtered as a whole: a median of up to 7 px, or a Gaussian
            blur of up to 19.
        jpeg_share: Share of the samples that are saved as JPEG once more.
    """

    noise: Literal["whole", "boxes"] = "whole"
    noise_share: float = 0.0
    filter_share: float = 0.0
    jpeg_share: float = 0.0


class RegionSamples:
    """Samples by number as fixed numbers of arrays, so that they can be stacked.

    Each connected part of a mask is a region, and the picture's technique is its label. The largest eight count, with
    8 px or more on both sides. All others, and the parts of the ignore mask, are neither background nor manipulated:
    what the network says there is not judged.

    Args:
        samples: Pictures with masks, or with boxes where a set has no masks.
        classes: Of the network; the first one is "authentic".
        disturbance: What some of the samples suffer.
        seed: Chooses them.
    """

    def __init__(
        self, samples: SamplesByNumber, classes: Sequence[str], disturbance: Disturbance, seed: int
    ) -> None:
        self.samples, self.classes = samples, tuple(classes)
        self._disturbance, self._seed = disturbance, seed

    def __getitem__(self, number: int) -> RegionSample:
        sample = self.samples[number]
        truth = regions_of(sample)
        pixels = self._disturbed(sample.image, truth.boxes_xyxy, number)
        boxes = np.zeros((MOST_REGIONS, 4), np.float32)
        labels = np.zeros(MOST_REGIONS, np.int64)
        ignored = np.zeros((MOST_REGIONS, 4), np.float32)
        boxes[: len(truth.boxes_xyxy)] = truth.boxes_xyxy
        labels[: len(truth.boxes_xyxy)] = label_of(sample.technique, self.classes)
        ignored[: len(truth.ignored_boxes_xyxy)] = truth.ignored_boxes_xyxy
        nothing = np.zeros(pixels.shape[:2], bool)
        gt_mask = nothing if sample.gt_mask is None else sample.gt_mask
        ignore_mask = nothing if sample.ignore_mask is None else sample.ignore_mask & ~gt_mask
        return pixels, gt_mask, np.bool_(sample.gt_mask is not None), ignore_mask, boxes, labels, ignored

    def _disturbed(
        self, pixels: NDArray[np.uint8], boxes_xyxy: NDArray[np.int64], number: int
    ) -> NDArray[np.uint8]:
        what = self._disturbance
        rng = np.random.default_rng((self._seed, number, 4))
        noisy, saved, filtered = rng.random(3) < (what.noise_share, what.jpeg_share, what.filter_share)
        if noisy:
            noise = rng.normal(0, _NOISE_STD, pixels.shape)
            if what.noise == "boxes":
                inside = np.zeros(pixels.shape[:2], bool)
                for left, top, right, bottom in boxes_xyxy:
                    inside[top:bottom, left:right] = True
                noise *= inside[..., None]
            pixels = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
        if filtered:
            blur, kernel_px = _FILTERS[rng.integers(len(_FILTERS))]
            pixels = blur(pixels, kernel_px, rng)
        if saved:
            pixels = jpeg_compress(pixels, int(rng.integers(*_JPEG_QUALITIES, endpoint=True)), rng)
        return pixels


@dataclass(frozen=True, eq=False)
class Regions:
    """Attributes:
    boxes_xyxy: (T, 4) int64, the regions that count, largest first.
    ignored_boxes_xyxy: (I, 4) int64, the regions that are neither, largest first; no more than eight.
    """

    boxes_xyxy: NDArray[np.int64]
    ignored_boxes_xyxy: NDArray[np.int64]


def regions_of(sample: Sample) -> Regions:
    """The regions of a sample, as `RegionSamples` says: from its mask, or its boxes where it has none."""
    if sample.gt_mask is None:
        boxes = _largest_first(sample.boxes_xyxy)
    else:
        boxes = _largest_first(boxes_from_mask(sample.gt_mask))
    seen = ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST_SIDE_PX).all(axis=1)
    seen &= np.cumsum(seen) <= MOST_REGIONS
    neither = boxes[~seen]
    if sample.ignore_mask is not None:
        neither = np.concatenate([_largest_first(boxes_from_mask(sample.ignore_mask)), neither])
    return Regions(boxes[seen], _largest_first(neither)[:MOST_REGIONS])


def label_of(technique: str, classes: Sequence[str]) -> int:
    """Index of a picture's technique among the classes; with two classes, whether it is manipulated."""
    if len(classes) == 2:
        return int(technique != classes[0])
    return list(classes).index(technique)


def _largest_first(boxes: Sequence[Sequence[int]] | NDArray[np.int64]) -> NDArray[np.int64]:
    array = np.array(boxes, np.int64).reshape(-1, 4)
    areas = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
    return array[np.argsort(-areas, kind="stable")]
