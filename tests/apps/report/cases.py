"""Pictures, inspections and reports with known contents."""

import numpy as np

import doctored
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.report import FailedSection, Origin, Report, picture_section
from doctored.core.inspection import (
    AnsweringModel,
    Comparison,
    Inspection,
    PictureFacts,
    Timing,
    WitnessFinding,
)
from doctored.core.read_image import read_image

WITNESSES = ("mantranet", "constrained-rcnn", "copy-search", "grid-search")
MARKUP = "<script>alert('x')</script><img src=http://example.com/a.png onerror=alert(1)>&amp;\"'"


def picture_file(folder, name="photo.jpg", size=(240, 180), **options):
    """A JPEG file, and the picture that it holds."""
    path = folder / name
    path.write_bytes(jpeg_bytes(scene(*size), quality=90, **options))
    return read_image(path)


def marked_picture(folder):
    """A picture whose name and EXIF block hold markup."""
    main = {271: MARKUP, 305: MARKUP, 306: MARKUP, 315: MARKUP}
    block = exif_block(
        main, {0x9003: MARKUP, 0xA434: MARKUP}, {1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 15.0, 0.0)}
    )
    return picture_file(folder, "<b>photo<!--.jpg", exif=block)


def high_map(size_hw, box_xyxy=(100, 60, 160, 120), value=0.9):
    """0.2, and the value inside a box."""
    localization_map = np.full(size_hw, 0.2, np.float32)
    x1, y1, x2, y2 = box_xyxy
    localization_map[y1:y2, x1:x2] = value
    return localization_map


def inspection_of(
    picture, *, verdict="manipulated", rate=0.02, maps=None, regions=(), comparison=True, smaller=False
):
    """An inspection of a calibrated model, with one witness for each map."""
    maps = maps or [high_map(picture.size_hw)]
    witnesses = tuple(
        WitnessFinding(name, character * 64, 1.25, localization_map)
        for name, character, localization_map in zip(
            WITNESSES[: len(maps)], "abcd"[: len(maps)], maps, strict=True
        )
    )
    return Inspection(
        picture=PictureFacts.of(picture),
        model=AnsweringModel("mantranet", "0" * 64, 1.25),
        localization_map=maps[0],
        witnesses=witnesses,
        regions=tuple(regions),
        verdict=verdict,
        reason="the reason",
        detection_score=0.8 if rate else None,
        false_alarm_rate=rate,
        timing=Timing(1.0, None),
        version=doctored.__version__,
        comparison=Comparison(149, 2, 0.05, "c" * 64, smaller) if comparison else None,
    )


def section_of(picture, **options):
    """A section of a report about a picture."""
    return picture_section(picture.path, picture, inspection_of(picture, **options))


def report_of(*sections, command="doctored report photo.jpg --output report.html"):
    """A report of these sections."""
    return Report(sections, Origin.of(sections, "int8", command))


def failed():
    """A section of an input that cannot be read, with markup in its name."""
    return FailedSection("folder/<i>lost.jpg", "folder/<i>lost.jpg cannot be opened (gone); check the path")
