"""Fine-tuning: the anomaly detector of a trained ManTra-Net learns from a user's own forgeries with masks."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.read_image import read_image, read_mask
from doctored.data.paired_folder import PairedFolder, list_pairs
from doctored.data.photographs import Skipped, none_usable
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.checkpoint import start_from
from doctored.train.loop import HeldOut
from doctored.train.mantranet import ManTraNetTraining, Sample, check_localization
from doctored.train.settings import FinetuneSettings

_HELD_OUT_SHARE = 0.2
_TRIES = 8


@dataclass(frozen=True)
class Example:
    """A picture to learn from.

    Attributes:
        picture: Its file.
        mask: The file of its mask; None for an authentic picture.
    """

    picture: Path
    mask: Path | None

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels (H, W, 3) and gt_mask (H, W); a mask of more than half the picture is inverted.

        An anomaly detector cannot know which of two parts was pasted into the other, so the smaller part counts
        as the manipulated one.
        """
        picture = read_image(self.picture)
        if self.mask is None:
            return picture.pixels, np.zeros(picture.size_hw, bool)
        gt_mask = read_mask(self.mask, picture.size_hw)
        return picture.pixels, ~gt_mask if gt_mask.mean() > 0.5 else gt_mask


def usable_examples(folder: Path, crop_px: int) -> tuple[list[Example], list[Example], list[Skipped]]:
    """Read every picture of a folder once, and set about a fifth apart for checking, the same ones every time.

    Whether a file is held out depends on a hash of its name without suffix, so a forgery and its original of the
    same name stay together, and more files change nothing for those before.

    Args:
        folder: Holds `images/`, `masks/` and perhaps `authentic/`, as for `list_pairs`.
        crop_px: Pictures with a shorter side are skipped, and so are those that cannot be read or have an empty
            mask or one of another size.

    Returns:
        Examples to learn from, held-out ones, and what was skipped; there are forgeries among both.

    Raises:
        DataError: The folder does not hold what it should, or fewer than two forgeries can be used.
    """
    pairs: PairedFolder = list_pairs(folder)
    listed = [Example(picture, mask) for picture, mask in pairs.forged]
    listed += [Example(picture, None) for picture in pairs.authentic]
    usable: list[Example] = []
    skipped: list[Skipped] = []
    for example in listed:
        reason = _unusable(example, crop_px)
        if reason is None:
            usable.append(example)
        else:
            skipped.append(Skipped(str(example.picture.relative_to(folder)), reason))
    if not usable:
        raise none_usable(skipped)
    forged = sorted((example for example in usable if example.mask is not None), key=_place)
    if len(forged) < 2:
        raise DataError(
            f"{len(forged)} of the forgeries in {folder} can be used, but one is needed to learn from and one to "
            "check on; fifty are a good start"
        )
    # The nearest to be held out is, where chance would hold none out; the farthest never is.
    limit = min(max(_HELD_OUT_SHARE, _place(forged[0])), _place(forged[-2]))
    learn = [example for example in usable if _place(example) > limit]
    held_out = [example for example in usable if _place(example) <= limit]
    return learn, held_out, skipped


def _place(example: Example) -> float:
    """A number in 0..1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(example.picture.stem.encode()).digest()[:6]) / 2**48


def _unusable(example: Example, crop_px: int) -> str | None:
    try:
        pixels, gt_mask = example.read()
    except DoctoredError as error:
        return str(error)
    if min(gt_mask.shape) < crop_px:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        return f"{example.picture.name} is {size} pixels; both sides must be at least {crop_px}"
    if example.mask is not None and not gt_mask.any():
        return f"the mask of {example.picture.name} marks nothing; put authentic pictures into authentic/"
    return None


class ExampleCrops:
    """Crops of pictures at their own resolution, flipped at random, by number.

    Sample number n of a seed is always the same. Forged and authentic pictures take turns where there are both. A
    crop of a forged picture shows some of the forgery, and not more than half of it is forged if a few tries find
    such a place.

    Args:
        examples: What to crop; read anew for every crop, so that their number is no matter of memory.
        crop_px: Side of the crops.
        seed: Of all samples.
    """

    def __init__(self, examples: Sequence[Example], crop_px: int, seed: int) -> None:
        classes = (
            [example for example in examples if example.mask is not None],
            [example for example in examples if example.mask is None],
        )
        self._classes = [members for members in classes if members]
        self._crop_px, self._seed = crop_px, seed

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self._seed, number))
        members = self._classes[number % len(self._classes)]
        pixels, gt_mask = members[rng.integers(len(members))].read()
        for _ in range(_TRIES):
            window = self._window(gt_mask, rng)
            if gt_mask[window].mean() <= 0.5:
                break
        rows, columns = (slice(None, None, rng.choice([-1, 1])) for _ in range(2))
        image, truth = pixels[window][rows, columns], gt_mask[window][rows, columns]
        return np.ascontiguousarray(image), np.ascontiguousarray(truth), np.zeros(truth.shape, bool)

    def _window(self, gt_mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[slice, slice]:
        """A place for the crop; around any forged pixel where there is one."""
        size = self._crop_px
        last = np.array(gt_mask.shape) - size
        start = rng.integers(last + 1)
        forged = np.flatnonzero(gt_mask)
        if len(forged):
            pixel = np.array(np.unravel_index(forged[rng.integers(len(forged))], gt_mask.shape))
            start = np.clip(pixel - rng.integers(size, size=2), 0, last)
        return slice(start[0], start[0] + size), slice(start[1], start[1] + size)


class FinetuneTask:
    """What `train` needs to fine-tune.

    Args:
        settings: Of the run.
        learn: Pictures to learn from.
        held_out: Pictures to check on.
        start: Weights of a whole ManTra-Net; None only where they come from the run that is resumed.
        source: What the run's description says about the pictures and the start.
        model_settings: Shape of the network; None is the released one.

    Raises:
        ConfigError: start has no extractor or no anomaly detector.
    """

    name = "finetune"
    curriculum = None

    def __init__(
        self,
        settings: FinetuneSettings,
        learn: Sequence[Example],
        held_out: Sequence[Example],
        start: dict[str, torch.Tensor] | None,
        source: dict[str, Any],
        model_settings: ManTraNetSettings | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.source = source
        self.model_settings = model_settings or ManTraNetSettings()
        self.network = ManTraNetTraining(self.model_settings)
        if start is not None:
            missing = sorted(self.network.state_dict().keys() - start.keys())
            if missing:
                raise ConfigError(
                    f"fine-tuning starts from a whole ManTra-Net, but the weights lack {len(missing)} of its arrays, "
                    f"such as {missing[0]}; give the folder of a run of 'doctored train mantranet'"
                )
            start_from(self.network, start)
        self.samples = ExampleCrops(learn, settings.crop_px, settings.seed)
        self.held_out_samples = ExampleCrops(held_out, settings.crop_px, 385)

    def parameter_groups(self) -> list[dict[str, Any]]:
        self.network.imtfe.requires_grad_(False)
        return [{"params": list(self.network.ladn.parameters())}]

    def description(self) -> dict[str, Any]:
        return self.source

    def model_json(self) -> dict[str, Any]:
        return {"model": "mantranet", "settings": asdict(self.model_settings)}

    def held_out(self) -> HeldOut:
        settings = self.settings
        return check_localization(
            self.network, self.held_out_samples, settings.held_out_crops, settings.batch_size
        )
