"""From a job's picture to the files that its client can ask for."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from doctored.apps.file_parser import FileParser
from doctored.apps.outputs import OutputFiles, rgb_profile, write_outputs
from doctored.apps.png import write_png
from doctored.apps.report import Origin, PictureSection, Report, encode_report, picture_section
from doctored.apps.report.wording import VERDICTS, place_title
from doctored.apps.web.jobs import Job
from doctored.apps.web.pyramid import TILE_PX, full_map, halvings, write_pyramid
from doctored.core.inspection import Inspection
from doctored.core.picture import Picture

if TYPE_CHECKING:
    from doctored.predict import Detector

ANSWER = "answer"
"""The name of the map that the verdict comes from; the others are those of the witnesses."""

_RESULT = "result.json"
_PROFILE = "profile.icc"
_PYRAMID = "pyramid"
_MASK_BAND_ROWS = 256


@dataclass(frozen=True)
class Analysis:
    """What the worker does with a picture.

    Args:
        detector: The model.
        max_megapixels: Larger pictures are refused.
        parser: What parses files.
    """

    detector: "Detector"
    max_megapixels: float
    parser: FileParser

    def __call__(self, job: Job, on_progress: Callable[[int, int], None]) -> None:
        """Inspect the picture of a job and write all results."""
        picture = self.parser.decode(job.name, job.upload.read_bytes(), max_megapixels=self.max_megapixels)
        # Content Credentials are read from the file once more.
        picture = replace(picture, path=str(job.upload))
        inspection = self.detector.inspect(picture, on_progress)
        write_result(job.folder, job.name, picture, inspection, self.detector.precision, self.parser)
        job.upload.unlink()


def write_result(
    folder: Path, name: str, picture: Picture, inspection: Inspection, precision: str, parser: FileParser
) -> None:
    """Write everything that is shown of an inspection.

    Args:
        folder: Where to.
        name: What the picture is called.
        picture: As it was read.
        inspection: What was found in it.
        precision: What the model computed in.
        parser: What parses the file once more, for the report.
    """
    section = picture_section(name, picture, inspection, parser=parser)
    report = Report([section], Origin.of([section], precision, command=None))
    for ending in (".html", ".json"):
        (folder / f"report{ending}").write_bytes(encode_report(report, ending))
    witnesses = tuple(witness.name for witness in inspection.witnesses)
    files = OutputFiles(folder, "picture", witnesses)
    write_outputs(files, picture, inspection, section.result)
    maps = {ANSWER: inspection.localization_map}
    if len(witnesses) > 1:
        maps |= {witness.name: witness.localization_map for witness in inspection.witnesses}
    (folder / _PYRAMID).mkdir()
    write_pyramid(folder / _PYRAMID, picture.pixels, maps)
    (folder / _PROFILE).write_bytes(rgb_profile(picture) or b"")
    result = _result_json(section, inspection, list(maps))
    (folder / _RESULT).write_text(json.dumps(result, allow_nan=False), "ascii")


def _result_json(section: PictureSection, inspection: Inspection, maps: list[str]) -> dict[str, Any]:
    """What the page shows."""
    height, width = inspection.picture.size_hw
    views = section.views
    return {
        "verdict": inspection.verdict,
        "title": VERDICTS[inspection.verdict],
        "report": section.to_json(),
        "markings": [
            {
                "title": place_title(number, close_up.region),
                "box_xyxy": list(close_up.region_box_xyxy),
                "score": None if close_up.region is None else close_up.region["score"],
                "mean": close_up.mean,
                "highest": close_up.highest,
            }
            for number, close_up in enumerate(views.close_ups, 1)
        ],
        "markings_left_out": views.regions_left_out,
        "highest": views.highest,
        "facts": [{"title": title, "text": text} for title, text in section.evidence.sentences()],
        "maps": maps,
        "tiles": {
            "width": width,
            "height": height,
            "tile_px": TILE_PX,
            "halvings": halvings(inspection.picture.size_hw),
        },
        "files": [*_files(maps[1:]), "mask.png"],
    }


def _files(witnesses: list[str]) -> dict[str, tuple[str, str]]:
    """Name on disk and media type of everything that can be downloaded as it lies there."""
    files = {
        "report.html": ("report.html", "text/html"),
        "report.json": ("report.json", "application/json"),
        "result.json": ("picture.json", "application/json"),
        "overlay.png": ("picture.overlay.png", "image/png"),
        "map.png": ("picture.map.png", "image/png"),
    }
    return files | {f"{name}.map.png": (f"picture.{name}.map.png", "image/png") for name in witnesses}


class StoredResult:
    """The results of a job that is done.

    Args:
        folder: That `write_result` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.json: dict[str, Any] = json.loads((folder / _RESULT).read_text("ascii"))

    @property
    def pyramid(self) -> Path:
        """The folder of tiles."""
        return self._folder / _PYRAMID

    @property
    def profile(self) -> bytes | None:
        """The colour profile of the picture."""
        return (self._folder / _PROFILE).read_bytes() or None

    def file(self, name: str) -> tuple[Path, str] | None:
        """Path and media type of a download; None if there is none of this name."""
        found = _files(self.json["maps"][1:]).get(name)
        return None if found is None else (self._folder / found[0], found[1])

    def mask(self, threshold: float) -> bytes:
        """A PNG file: white where the answer's map is at or above a threshold, else black."""
        answer = full_map(self.pyramid, ANSWER)
        file = io.BytesIO()
        write_png(file, _mask_bands(answer, threshold), size_hw=(answer.shape[0], answer.shape[1]))
        return file.getvalue()


def _mask_bands(localization_map: NDArray[np.float32], threshold: float) -> Iterator[NDArray[np.uint16]]:
    for top in range(0, len(localization_map), _MASK_BAND_ROWS):
        above = localization_map[top : top + _MASK_BAND_ROWS] >= threshold
        yield np.where(above, 65535, 0).astype(np.uint16)
