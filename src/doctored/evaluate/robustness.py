"""What later treatment of a picture does to scores: the field's sweep, and what platforms and screens do.

The sweep (JPEG, blur, noise, resizing, median filter) is what papers report, and what somebody does who wants to hide
a forgery. The controls are what happens to honest pictures on their way through the world: a model that answers these
with alarms is of no use, however well it ranks pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from doctored.core.errors import UndefinedMetricError
from doctored.core.picture import Picture
from doctored.evaluate.views import Shown, as_jpeg


@dataclass(frozen=True)
class Perturbation:
    """One treatment at one strength.

    Attributes:
        family: What is done: "jpeg", "blur", "noise", "resize" or "median" of the field's sweep; "saved_again", "webp",
            "platform" or "screenshot" of the controls.
        level: How strongly: JPEG or WebP quality; kernel of blur or median filter in px; variance of the noise in
            squared grey levels; factor of the size; how many platforms; scale on the screen.
    """

    family: str
    level: float

    @property
    def view(self) -> str:
        """Its name among the views of a picture."""
        return f"{self.family}:{self.level:g}"


_LEVELS: dict[str, tuple[float, ...]] = {
    "jpeg": (100, 90, 80, 70, 60, 50),
    "blur": (3, 7, 11, 15, 19, 23),
    "noise": (3, 7, 11, 15, 19, 23),
    "resize": (0.78, 0.64, 0.5, 0.37, 0.25),
    "median": (3, 5, 7),
    "saved_again": (95, 85, 75),
    "webp": (90, 75, 60),
    "platform": (1, 2, 3),
    "screenshot": (1.3, 1.0, 0.8, 0.6),
}
SWEEP = ("jpeg", "blur", "noise", "resize", "median")
CONTROLS = ("saved_again", "webp", "platform", "screenshot")
AXES = {
    "jpeg": "JPEG quality",
    "blur": "Gaussian blur, kernel (px)",
    "noise": "Gaussian noise, variance",
    "resize": "resized by",
    "median": "median filter, kernel (px)",
    "saved_again": "cropped, JPEG quality",
    "webp": "WebP quality",
    "platform": "platforms passed",
    "screenshot": "screenshot at scale",
}


def perturbations(families: Sequence[str] = SWEEP + CONTROLS) -> list[Perturbation]:
    """Every level of some families."""
    return [Perturbation(family, level) for family in families for level in _LEVELS[family]]


def perturbed(shown: Shown, view: str) -> Shown:
    """A picture after a perturbation, with its masks at the new size.

    What ends in a JPEG file is given as one, with its facts; all else as pixels that never were a file.

    Args:
        shown: The picture as it was.
        view: `Perturbation.view` of the perturbation.
    """
    from doctored.synth.operators.blur import gaussian_blur, median_blur
    from doctored.synth.steps import Grain, Save, encode, follow

    family, level_text = view.split(":")
    level = float(level_text)
    pixels = shown.picture.pixels
    masks = [mask for mask in (shown.gt_mask, shown.ignored) if mask is not None]
    if family in ("blur", "median"):
        steps: tuple[Any, ...] = ()
        blur = gaussian_blur if family == "blur" else median_blur
        # The draws of an operator are not needed here.
        pixels = blur(pixels, int(level), np.random.default_rng(0))
    elif family == "noise":
        # The same noise for every picture would be a pattern; the file's hash gives each its own.
        steps = (Grain(float(np.sqrt(level)), int(shown.picture.sha256[:8], 16)),)
    else:
        steps = _steps(family, level)
    last = steps[-1] if steps and isinstance(steps[-1], Save) and steps[-1].format == "jpeg" else None
    pixels, masks = follow(pixels, masks, steps if last is None else steps[:-1])
    if last is not None:
        picture = as_jpeg(shown.picture, encode(pixels, last))
    else:
        picture = replace(Picture.from_array(pixels), path=shown.picture.path)
    gt_mask = None if shown.gt_mask is None else masks[0]
    return Shown(picture, gt_mask, None if shown.ignored is None else masks[-1])


def _steps(family: str, level: float) -> tuple[Any, ...]:
    from doctored.synth.steps import Frame, Resize, Save, Sharpen, Trim

    if family == "jpeg":
        return (Save("jpeg", int(level)),)
    if family == "resize":
        return (Resize(level, "bilinear"),)
    if family == "saved_again":  # cut in between, so that the second grid is shifted against the first
        return (Save("jpeg", 90), Trim(3, 5), Save("jpeg", int(level)))
    if family == "webp":
        return (Save("webp", int(level)),)
    if family == "platform":
        once = (Resize(0.85, "lanczos"), Sharpen(0.2), Save("jpeg", 80))
        return (Save("jpeg", 92), *once * int(level))
    frame = Frame(24, 16, 240)
    return (Save("jpeg", 85), Resize(level, "bilinear"), frame, Save("jpeg", 90))


@dataclass(frozen=True)
class RobustnessPoint:
    """One model under one perturbation.

    Attributes:
        data: Name of the data set.
        model: Name of the model.
        kind: "sweep" or "control".
        family: Of the perturbation.
        level: Its strength.
        pixel_auc: Mean over the manipulated pictures that still show both classes; None if none does.
        image_auc: Of the image score, perturbed manipulated against perturbed authentic pictures; None without
            authentic ones.
        detected: Share of the manipulated pictures with the verdict "manipulated"; None without such pictures.
        false_alarms: Share of the authentic pictures with that verdict; None without such pictures.
        not_judged: Share of all pictures with the verdict "cannot judge".
        pictures: Manipulated pictures that `pixel_auc` is made of.
        authentic: Authentic pictures.
    """

    data: str
    model: str
    kind: Literal["sweep", "control"]
    family: str
    level: float
    pixel_auc: float | None
    image_auc: float | None
    detected: float | None
    false_alarms: float | None
    not_judged: float
    pictures: int
    authentic: int


def robustness_points(records: Sequence[dict[str, Any]]) -> list[RobustnessPoint]:
    """Curves from the records of an evaluation; the unperturbed state comes first, as level 0 of family "none".

    Args:
        records: As `measure.measure_case` makes them, of perturbed views and of the same pictures as they are.
    """
    points = []
    for data, model in dict.fromkeys((record["data"], record["model"]) for record in records):
        own = [record for record in records if (record["data"], record["model"]) == (data, model)]
        treated = {record["view"] for record in own if ":" in record["view"]}
        pictures = {(record["kind"], record["name"]) for record in own if record["view"] in treated}
        untouched = [
            record
            for record in own
            if record["view"] == "as_is" and (record["kind"], record["name"]) in pictures
        ]
        points.append(_point(data, model, "none:0", untouched))
        for perturbation in perturbations():
            if perturbation.view in treated:
                seen = [record for record in own if record["view"] == perturbation.view]
                points.append(_point(data, model, perturbation.view, seen))
    return points


def _point(data: str, model: str, view: str, records: Sequence[dict[str, Any]]) -> RobustnessPoint:
    from doctored.metrics.image import image_auc

    family, level = view.split(":")
    aucs = [record["pixel_auc"] for record in records if record["pixel_auc"] is not None]
    forged, authentic = (
        [record["verdict"] for record in records if record["kind"] == kind]
        for kind in ("manipulated", "authentic")
    )
    try:
        ranking = image_auc(
            [record["score"] for record in records], [record["kind"] == "manipulated" for record in records]
        )
    except UndefinedMetricError:
        ranking = None
    return RobustnessPoint(
        data=data,
        model=model,
        kind="control" if family in CONTROLS else "sweep",
        family=family,
        level=float(level),
        pixel_auc=float(np.mean(aucs)) if aucs else None,
        image_auc=ranking,
        detected=_share(forged, "manipulated"),
        false_alarms=_share(authentic, "manipulated"),
        not_judged=(forged + authentic).count("cannot_judge") / len(records),
        pictures=len(aucs),
        authentic=len(authentic),
    )


def _share(verdicts: Sequence[str], verdict: str) -> float | None:
    return verdicts.count(verdict) / len(verdicts) if verdicts else None
