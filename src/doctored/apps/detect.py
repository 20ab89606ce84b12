"""`doctored detect`: from paths to results, one picture after the other."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import iglob
from typing import TYPE_CHECKING, Any, TypeVar

from doctored.core.errors import ConfigError, DoctoredError

if TYPE_CHECKING:
    from doctored.apps.file_parser import FileParser
    from doctored.apps.outputs import OutputFiles
    from doctored.core.inspection import Inspection
    from doctored.core.picture import Picture
    from doctored.predict import Detector

_Outcome = TypeVar("_Outcome")
_ANNOUNCED_SECONDS = 20
# An estimate times the model, which itself takes longer than anything smaller than this.
_WORTH_ESTIMATING_PX = 1_000_000
VERDICTS = {
    "manipulated": "manipulated",
    "no_signs": "no signs of manipulation",
    "cannot_judge": "cannot judge",
}


def list_inputs(arguments: Sequence[str]) -> list[str]:
    """The paths that arguments stand for, in order.

    `-` stands for the lines of standard input, and a pattern that the shell left alone for the files it
    matches, sorted by name. A pattern without a match stays as it is, and is reported as a missing file.

    Raises:
        ConfigError: Standard input is to be read and is closed.
    """
    paths: list[str] = []
    for argument in arguments:
        if argument == "-":
            if sys.stdin is None:
                raise ConfigError(
                    "- reads paths from standard input, which is closed; leave it open or name the files"
                )
            lines = sys.stdin.buffer.read().splitlines()
            paths += [os.fsdecode(line) for line in lines if line.strip()]
        elif any(sign in argument for sign in "*?[") and not os.path.lexists(argument):
            paths += sorted(iglob(argument, recursive=True)) or [argument]
        else:
            paths.append(argument)
    return paths


@dataclass(frozen=True)
class Batch:
    """Pictures to inspect with one model.

    Args:
        paths: Of the pictures.
        detector: The model.
        max_megapixels: Larger pictures are refused.
        max_megabytes: Larger files are refused.
        on_progress: Called with the number of pictures done, in which the one at work counts as the share of it
            that is done, and with the number of all.
        announce: Called with a sentence before anything that will take long.
        parser: What parses the files.
    """

    paths: Sequence[str]
    detector: "Detector"
    max_megapixels: float
    max_megabytes: float
    on_progress: Callable[[float, int], None]
    announce: Callable[[str], None]
    parser: "FileParser"

    def each(
        self, use: "Callable[[int, Picture, Inspection], _Outcome]", fail: Callable[[str, str], _Outcome]
    ) -> Iterator[_Outcome]:
        """Inspect all pictures in order; one that fails does not stop the others.

        Args:
            use: Makes of the number, the picture and its inspection what is wanted; their arrays are gone before the
                next picture is read, unless it keeps them.
            fail: Makes the same of a path and a sentence on what is wrong with it.
        """
        for number, path in enumerate(self.paths):
            try:
                outcome = self._inspect(number, use)
            except DoctoredError as error:
                outcome = fail(path, str(error))
            except MemoryError:
                outcome = fail(path, f"{path} needs more memory than is free; close other programs")
            self.on_progress(number + 1, len(self.paths))
            yield outcome

    def _inspect(self, number: int, use: "Callable[[int, Picture, Inspection], _Outcome]") -> _Outcome:
        path = self.paths[number]
        picture = self.parser.read(path, max_megapixels=self.max_megapixels, max_megabytes=self.max_megabytes)
        self._announce_duration(number, picture)
        inspection = self.detector.inspect(
            picture, on_progress=lambda done, total: self.on_progress(number + done / total, len(self.paths))
        )
        return use(number, picture, inspection)

    def _announce_duration(self, number: int, picture: "Picture") -> None:
        """Say before the first picture how long all may take, and before any other whether it alone is long."""
        height, width = picture.size_hw
        count = len(self.paths) if number == 0 else 1
        if height * width * count < _WORTH_ESTIMATING_PX:
            return
        seconds = self.detector.estimate_seconds(picture)
        size = f"{width * height / 1e6:.1f} megapixels"
        if seconds > _ANNOUNCED_SECONDS:
            self.announce(f"{self.paths[number]} has {size} and takes about {duration(seconds)}")
        if count > 1 and seconds * count > _ANNOUNCED_SECONDS:
            self.announce(
                f"{count} pictures take about {duration(seconds * count)} if all are like the first ({size})"
            )


def results(batch: Batch, plans: "Sequence[OutputFiles] | None") -> Iterator[dict[str, Any]]:
    """The JSON form of each result, in order.

    Args:
        batch: The pictures.
        plans: Where the files of each picture go; None writes none.
    """
    from doctored.apps.outputs import write_outputs
    from doctored.core.inspection import failed_json

    def result_of(number: int, picture: "Picture", inspection: "Inspection") -> dict[str, Any]:
        path = batch.paths[number]
        if plans is None:
            return inspection.to_json(path=path)
        outputs = {kind: str(file) for kind, file in plans[number].by_kind().items()}
        result = inspection.to_json(path=path, outputs=outputs)
        write_outputs(plans[number], picture, inspection, result)
        return result

    return batch.each(result_of, failed_json)


def duration(seconds: float) -> str:
    """A duration as one says it, for instance "40 s", "3 min" or "2 h 10 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def summary(result: dict[str, Any]) -> str:
    """A result in a few lines for people.

    Args:
        result: The JSON form of one that did not fail.
    """
    from doctored.apps.markings import FAMILIES_IN_WORDS, SHOWN_SCORE, names_in_words, technique_in_words

    lines = [f"{result['path']}: {VERDICTS[result['verdict']]}", f"  {result['reason']}"]
    if result["detection_score"] is not None:
        # Where there is too little to compare with, the rate would be quoted for more than it says.
        judged = result["verdict"] != "cannot_judge"
        rate = f", false-alarm rate {result['false_alarm_rate']:.3f}" if judged else ", for ranking only"
        lines.append(f"  score {result['detection_score']:.3f}{rate}")
    for witness in result["witnesses"]:
        scale = witness["scale"]
        resized = "" if scale == 1 else f", on the picture resized to {scale:.0%} of its sides"
        lines.append(f"  {witness['name']}: raw score {witness['raw_score']:.3f}{resized}")
    for region in result["regions"]:
        if region["score"] < SHOWN_SCORE:
            continue
        x1, y1, x2, y2 = region["box_xyxy"]
        technique = technique_in_words(region["technique"])
        line = f"  {technique}, {x2 - x1} x {y2 - y1} px at {x1}, {y1}: score {region['score']:.2f}"
        # Results of earlier versions have no such keys.
        if (twin := region.get("twin_box_xyxy")) is not None:
            left, top, right, bottom = twin
            line += f", the same as {right - left} x {bottom - top} px at {left}, {top}"
        if (grid := region.get("jpeg_grid_xy")) is not None:
            line += (
                f", on another JPEG grid than the rest (blocks start at {grid[0]}, {grid[1]} of every 8 px)"
            )
        if region["family"] is not None:
            line += f", {FAMILIES_IN_WORDS[region['family']]} ({region['family_score']:.2f})"
        if region["witnesses"]:
            line += f", seen by {names_in_words(region['witnesses'])}"
        lines.append(line)
    if "overlay" in result["outputs"]:
        lines.append(f"  see {result['outputs']['overlay']}")
    return "\n".join(lines)
