"""Folders of forged and authentic files, with their masks, their recipes and a table.

Sample number n depends on the photographs, the settings and n alone, so it does not matter which process makes it,
or whether the program was stopped in between.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.forgery import TECHNIQUES, Outline, Source
from doctored.core.json_text import parse_json
from doctored.core.recipe import GENERATOR_VERSION
from doctored.data.photograph_pool import annotated_outlines, read_source
from doctored.data.photographs import Photograph, Skipped, lies_in, list_photographs
from doctored.data.result_files import as_text, fingerprint, mask_png, table
from doctored.data.resumable_folder import open_folder, work_through, write_file
from doctored.synth.forge import edited_recipes_refused
from doctored.synth.forged_file import FileRecipe, ForgedFile, draw_file, make_file
from doctored.synth.histories import DOMAIN_SHARES, Domain, smallest_side_px
from doctored.synth.objects import find_objects

# Forged pictures and their masks in `images` and `masks`, others in `authentic`: as `list_pairs` reads them.
IMAGES, MASKS, SOURCE_MASKS = "images", "masks", "source_masks"
AUTHENTIC, AUTHENTIC_MASKS = "authentic", "authentic_masks"
RECIPES, OBJECTS = "recipes", "objects"
FOLDERS = (IMAGES, MASKS, SOURCE_MASKS, AUTHENTIC, AUTHENTIC_MASKS, RECIPES, OBJECTS)
MANIFEST, PHOTOGRAPHS = "manifest.csv", "photographs.csv"
RESULTS = (*FOLDERS, MANIFEST, PHOTOGRAPHS)
MANIFEST_COLUMNS = (
    "name", "technique", "domain", "image", "mask", "source_mask", "recipe",
    "width", "height", "manipulated_fraction", "host", "donor",
)  # fmt: skip
_DONOR_TRIES = 8
_SOURCES_IN_MEMORY = 12

Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and how many there are."""


@dataclass(frozen=True)
class ForgeSettings:
    """What is to be made.

    Args:
        count: Number of files.
        kinds: Some of `TECHNIQUES`; each comes equally often.
        seed: Of every choice.
        size_px: Side of the pictures.
        domain: "web", "lossless" or "chain"; None mixes them by their shares.
    """

    count: int
    kinds: tuple[str, ...] = TECHNIQUES
    seed: int = 0
    size_px: int = 256
    domain: Domain | None = None

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in TECHNIQUES]
        if unknown or not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(
                f"--kind takes each of {', '.join(TECHNIQUES)} at most once; got {', '.join(self.kinds)}"
            )
        if self.domain is not None and self.domain not in DOMAIN_SHARES:
            raise ConfigError(f"--domain is {self.domain!r}; choose one of {', '.join(DOMAIN_SHARES)}")


def forge_files(
    photos: Path,
    output: Path,
    settings: ForgeSettings,
    *,
    annotations: Path | None = None,
    workers: int = 1,
    force: bool = False,
    on_progress: Progress = lambda what, done, total: None,
) -> list[Skipped]:
    """Fill a folder with forgeries, or go on filling it.

    Args:
        photos: Folder of photographs without manipulation.
        output: Where everything goes; photographs in it are not used.
        settings: What is to be made.
        annotations: A COCO-style file that outlines objects in some of the photographs, to cut out besides those
            found in the pixels.
        workers: Number of processes.
        force: Whether the results of another command in `output` may be removed.
        on_progress: Told how far it is.

    Returns:
        The photographs that cannot be used, each with the reason.

    Raises:
        ConfigError: `output` holds something else.
        DataError: There are not two usable photographs, or the annotations fit none of them, or the disk
            refuses.
    """
    photographs = _outside(list_photographs(photos), output)
    annotated = {} if annotations is None else annotated_outlines(annotations, photographs)
    command = {
        "command": "forge",
        "generator": GENERATOR_VERSION,
        **asdict(settings),
        "kinds": list(settings.kinds),
        "photographs": fingerprint(photographs),
    }
    if annotations is not None:
        command["annotations"] = hashlib.sha256(annotations.read_bytes()).hexdigest()
    open_folder(output, command, RESULTS, force=force)
    try:
        for name in FOLDERS:
            (output / name).mkdir(exist_ok=True)
        skipped = check_photographs(
            photographs, output, smallest_side_px(settings.size_px), workers, on_progress
        )
        unusable = {skip.file for skip in skipped}
        usable = [photograph for photograph in photographs if as_text(photograph.file) not in unusable]
        if len(usable) < 2:
            first = f" (the first: {skipped[0].reason})" if skipped else ""
            raise DataError(
                f"{len(usable)} of {len(photographs)} photographs can be used{first}; forgeries need two"
            )
        complete = {path.stem for path in (output / RECIPES).glob("*.json")}
        missing = [number for number in range(settings.count) if sample_name(number) not in complete]
        done = settings.count - len(missing)

        def count(number: int, result: None) -> None:
            nonlocal done
            done += 1
            on_progress("forgeries", done, settings.count)

        on_progress("forgeries", done, settings.count)
        work_through(SampleWriter(usable, output, settings, annotated), missing, workers, count)
        _write_manifest(output, settings.count)
    except OSError as error:
        raise DataError(
            f"{output} cannot be written ({error}); make room or choose another folder"
        ) from error
    return skipped


