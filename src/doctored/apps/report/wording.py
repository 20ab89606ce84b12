"""What a report says in words; every sentence may be quoted, so none says more than was measured."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import doctored
from doctored.apps.markings import FAMILIES_IN_WORDS, names_in_words
from doctored.apps.report.file_evidence import FileEvidence
from doctored.apps.report.views import AGREEMENT_THRESHOLD, Agreement
from doctored.core.inspection import Inspection
from doctored.models.catalog import is_search
from doctored.predict.verdict import in_words

VERDICTS = {
    "manipulated": "Signs of manipulation",
    "no_signs": "No signs of manipulation found",
    "cannot_judge": "Cannot judge",
}
TECHNIQUES = {
    "splicing": "Splicing: content from another picture",
    "copy_move": "Copy-move: content from elsewhere in the same picture",
    "removal": "Removal: something was covered by a plausible filling",
    "enhancement": "Enhancement: colour, sharpness or noise was changed in place",
}
MAP_MEANING = (
    "At each point the colour says how suspicious the model finds it, on the model's own scale from 0 to 1. 0.8 does "
    "not mean that it is forged with a probability of 80 %. Only a false-alarm rate has a meaning of that kind, "
    "because it is measured on authentic pictures."
)
WITNESS_MEANING = (
    "The raw score is the model's own and has no meaning by itself. At scale 1 it saw the picture's own pixels, else "
    "the picture enlarged or reduced by so much."
)
FACTS_MEANING = (
    "These facts come from the file and not from what the picture shows. None of them has entered the verdict or the "
    "score. Anyone can change or remove them, so that none of them is proof by itself, and neither is their absence."
)
_ALWAYS_MISLEADING = (
    "Sharp edges, text, flat areas such as sky, and strong compression can light up in a picture that nobody has "
    "touched. Compare with other pictures from the same source before you conclude anything.",
    "Places that are said to show the same need not be copied: print, tiles, windows and lamps repeat. Look at both.",
    "A place on another JPEG grid may have been put there honestly: a logo, a caption, or a part of a collage.",
    "A calm map is no proof of authenticity: traces may have been too weak, or erased by saving, shrinking, a "
    "screenshot or a messenger.",
    "Whoever wants to can lead this program astray, and it has no defence: a slight blur, a reduction or a screenshot "
    "leaves little of a forgery to find, and a median filter makes authentic pictures look manipulated.",
    "Pictures made as a whole by a generator are out of scope: neither the verdict nor the map says anything about "
    "whether this is one. Generative fill was not learned either.",
)
_NEVER_CHECKED = (
    "Whether the picture shows what it is said to show: place, time and persons, or a staged scene.",
    "Whether it has been published before, elsewhere, or in another version.",
    "Light, shadows, perspective and reflections.",
    "XMP and IPTC data, and pages or pictures after the first in the file.",
)
_STRONG_COMPRESSION_QUALITY = 75
_SMALL_SIDE_PX = 256


def verdict_sentence(path: str, inspection: Inspection) -> str:
    """The verdict in one sentence that can be quoted as it stands."""
    name, program = PurePath(path).name, f"doctored {doctored.__version__}"
    if inspection.verdict == "manipulated":
        assert inspection.false_alarm_rate is not None
        rate = in_words(inspection.false_alarm_rate)
        found = f"{program} found signs of manipulation in {name}"
        return f"{found}: of authentic pictures like it, {rate} score this high."
    if inspection.verdict == "no_signs":
        return f"{program} found no signs of manipulation in {name}, which is no proof that it is genuine."
    return f"{program} cannot judge {name}: {inspection.reason}."


def false_alarms(inspection: Inspection) -> str:
    """The false-alarm rate in plain words, or why there is none."""
    comparison, rate = inspection.comparison, inspection.false_alarm_rate
    if comparison is None or rate is None:
        return (
            "There is no false-alarm rate: the model that ran has not been calibrated on authentic pictures, so its "
            "score has no meaning by itself."
        )
    if inspection.verdict == "cannot_judge":
        return (
            "There is no false-alarm rate to quote, for the reason above. The score only serves to put pictures into "
            "an order."
        )
    like = f"{comparison.pictures} authentic pictures of like size and compression"
    if comparison.smaller:
        like = (
            f"{comparison.pictures} authentic pictures of like compression that are smaller, because too few as large "
            "as this one were measured (larger ones score lower)"
        )
    counted = {0: "none of them scores", 1: "one of them scores"}.get(
        comparison.as_high, f"{comparison.as_high} of them score"
    )
    return (
        f"The picture was compared with {like}: {counted} as high or higher. So about {in_words(rate)} authentic "
        f"pictures like this one would be suspected as much, or more, by mistake; the limit for the verdict is "
        f"{in_words(comparison.operating_point)}. This is not the probability that this picture is authentic, which "
        "also depends on how common forgeries are where it comes from."
    )


def misleading(inspection: Inspection, evidence: FileEvidence) -> list[str]:
    """What could mislead whoever reads the result of this picture."""
    sentences = []
    height, width = inspection.picture.size_hw
    if min(height, width) < _SMALL_SIDE_PX:
        sentences.append(
            f"The picture is small ({width} x {height} pixels): there is little around each pixel to compare it with."
        )
    jpeg = inspection.picture.jpeg
    if jpeg is not None and jpeg.estimated_quality < _STRONG_COMPRESSION_QUALITY:
        sentences.append(
            f"The file is compressed strongly (about quality {jpeg.estimated_quality:g}): weak traces are lost, and "
            "the blocks of the compression can light up."
        )
    if evidence.earlier_save is not None and evidence.earlier_save.found:
        sentences.append(
            "The picture was saved again after an earlier, coarser JPEG save, as messengers and editors do with "
            "authentic pictures too. That weakens the traces of whatever was done before."
        )
    if evidence.exif is None or evidence.exif.camera is None:
        sentences.append(
            "The file names no camera. It may be a screenshot or come from a messenger or a social network: such a "
            "copy has lost most traces of the picture that it shows."
        )
    return [*sentences, *_ALWAYS_MISLEADING]


def not_checked(evidence: FileEvidence) -> list[str]:
    """What nobody should think was checked."""
    sentences = []
    if evidence.credentials.state == "not_checked":
        sentences.append(f"Content Credentials (C2PA). {evidence.credentials.sentence}")
    return [*sentences, *_NEVER_CHECKED]


def preview_note(width: int, height: int, factor: int) -> str:
    """At which size the picture is shown, and at which it was analysed."""
    analysed = f"The picture has {width} x {height} pixels and was analysed at that size"
    if factor == 1:
        return f"{analysed}; every pixel of it is shown."
    return (
        f"{analysed}. To keep this file small, it is shown here reduced to 1/{factor} of its sides; of the map, each "
        "point shows the largest value of what it stands for, so that small finds do not fade. The close-ups show "
        "the picture's own pixels."
    )


def agreement_caption(agreement: Agreement, witnesses: Iterable[str]) -> str:
    """What the map of where two witnesses agree shows.

    Args:
        agreement: Of the two.
        witnesses: Names of all who looked.
    """
    first, second = agreement.names
    caption = (
        f"the lower of the maps of {first} and {second}. At {AGREEMENT_THRESHOLD} or above are both in "
        f"{100 * agreement.both:.1f} % of the picture, only {first} in {100 * agreement.first:.1f} %, only {second} in "
        f"{100 * agreement.second:.1f} %."
    )
    if searches := [name for name in witnesses if is_search(name)]:
        dark = "whose map is dark wherever it" if len(searches) == 1 else "whose maps are dark wherever they"
        caption += f" Left out: {names_in_words(searches)}, {dark} found nothing."
    return caption


def place_title(number: int, region: dict[str, Any] | None) -> str:
    """The heading of a close-up."""
    if region is None:
        return f"{number}. One of the map's highest places"
    words = TECHNIQUES.get(region["technique"] or "", "Manipulated, technique unknown")
    if (twin := region.get("twin_box_xyxy")) is not None:
        left, top, right, bottom = twin
        words = f"Copy-move: the same as {right - left} x {bottom - top} pixels at {left}, {top}, one of both copied"
    if (grid := region.get("jpeg_grid_xy")) is not None:
        left, top = grid
        words += f", compressed on another JPEG grid than the rest (blocks start at {left}, {top} of every 8 pixels)"
    title = f"{number}. {words}"
    if region["family"] is not None:
        title += f"; {FAMILIES_IN_WORDS[region['family']]} ({region['family_score']:.2f})"
    if region["witnesses"]:
        title += f"; seen by {names_in_words(region['witnesses'])}"
    return title
