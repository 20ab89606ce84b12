"""Which scores a table shows, and by which conventions: everything, or what a paper reported."""

from dataclasses import dataclass, replace
from typing import Literal

from doctored.core.errors import ConfigError
from doctored.metrics.conventions import PLAIN, PixelConvention

RESAMPLES = 1000
"""How often pictures are drawn anew for an interval."""

Average = Literal["per_image", "predicted_class"]


@dataclass(frozen=True)
class Protocol:
    """What is reported, and how pixels are counted for it.

    Attributes:
        name: "full", "mantranet" or "constrained-rcnn".
        convention: Of pixel scores.
        threshold: Of scores at a fixed threshold; what is this or more is flagged.
        average: "per_image" means over pictures; "predicted_class" adds, for the scores of Constrained R-CNN, the
            mean over predicted classes that its training program prints.
        scores: Names of the reported scores; None reports all.
    """

    name: str = "full"
    convention: PixelConvention = PLAIN
    threshold: float = 0.5
    average: Average = "per_image"
    scores: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"the threshold is {self.threshold:g}; give a value of maps, from 0 to 1")
        if self.average not in ("per_image", "predicted_class"):
            raise ConfigError(f"--average is {self.average!r}; choose per-image or predicted-class")
        if self.average == "predicted_class" and self.name != "constrained-rcnn":
            raise ConfigError("--average predicted-class belongs to --protocol constrained-rcnn")

    def shows(self, score: str) -> bool:
        """Whether a score is reported."""
        return self.scores is None or score in self.scores

    def sentences(self) -> list[str]:
        """The conventions in words, for people who compare numbers."""
        convention = self.convention
        sentences = [
            "Files are read at their own size and nothing is resized.",
            f"Scores at a fixed threshold flag what is {self.threshold:g} or more.",
            "Each score is per image: the score of each manipulated picture, then the plain mean; pooled scores "
            "count the pixels of all manipulated pictures as one; image scores rank whole pictures.",
            f"Intervals hold 95 % of {RESAMPLES} resamples of the pictures.",
        ]
        if self.average == "predicted_class":
            sentences.append(
                "Averages by predicted class: the mean over the named classes of the mean score of the pictures "
                "that the model took for each; pictures without a region are counted aside."
            )
        if convention == PLAIN:
            sentences.append("Every pixel counts, against the mask as it is, with the map as it is.")
        if convention.polarity_flip:
            sentences.append("Polarity flip: of the map and its inverse, the better one is scored.")
        if convention.ignored_border_px:
            sentences.append(
                f"Pixels within {convention.ignored_border_px} px of the boundary of a mask are not counted."
            )
        if convention.invert_large_masks:
            sentences.append("Masks that cover more than half of the picture are inverted.")
        return sentences


FULL = Protocol()
"""Every score, by the plain conventions."""

_PRESETS = {
    "full": FULL,
    # Paper: Wu, AbdAlmageed and Natarajan, CVPR 2019; masks as in Huh et al., ECCV 2018, whom they follow.
    "mantranet": Protocol(
        "mantranet", PixelConvention(invert_large_masks=True), scores=("pixel_auc", "shuffled_pixel_auc")
    ),
    # Paper: Yang et al., ICME 2020: F1 and AUC of the full model, average precision of boxes for its first stage.
    "constrained-rcnn": Protocol(
        "constrained-rcnn", scores=("best_pixel_f1", "pixel_auc", "box_average_precision")
    ),
}


def make_protocol(
    name: str = "full",
    *,
    polarity_flip: bool = False,
    ignored_border_px: int = 0,
    invert_large_masks: bool = False,
    threshold: float = 0.5,
    average: str = "per-image",
) -> Protocol:
    """A preset, with further conventions named one by one.

    Args:
        name: "full", "mantranet" (pixel AUC, large masks inverted; beside it the position-free AUC) or
            "constrained-rcnn" (best F1 of each image, pixel AUC; average precision of boxes).
        polarity_flip: As in `PixelConvention`, and so are the next two; they add to those of the preset.
        ignored_border_px: In pixels.
        invert_large_masks: Masks of more than half of the picture.
        threshold: Of scores at a fixed threshold.
        average: "per-image" or "predicted-class".

    Raises:
        ConfigError: There is no such preset, or a value makes no sense.
    """
    if name not in _PRESETS:
        raise ConfigError(f"--protocol is {name!r}; choose {', '.join(_PRESETS)}")
    preset = _PRESETS[name]
    convention = PixelConvention(
        polarity_flip or preset.convention.polarity_flip,
        ignored_border_px or preset.convention.ignored_border_px,
        invert_large_masks or preset.convention.invert_large_masks,
    )
    chosen: Average = average.replace("-", "_")  # type: ignore[assignment]  # checked by the protocol
    return replace(preset, convention=convention, threshold=threshold, average=chosen)
