"""A report of one or more pictures as data; pages and JSON are made from it."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import PurePath
from typing import Any

import doctored
from doctored.apps.file_parser import FileParser
from doctored.apps.report.file_evidence import FileEvidence, gather_file_evidence
from doctored.apps.report.views import Views, make_views
from doctored.apps.report.wording import false_alarms, misleading, not_checked, verdict_sentence
from doctored.core.inspection import Inspection, failed_json
from doctored.core.picture import Picture

# Whose version can change a result.
_LIBRARIES = ("numpy", "openvino", "pillow", "torch", "c2pa-python")


@dataclass(frozen=True)
class PictureSection:
    """What a report says of one picture that was analysed.

    Attributes:
        path: As the caller named it.
        result: JSON form of the inspection, as `doctored detect --json` prints it.
        sentence: The verdict in a sentence that can be quoted.
        false_alarms: The false-alarm rate in plain words.
        misleading: What could mislead, one sentence each.
        not_checked: What was not checked, one sentence each.
        views: What is shown.
        evidence: What the file says.
    """

    path: str
    result: dict[str, Any]
    sentence: str
    false_alarms: str
    misleading: Sequence[str]
    not_checked: Sequence[str]
    views: Views
    evidence: FileEvidence

    @property
    def name(self) -> str:
        """Of the file, without its folder."""
        return PurePath(self.path).name

    def to_json(self) -> dict[str, Any]:
        """One entry of the list ``pictures``."""
        views = self.views
        return {
            "path": self.path,
            "error": None,
            "sentence": self.sentence,
            "false_alarms": self.false_alarms,
            "inspection": self.result,
            "agreement": None if views.agreement is None else views.agreement.to_json(),
            "places": [
                {"box_xyxy": list(c.region_box_xyxy), "mean": c.mean, "highest": c.highest}
                for c in views.close_ups
                if c.region is None
            ],
            "file": self.evidence.to_json(),
            "misleading": list(self.misleading),
            "not_checked": list(self.not_checked),
        }


@dataclass(frozen=True)
class FailedSection:
    """What a report says of one input that could not be analysed.

    Attributes:
        path: As the caller named it.
        error: One sentence.
    """

    path: str
    error: str

    @property
    def name(self) -> str:
        """Of the file, without its folder."""
        return PurePath(self.path).name

    def to_json(self) -> dict[str, Any]:
        """One entry of the list ``pictures``."""
        return {
            "path": self.path,
            "error": self.error,
            "sentence": None,
            "false_alarms": None,
            "inspection": failed_json(self.path, self.error),
            "agreement": None,
            "places": None,
            "file": None,
            "misleading": None,
            "not_checked": None,
        }


@dataclass(frozen=True)
class Origin:
    """What made a report, so that somebody else can make it again.

    Attributes:
        made_at: Date and time, UTC.
        command: That makes the same report; None if no command did.
        models: Name and SHA-256 of the weights of every witness that looked.
        precision: What they computed in.
        calibrations: SHA-256 of every calibration that was used.
        versions: Of doctored, Python, and the libraries whose version can change a result.
    """

    made_at: datetime
    command: str | None
    models: Sequence[tuple[str, str]]
    precision: str
    calibrations: Sequence[str]
    versions: dict[str, str]

    @classmethod
    def of(
        cls, sections: Sequence[PictureSection | FailedSection], precision: str, command: str | None
    ) -> "Origin":
        """The origin of results that are there now.

        Args:
            sections: The results.
            precision: What the model computed in.
            command: That makes the same report.
        """
        results = [section.result for section in sections if isinstance(section, PictureSection)]
        witnesses = [(w["name"], w["sha256"]) for result in results for w in result["witnesses"]]
        calibrations = [result["calibration"]["sha256"] for result in results if result["calibration"]]
        return cls(
            made_at=datetime.now(UTC).replace(microsecond=0),
            command=command,
            models=list(dict.fromkeys(witnesses)),
            precision=precision,
            calibrations=list(dict.fromkeys(calibrations)),
            versions={
                "doctored": doctored.__version__,
                "python": platform.python_version(),
                **_library_versions(),
            },
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        models = [{"name": name, "sha256": sha256} for name, sha256 in self.models]
        return asdict(self) | {"made_at": self.made_at.isoformat(), "models": models}


def _library_versions() -> dict[str, str]:
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        sections: One for each input, in input order.
        origin: What made it.
    """

    sections: Sequence[PictureSection | FailedSection]
    origin: Origin

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `report.schema.json` beside this file describes it, keys are only ever added."""
        return {
            "origin": self.origin.to_json(),
            "pictures": [section.to_json() for section in self.sections],
        }


def picture_section(
    path: str,
    picture: Picture,
    inspection: Inspection,
    *,
    show_position: bool = False,
    trust_anchors: str | None = None,
    parser: FileParser | None = None,
) -> PictureSection:
    """What a report says of a picture; neither its pixels nor its maps are kept.

    Args:
        path: As the caller named it.
        picture: As it was read.
        inspection: What was found in it.
        show_position: Whether to show the position that the file states, if it does.
        trust_anchors: Certificates, in PEM format, of those whose Content Credentials are trusted.
        parser: What parses the file; None for this process.
    """
    evidence = gather_file_evidence(
        picture, show_position=show_position, trust_anchors=trust_anchors, parser=parser
    )
    return PictureSection(
        path=path,
        result=inspection.to_json(path=path),
        sentence=verdict_sentence(path, inspection),
        false_alarms=false_alarms(inspection),
        misleading=misleading(inspection, evidence),
        not_checked=not_checked(evidence),
        views=make_views(picture, inspection, evidence.thumbnail),
        evidence=evidence,
    )
