"""Fine-tuning: the anomaly detector of a trained ManTra-Net learns from a user's own forgeries with masks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.name_digest import name_digest
from doctored.core.read_image import read_image, read_mask
from doctored.core.sample import MANIPULATED, Sample
from doctored.data.crops import CropsInTurn, smaller_part
from doctored.data.paired_folder import PairedFolder, list_pairs
from doctored.data.photographs import Skipped, none_usable
from doctored.models.mantranet.settings import ManTraNetSettings
from doctored.train.checkpoint import start_from
from doctored.train.loop import HeldOut
from doctored.train.mantranet import ManTraNetTraining, MaskedPicture, check_localization, masked_picture
from doctored.train.settings import FinetuneSettings

_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Example:
    """A picture to learn from.

    Attributes:
        picture: Its file.
        mask: The file of its mask; None for an authentic picture.
    """

    picture: Path
    mask: Path | None

    @property
    def authentic(self) -> bool:
        return self.mask is None

    def read(self) -> Sample:
        """The picture; a mask of more than half of it is inverted, as `smaller_part` says."""
        picture = read_image(self.picture)
        gt_mask = np.zeros(picture.size_hw, bool)
        if self.mask is not None:
            gt_mask = smaller_part(read_mask(self.mask, picture.size_hw))
        technique = MANIPULATED if self.mask else "authentic"
        return Sample(picture.pixels, gt_mask, None, np.zeros((0, 4), np.int64), technique, self.picture.stem)


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
    return int.from_bytes(name_digest(example.picture.stem)[:6]) / 2**48


def _unusable(example: Example, crop_px: int) -> str | None:
    try:
        sample = example.read()
    except DoctoredError as error:
        return str(error)
    height, width = sample.image.shape[:2]
    if min(height, width) < crop_px:
        return f"{example.picture.name} is {width} x {height} pixels; both sides must be at least {crop_px}"
    if not example.authentic and not (sample.gt_mask is not None and sample.gt_mask.any()):
        return f"the mask of {example.picture.name} marks nothing; put authentic pictures into authentic/"
    return None


class ExampleCrops:
    """Crops of examples by number, as `CropsInTurn` makes them."""

    def __init__(self, examples: Sequence[Example], crop_px: int, seed: int) -> None:
        self._crops = CropsInTurn(examples, crop_px, seed)

    def __getitem__(self, number: int) -> MaskedPicture:
        return masked_picture(self._crops[number])


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
