"""Training samples for image manipulation classification, made on the fly from any photographs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import DataError
from doctored.synth.imc385 import MANIPULATIONS, Balance, Manipulations, apply_manipulation

_TRIES = 8
_LOWEST_STD = 12.0


class ImcPatches:
    """Crops whose regions have each been through one of the 385 manipulations, or an added one.

    Sample number n of a seed is always the same, whoever makes it and whenever: it can be indexed like a list
    without an end, and a resumed training run goes on with the samples it has not seen.

    Args:
        photographs: RGB uint8 pictures without manipulation, (H, W, 3), each at least work_px on both sides.
        crop_px: Side of a sample.
        work_px: Side of the patch that is manipulated before it is cropped.
        regions: 1, or 4 for quarters that meet at a random point near the centre.
        seed: Of all samples.
        manipulations: The classes to draw from; those that are for forgeries only are left out.
        balance: What is drawn alike, as in `Manipulations.draw`.

    Each sample is (image uint8 (crop_px, crop_px, 3), region numbers int64 (crop_px, crop_px), class indices
    int64 (regions,)).

    Raises:
        DataError: No photograph is large enough.

    Differs: the original works on 256 px patches and rejects those with a standard deviation of grey levels
        under 32; the limit here is 12, tried a few times, so that calm photographs teach too.
    """

    def __init__(
        self,
        photographs: Sequence[NDArray[np.uint8]],
        *,
        crop_px: int,
        work_px: int,
        regions: int,
        seed: int,
        manipulations: Manipulations = MANIPULATIONS,
        balance: Balance = "classes",
    ) -> None:
        self.photographs = [photo for photo in photographs if min(photo.shape[:2]) >= work_px]
        if not self.photographs:
            raise DataError(
                f"none of the {len(photographs)} photographs is {work_px} px or more on both sides; add larger ones"
            )
        self.crop_px, self.work_px, self.regions, self.seed = crop_px, work_px, regions, seed
        self.manipulations = manipulations.used_in("imc")
        self.balance = balance

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, number])
        patch = self._patch(rng)
        classes = [self.manipulations.draw(rng, self.balance) for _ in range(self.regions)]
        top, left = rng.integers(self.work_px - self.crop_px + 1, size=2)
        window = (slice(top, top + self.crop_px), slice(left, left + self.crop_px))
        regions = self._layout(rng)
        crop = np.empty((self.crop_px, self.crop_px, 3), np.uint8)
        for region, imc_class in enumerate(classes):
            here = regions == region
            manipulated = apply_manipulation(patch, imc_class, rng, manipulations=self.manipulations)
            crop[here] = manipulated[window][here]
        return crop, regions, np.array([imc_class.index for imc_class in classes], np.int64)

    def _patch(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A patch with some content, flipped and transposed at random."""
        for _ in range(_TRIES):
            photo = self.photographs[rng.integers(len(self.photographs))]
            top = rng.integers(photo.shape[0] - self.work_px + 1)
            left = rng.integers(photo.shape[1] - self.work_px + 1)
            patch = photo[top : top + self.work_px, left : left + self.work_px]
            if patch.std() >= _LOWEST_STD:
                break
        if rng.random() < 0.5:
            patch = patch.transpose(1, 0, 2)
        patch = patch[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        return np.ascontiguousarray(patch)

    def _layout(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Which region each pixel of the crop belongs to."""
        if self.regions == 1:
            return np.zeros((self.crop_px, self.crop_px), np.int64)
        nearest, farthest = int(0.4 * self.crop_px), int(0.6 * self.crop_px)
        split_y, split_x = rng.integers(nearest, farthest + 1, size=2)
        below = (np.arange(self.crop_px) >= split_y)[:, None]
        right = (np.arange(self.crop_px) >= split_x)[None, :]
        return (2 * below + right).astype(np.int64)
