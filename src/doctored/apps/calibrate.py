"""`doctored calibrate`: from authentic pictures to a stored calibration."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from doctored.core.errors import ConfigError, DataError, DoctoredError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from doctored.core.picture import Picture
    from doctored.data.photographs import Photograph
    from doctored.predict import Detector
    from doctored.predict.calibration import Calibration, Compression

Score = TypeVar("Score")

SMALLEST_SIDE_PX = 256
_UNREADABLE = "cannot be read"
_EDITED = "names an editor"
_SMALL = f"short side under {SMALLEST_SIDE_PX} px"
_DUPLICATE = "same file as another"


@dataclass(frozen=True)
class LeftOut:
    """A picture that was not used.

    Args:
        path: Of the file.
        reason: In a few words, the same for all of a kind.
        detail: In a sentence.
    """

    path: Path
    reason: str
    detail: str


@dataclass
class CalibrationRun:
    """Pictures to calibrate a model on.

    What is found is kept, picture by picture, in a file beside the output, so that the same call goes on where
    another was stopped.

    Args:
        photographs: In the order in which they are stored.
        detector: The model.
        output: The file to write.
        with_variants: Whether to make smaller and re-saved versions of each picture.
        seed: Of these.
        on_progress: Called with the numbers of pictures done and to do.
        left_out: Filled by `calibrate`.
    """

    photographs: "Sequence[Photograph]"
    detector: "Detector"
    output: Path
    with_variants: bool
    seed: int
    on_progress: Callable[[int, int], None]
    left_out: list[LeftOut] = field(default_factory=list)

    def calibrate(self) -> "Calibration":
        """Run the model over all pictures and write the calibration.

        Raises:
            DataError: No picture can be used, or the output cannot be written.
        """
        from doctored.predict.calibration import Calibration, CalibrationPhotograph, Entry

        photographs: list[CalibrationPhotograph] = []
        entries: list[Entry] = []
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            for photograph, found in self._findings():
                if "reason" in found:
                    self.left_out.append(LeftOut(photograph.path, found["reason"], found["detail"]))
                    continue
                number = len(photographs)
                photographs.append(CalibrationPhotograph(found["sha256"], group_of(photograph)))
                entries += [
                    Entry(number, (height, width), compression, score)
                    for height, width, compression, score in found["entries"]
                ]
        except OSError as error:
            raise DataError(f"{self.output} cannot be written ({error}); choose another --output") from error
        if not entries:
            first = f" (the first: {self.left_out[0].detail})" if self.left_out else ""
            raise DataError(f"none of the {len(self.photographs)} pictures can be used{first}")
        calibration = Calibration(
            model=self.detector.name,
            model_sha256=self.detector.sha256,
            raw_score=self.detector.raw_score_rule,
            precision=self.detector.precision,
            versions=self._versions(),
            photographs=tuple(photographs),
            entries=tuple(entries),
            left_out=dict(sorted(Counter(one.reason for one in self.left_out).items())),
        )
        calibration.save(self.output)
        self._journal.unlink(missing_ok=True)
        return calibration

    @property
    def _journal(self) -> Path:
        return self.output.with_name(f".{self.output.name}.journal")

    def _versions(self) -> str:
        return f"as they are, smaller and re-saved, seed {self.seed}" if self.with_variants else "as they are"

    def _findings(self) -> Iterator[tuple["Photograph", dict[str, Any]]]:
        """What was found of each picture, now or in a call that was stopped."""
        command = {
            "model_sha256": self.detector.sha256,
            "precision": self.detector.precision,
            "raw_score": self.detector.raw_score_rule,
            "versions": self._versions(),
        }
        earlier = _read_journal(self._journal, command)
        with self._journal.open("w", encoding="utf-8") as journal:
            journal.write(json.dumps(command) + "\n")
            journal.writelines(json.dumps(found) + "\n" for found in earlier.values())
            journal.flush()
            seen: set[str] = set()
            for number, photograph in enumerate(self.photographs):
                self.on_progress(number, len(self.photographs))
                found = self._finding(photograph, seen, earlier)
                if "entries" in found:
                    seen.add(found["sha256"])
                    if found["sha256"] not in earlier:
                        journal.write(json.dumps(found) + "\n")
                        journal.flush()
                yield photograph, found

    def _finding(
        self, photograph: "Photograph", seen: set[str], earlier: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Either "reason" and "detail" why a picture is left out, or "sha256" and "entries" of its versions."""
        from doctored.core.read_image import read_image
        from doctored.data.editors import editor_named_in

        try:
            picture = read_image(photograph.path)
            editor = editor_named_in(photograph.path.read_bytes())
        except (DoctoredError, OSError) as error:
            return {"reason": _UNREADABLE, "detail": str(error)}
        height, width = picture.size_hw
        if min(height, width) < SMALLEST_SIDE_PX:
            detail = f"is {width} x {height} pixels; both sides must be at least {SMALLEST_SIDE_PX}"
            return {"reason": _SMALL, "detail": f"{photograph.path} {detail}"}
        if editor is not None:
            return {"reason": _EDITED, "detail": f"{photograph.path} names the editor {editor!r}"}
        if picture.sha256 in seen:
            return {"reason": _DUPLICATE, "detail": f"{photograph.path} is the same file as an earlier one"}
        return earlier.get(picture.sha256) or {
            "sha256": picture.sha256,
            "entries": list(version_scores(picture, self.detector.raw_score, self.with_variants, self.seed)),
        }


