"""Folders of the forgeries that Constrained R-CNN is pre-trained on, with its list files."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from doctored.core.errors import ConfigError, DataError, DoctoredError
from doctored.core.read_image import read_image
from doctored.data.coco_annotations import AnnotatedPicture, read_annotations
from doctored.data.forged_folder import Progress, one_opencv_thread, sample_name
from doctored.data.hash_split import split_pictures
from doctored.data.list_files import COCO_LISTS, TAMPERED, Box, ListedPicture, list_box, list_line
from doctored.data.photographs import Photograph, Skipped, some_of
from doctored.data.result_files import fingerprint, mask_png, table
from doctored.data.resumable_folder import open_folder, work_through, write_file
from doctored.synth.coco_synthetic import (
    CATEGORIES,
    TRIES_PER_CATEGORY,
    Paste,
    draw_pastes,
    paste_object,
)

MASKS, RECIPES, MANIFEST = "mask", "recipes", "manifest.csv"
RESULTS = ("Tp_*.png", MASKS, RECIPES, MANIFEST, *COCO_LISTS.values())
MANIFEST_COLUMNS = (
    "name", "split", "category", "object_picture", "background", "blurred", "x1", "y1", "x2", "y2",
)  # fmt: skip


@dataclass(frozen=True)
class CocoSettings:
    """What is to be made.

    Args:
        tries: Pairs drawn per category.
        categories: Names in the annotation file.
        seed: Of every choice.
    """

    tries: int = TRIES_PER_CATEGORY
    categories: tuple[str, ...] = CATEGORIES
    seed: int = 0


def forge_coco(
    photos: Path,
    annotations: Path,
    output: Path,
    settings: CocoSettings,
    *,
    workers: int = 1,
    force: bool = False,
    on_progress: Progress = lambda what, done, total: None,
) -> list[Skipped]:
    """Fill a folder with the protocol's forgeries, or go on filling it.

    The pictures lie in the folder itself, as the lists expect, masks in `mask/` under the same names. The lists
    name no picture of one side on the other, neither as object nor as background.

    Differs: the original draws pairs from all pictures and afterwards splits the graph of who was pasted into
        whom into connected components. The pairs here are drawn within a side, which shares no picture between
        the sides either, works for small collections (whose graph has one component), and wastes nothing.

    Args:
        photos: Folder that the file names of the annotations refer to.
        annotations: An annotation file of the kind that COCO uses.
        output: Where everything goes.
        settings: What is to be made.
        workers: Number of processes.
        force: Whether the results of another command in `output` may be overwritten.
        on_progress: Told how far it is.

    Returns:
        The pictures that cannot be used, each with the reason.

    Raises:
        ConfigError: `output` holds something else, or no picture shows a category.
        DataError: The annotations cannot be read, or there are too few pictures, or the disk refuses.
    """
    pictures = _with_categories(read_annotations(annotations), settings.categories, annotations)
    files = [Photograph(photos / picture.file, picture.file) for picture in pictures]
    present = [file for file in files if file.path.is_file()]
    command = {
        "command": "forge --protocol coco-synthetic",
        **asdict(settings),
        "categories": list(settings.categories),
        "photographs": fingerprint([*present, Photograph(annotations, annotations.name)]),
    }
    _check_names(pictures, annotations)
    open_folder(output, command, RESULTS, force=force)
    try:
        for name in (MASKS, RECIPES):
            (output / name).mkdir(exist_ok=True)
        usable, skipped = _readable(pictures, photos, workers, on_progress)
        of_category = {
            category: [
                picture.id for picture in usable if any(o.category == category for o in picture.objects)
            ]
            for category in settings.categories
        }
        split = split_pictures([picture.id for picture in usable])
        pastes = draw_pastes(of_category, split, settings.tries, settings.seed)
        complete = {path.stem for path in (output / RECIPES).glob("*.json")}
        missing = [number for number in range(len(pastes)) if sample_name(number) not in complete]
        done = len(pastes) - len(missing)

        def count(number: int, result: None) -> None:
            nonlocal done
            done += 1
            on_progress("forgeries", done, len(pastes))

        on_progress("forgeries", done, len(pastes))
        writer = PasteWriter(pastes, {picture.id: picture for picture in usable}, photos, output)
        work_through(writer, missing, workers, count)
        _write_lists(output, len(pastes))
    except OSError as error:
        raise DataError(
            f"{output} cannot be written ({error}); make room or choose another folder"
        ) from error
    return skipped


class PasteWriter:
    """Makes one forgery by its number and writes its files, the recipe last: one with a recipe is complete.

    Args:
        pastes: All of them.
        pictures: By identifier.
        photos: The folder of the pictures.
        output: The folder of all forgeries.
    """

    def __init__(
        self,
        pastes: Sequence[Paste],
        pictures: Mapping[str, AnnotatedPicture],
        photos: Path,
        output: Path,
    ) -> None:
        self.pastes, self.pictures, self.photos, self.output = list(pastes), dict(pictures), photos, output

    def __call__(self, number: int) -> None:
        paste = self.pastes[number]
        donor, background = self.pictures[paste.object_id], self.pictures[paste.background_id]
        first = next(o for o in donor.objects if o.category == paste.category)
        pixels = [read_image(self.photos / picture.file).pixels for picture in (donor, background)]
        with one_opencv_thread():
            pasted = paste_object(pixels[0], first.mask(donor.size_hw), pixels[1], paste.blurred)
        document = None
        if pasted is not None:
            name = forgery_name(paste, pasted.box_xyxy)
            file = BytesIO()
            Image.fromarray(pasted.image).save(file, "PNG")
            write_file(self.output / f"{name}.png", file.getvalue())
            write_file(self.output / MASKS / f"{name}.png", mask_png(pasted.gt_mask))
            document = {
                "name": name,
                "split": paste.split,
                "category": paste.category,
                "object_picture": donor.file,
                "background": background.file,
                "blurred": paste.blurred,
                "box_xyxy": pasted.box_xyxy,
            }
        write_file(
            self.output / RECIPES / f"{sample_name(number)}.json", (json.dumps(document) + "\n").encode()
        )


@dataclass(frozen=True)
class PictureCheck:
    """Says of an annotated picture why it cannot be used, or nothing."""

    photos: Path

    def __call__(self, picture: AnnotatedPicture) -> str:
        try:
            size_hw = read_image(self.photos / picture.file).size_hw
            if size_hw != picture.size_hw:
                return (
                    f"{picture.file} is {size_hw[1]} x {size_hw[0]} pixels but was annotated at "
                    f"{picture.size_hw[1]} x {picture.size_hw[0]}"
                )
            for annotated in picture.objects:
                annotated.mask(size_hw)
        except DoctoredError as error:
            return f"{picture.file}: {error}"
        return ""


def forgery_name(paste: Paste, box_xyxy: Box) -> str:
    """The name of a forgery: `Tp_<object picture>_<background>_x1_y1_x2_y2_<category>`, without an ending."""
    box = list_box(box_xyxy, counts_from_one=True)
    words = [name_word(paste.object_id), name_word(paste.background_id), *map(str, box)]
    return "_".join(("Tp", *words, name_word(paste.category)))


def name_word(text: str) -> str:
    """Text without what separates fields and endings in names and lists."""
    return re.sub(r"[^0-9A-Za-z]+", "-", text)


def _listed(name: str, box_xyxy: Sequence[int]) -> ListedPicture:
    left, top, right, bottom = box_xyxy
    return ListedPicture(name, ((left, top, right, bottom),), (TAMPERED,))


def _with_categories(
    pictures: Sequence[AnnotatedPicture], categories: Sequence[str], annotations: Path
) -> list[AnnotatedPicture]:
    known = sorted({o.category for picture in pictures for o in picture.objects})
    if not set(categories) & set(known):
        raise ConfigError(
            f"{annotations} outlines no {' or '.join(categories)}; choose with --category among {some_of(known)}"
        )
    return [picture for picture in pictures if any(o.category in categories for o in picture.objects)]


def _check_names(pictures: Sequence[AnnotatedPicture], annotations: Path) -> None:
    words = Counter(name_word(picture.id) for picture in pictures)
    same = [picture.id for picture in pictures if words[name_word(picture.id)] > 1]
    if same:
        raise DataError(
            f"{annotations} has pictures whose identifiers make the same names: {some_of(same)}; "
            "give them identifiers that differ in letters and digits"
        )


def _readable(
    pictures: Sequence[AnnotatedPicture], photos: Path, workers: int, on_progress: Progress
) -> tuple[list[AnnotatedPicture], list[Skipped]]:
    problems: dict[str, str] = {}

    def note(picture: AnnotatedPicture, problem: str) -> None:
        problems[picture.id] = problem
        on_progress("photographs", len(problems), len(pictures))

    work_through(PictureCheck(photos), pictures, workers, note)
    usable = [picture for picture in pictures if not problems[picture.id]]
    return usable, [Skipped(p.file, problems[p.id]) for p in pictures if problems[p.id]]


def _write_lists(output: Path, count: int) -> None:
    paths = (output / RECIPES / f"{sample_name(number)}.json" for number in range(count))
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    made = [document for document in documents if document is not None]
    for split, file in COCO_LISTS.items():
        listed = [_listed(one["name"], one["box_xyxy"]) for one in made if one["split"] == split]
        lines = [list_line(picture, counts_from_one=True) + "\n" for picture in listed]
        write_file(output / file, "".join(lines).encode())
    rows = []
    for one in made:
        box = dict(zip(("x1", "y1", "x2", "y2"), one.pop("box_xyxy"), strict=True))
        rows.append(one | box)
    write_file(output / MANIFEST, table(MANIFEST_COLUMNS, rows))