def rebuild_file(recipe: Path, photos: Path) -> ForgedFile:
    """Make a file again from its recipe.

    Args:
        recipe: A file of `recipes/`.
        photos: The folder of photographs that it was made from.

    Raises:
        DataError: The recipe cannot be read, or a photograph is not the one that it names.
        ImageReadError: A photograph cannot be read.
    """
    try:
        document = parse_json(recipe.read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{recipe} is no recipe of a forged file ({error!r})") from error
    read = FileRecipe.from_json(json.dumps(document))
    host, donor = (
        read_source(Photograph(photos / source.file, source.file))
        for source in (read.picture.host, read.picture.donor)
    )
    with edited_recipes_refused(read.picture):
        return make_file(read, host, donor)


class SampleWriter:
    """Makes one sample by its number and writes its files, the recipe last: a sample with a recipe is complete.

    Args:
        photographs: All of them usable.
        output: The folder of all samples.
        settings: What is to be made.
        annotated: Known objects by photograph's file; they come before those found in the pixels.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        output: Path,
        settings: ForgeSettings,
        annotated: Mapping[str, Sequence[Outline]],
    ) -> None:
        self.photographs, self.output, self.settings = list(photographs), output, settings
        self.annotated = annotated
        self._sources: dict[int, Source] = {}

    def __call__(self, number: int) -> None:
        settings, name = self.settings, sample_name(number)
        kind, host, donor, seed = self.draw(number)
        with one_opencv_thread():
            sources = self._source(host), self._source(donor)
            recipe = draw_file(*sources, kind, settings.size_px, seed, settings.domain)
            made = make_file(recipe, *sources)
        images, masks = (AUTHENTIC, AUTHENTIC_MASKS) if kind == "authentic" else (IMAGES, MASKS)
        image, mask = f"{images}/{name}{made.recipe.suffix}", f"{masks}/{name}.png"
        row = {
            "name": name,
            "technique": kind,
            "domain": made.recipe.picture.domain,
            "image": image,
            "mask": mask,
            "source_mask": "",
            "recipe": f"{RECIPES}/{name}.json",
            "width": made.forgery.image.shape[1],
            "height": made.forgery.image.shape[0],
            "manipulated_fraction": round(float(made.forgery.gt_mask.mean()), 6),
            "host": self.photographs[host].file,
            "donor": self.photographs[donor].file if kind == "splicing" else "",
        }
        write_file(self.output / image, made.data)
        write_file(self.output / mask, mask_png(made.forgery.gt_mask))
        if made.forgery.source_mask is not None:
            row["source_mask"] = f"{SOURCE_MASKS}/{name}.png"
            write_file(self.output / SOURCE_MASKS / f"{name}.png", mask_png(made.forgery.source_mask))
        document = {"row": row, "recipe": json.loads(made.recipe.to_json())}
        write_file(self.output / RECIPES / f"{name}.json", (json.dumps(document) + "\n").encode())

    def draw(self, number: int) -> tuple[str, int, int, int]:
        """Kind, positions of host and donor, and seed of a sample."""
        kinds, rng = self.settings.kinds, np.random.default_rng((self.settings.seed, number))
        # Every round of kinds is shuffled anew, or names would tell the kind.
        turn, place = divmod(number, len(kinds))
        order = np.random.default_rng((self.settings.seed, turn, len(kinds))).permutation(len(kinds))
        for _ in range(_DONOR_TRIES):
            host, donor = (int(one) for one in rng.choice(len(self.photographs), size=2, replace=False))
            if _group(self.photographs[host]) != _group(self.photographs[donor]):
                break
        return kinds[order[place]], host, donor, int(rng.integers(2**53))

    def _source(self, position: int) -> Source:
        """A photograph and its objects; looking for these takes long, so they are kept in a file."""
        if position not in self._sources:
            if len(self._sources) == _SOURCES_IN_MEMORY:
                self._sources.pop(next(iter(self._sources)))
            source = read_source(self.photographs[position])
            path = self.output / OBJECTS / f"{source.sha256[:32]}.json"
            if path.is_file():
                outlines = parse_json(path.read_text(encoding="utf-8"))
            else:
                found = find_objects(source.pixels)
                outlines = [[ring.tolist() for ring in outline] for outline in found]
                write_file(path, json.dumps(outlines, separators=(",", ":")).encode())
            objects = (tuple(np.array(ring, np.int32) for ring in outline) for outline in outlines)
            known = self.annotated.get(source.file, ())
            self._sources[position] = replace(source, objects=(*known, *objects))
        return self._sources[position]


def sample_name(number: int) -> str:
    """The name that all files of a sample have in common."""
    return f"{number:06d}"


def check_photographs(
    photographs: Sequence[Photograph],
    output: Path,
    min_side_px: int,
    workers: int,
    on_progress: Progress,
) -> list[Skipped]:
    """Find the photographs that cannot be used, and list all in `photographs.csv`; read it where it is there.

    Returns:
        Those that cannot be read or are too small, in the order given.
    """
    path = output / PHOTOGRAPHS
    if not path.is_file():
        problems: dict[str, str] = {}

        def note(photograph: Photograph, problem: str) -> None:
            problems[photograph.file] = problem
            on_progress("photographs", len(problems), len(photographs))

        work_through(PhotographCheck(min_side_px), photographs, workers, note)
        rows = [{"file": photo.file, "problem": problems[photo.file]} for photo in photographs]
        write_file(path, table(("file", "problem"), rows))
    with path.open(encoding="utf-8", newline="") as lines:
        return [Skipped(row["file"], row["problem"]) for row in csv.DictReader(lines) if row["problem"]]


@dataclass(frozen=True)
class PhotographCheck:
    """Says of a photograph why it cannot be used, or nothing."""

    min_side_px: int

    def __call__(self, photograph: Photograph) -> str:
        try:
            height, width = read_source(photograph).size_hw
        except DoctoredError as error:
            return str(error)
        if min(height, width) < self.min_side_px:
            return f"{photograph.file} is {width} x {height} pixels; both sides must be at least {self.min_side_px}"
        return ""


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV uses one thread meanwhile: sums come out the same everywhere, and workers do not crowd each other."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _outside(photographs: Sequence[Photograph], output: Path) -> list[Photograph]:
    """The photographs that are no results of an earlier call."""
    left = [photo for photo in photographs if not lies_in(photo.path, output)]
    if not left:
        raise ConfigError(f"all photographs lie in {output}; choose another --output folder")
    return left


def _write_manifest(output: Path, count: int) -> None:
    paths = (output / RECIPES / f"{sample_name(number)}.json" for number in range(count))
    rows = [json.loads(path.read_text(encoding="utf-8"))["row"] for path in paths]
    write_file(output / MANIFEST, table(MANIFEST_COLUMNS, rows))


def _group(photograph: Photograph) -> str:
    return photograph.camera or photograph.source or photograph.file