def version_scores(
    picture: "Picture", score_of: "Callable[[NDArray[np.uint8]], Score]", with_variants: bool, seed: int
) -> "Iterator[tuple[int, int, Compression, Score]]":
    """Height, width, compression and score of a picture as it is and, if wanted, of its `data.variants`.

    Args:
        picture: As read from its file.
        score_of: From pixels (H, W, 3) to a score.
        with_variants: Whether to make the variants.
        seed: Of these.
    """
    from doctored.data.variants import variants
    from doctored.predict.calibration import compression_of

    score, compression = score_of(picture.pixels), compression_of(picture)
    yield *picture.size_hw, compression, score
    if not with_variants:
        return
    if compression != "lossless":
        # Stored without loss, these very pixels would score the same.
        yield *picture.size_hw, "lossless", score
    for variant in variants(picture, seed):
        height, width, _ = variant.pixels.shape
        quality = variant.jpeg_quality
        yield height, width, "lossless" if quality is None else quality, score_of(variant.pixels)


def group_of(photograph: "Photograph") -> str:
    """What a picture shares with others: its source and the make of its camera, or else its folder."""
    if photograph.source is None:
        return Path(photograph.file).parent.as_posix()
    return f"{photograph.source}: {photograph.make}" if photograph.make else photograph.source


def check_output(output: Path, *, force: bool) -> None:
    """Refuse to write over something else.

    Raises:
        ConfigError: The file exists and force is not given, or it is a folder.
    """
    if output.is_dir():
        raise ConfigError(
            f"{output} is a folder; give the file to write, such as {output / 'calibration.json'}"
        )
    if output.exists() and not force:
        raise ConfigError(f"{output} already exists; choose another --output, or overwrite it with --force")


def unreadable(left_out: Sequence[LeftOut]) -> bool:
    """Whether some picture was left out because it could not be read, which is a failure."""
    return any(one.reason == _UNREADABLE for one in left_out)


def _read_journal(path: Path, command: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What an earlier call of the same command found, by hash of the picture."""
    found: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return found
    first, *lines = path.read_text(encoding="utf-8").split("\n")
    if first != json.dumps(command):
        return found
    # What follows the last line break was cut off, or is empty.
    for line in lines[:-1]:
        one = json.loads(line)
        found[one["sha256"]] = one
    return found
