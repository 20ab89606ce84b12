"""Prepared sets to learn regions from: which pictures, and what they are called."""

from dataclasses import dataclass, replace
from pathlib import Path

from doctored.core.errors import DataError, DoctoredError
from doctored.core.forgery import TECHNIQUES
from doctored.core.sample import MANIPULATED, Sample
from doctored.data.crops import smaller_part
from doctored.data.hash_split import split_pictures
from doctored.data.photographs import Skipped, none_usable
from doctored.data.prepared_set import ManifestRow, PreparedSet, read_sample

TWO_CLASSES = (TECHNIQUES[0], MANIPULATED)


@dataclass(frozen=True)
class PreparedPicture:
    """A picture of a prepared set, read when it is asked for.

    Attributes:
        folder: The set.
        row: What its manifest says of the picture.
    """

    folder: Path
    row: ManifestRow

    @property
    def authentic(self) -> bool:
        return self.row.technique == TECHNIQUES[0]

    def read(self) -> Sample:
        """The picture; a mask of more than half of it is inverted, as `smaller_part` says."""
        sample = read_sample(self.folder, self.row)
        return sample if sample.gt_mask is None else replace(sample, gt_mask=smaller_part(sample.gt_mask))


def prepared_pictures(
    folder: Path, two_classes: bool, smallest_side_px: int
) -> tuple[list[PreparedPicture], list[PreparedPicture], tuple[str, ...], list[Skipped]]:
    """Pictures of a prepared set to learn from and, a tenth by hashes of their names, to check on.

    What the set keeps for testing is used for neither, nor are pictures that cannot be read.

    Args:
        folder: Made by `doctored data prepare`.
        two_classes: Whether techniques are left aside; else pictures of unknown technique are skipped.
        smallest_side_px: Pictures with a shorter side are skipped.

    Returns:
        Pictures to learn from, pictures to check on, the classes to tell apart, and what was skipped.

    Raises:
        DataError: All pictures are for testing, too few can be used, or techniques are wanted and the set tells none.
    """
    listed = PreparedSet(folder).rows
    rows = [row for row in listed if row.split != "test"]
    if not rows:
        raise DataError(
            f"all pictures of {folder} are for testing; learn from another set and evaluate on this one"
        )
    named = {row.technique for row in listed}
    if not two_classes and named - {TECHNIQUES[0]} == {MANIPULATED}:
        raise DataError(
            f"{folder} does not tell what was done to its pictures, only which are manipulated; give "
            "--set two_classes=true to learn that"
        )
    usable: list[ManifestRow] = []
    skipped: list[Skipped] = []
    for row in rows:
        if row.technique == MANIPULATED and not two_classes:
            skipped.append(Skipped(row.file, f"the technique of {row.name} is not known"))
            continue
        try:
            # In whole, with its masks: what is damaged would end the training, perhaps hours later.
            height, width = read_sample(folder, row).image.shape[:2]
        except DoctoredError as error:
            skipped.append(Skipped(row.file, str(error)))
            continue
        if min(width, height) < smallest_side_px:
            reason = (
                f"{row.name} is {width} x {height} pixels; both sides must be at least {smallest_side_px}"
            )
            skipped.append(Skipped(row.file, reason))
        else:
            usable.append(row)
    if not usable:
        raise none_usable(skipped)
    sides = split_pictures(sorted({row.name for row in usable}))
    learn, held_out = (
        [PreparedPicture(folder, row) for row in usable if sides[row.name] == side]
        for side in ("train", "test")
    )
    if all(picture.authentic for picture in learn) or not held_out:
        raise DataError(
            f"too few pictures of {folder} can be used; two forgeries of different names are the least"
        )
    known = tuple(name for name in TECHNIQUES if name in named | {TECHNIQUES[0]})
    classes = TWO_CLASSES if two_classes else known
    return learn, held_out, classes, skipped
