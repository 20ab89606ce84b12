"""Licences of photographs, and the note that weights carry about what they were learned from."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from doctored.core.errors import DataError
from doctored.core.json_text import parse_json
from doctored.data.photographs import MANIFEST, Photograph

LICENCE_FILE = "LICENCE.txt"
_TITLE = "Licences of what these weights were learned from"
_START = "Training started from "
_SAME_LIST = "which came with the same list."
_OWN_NOTE = ", which came with this note:"
_DOUBTFUL = "not known to be free"
_ALL_FREE = "All of these photographs may be used, changed and passed on for any purpose."
_CLOSING = "Whoever trained the weights decides on their own licence, within what these terms allow."
# Whoever likes may use, change and pass on what is under one of these, and what is derived from it, for any purpose and
# under any terms. Share-alike licences are left out: it is not settled whether weights derive from photographs.
FREE_LICENCES = frozenset(
    {"0BSD", "CC BY", "CC0", "FREE", "FREE TO USE HOWEVER YOU WISH", "PUBLIC DOMAIN", "PUBLIC DOMAIN MARK"}
    | {"UNLICENSE"}
    | {f"CC BY {version}" for version in ("1.0", "2.0", "2.5", "3.0", "4.0")}
    | {"CC0 1.0", "PUBLIC DOMAIN MARK 1.0"}
)


def is_free(licence: str | None) -> bool:
    """Whether a manifest's word for a licence is one of `FREE_LICENCES`.

    Case, hyphens and a remark in parentheses at the end do not matter. What is not recognised is not free, and neither
    is a choice or a mixture of several.

    >>> is_free("CC-BY-4.0"), is_free("CC0 (some collection)"), is_free("CC BY-NC 4.0"), is_free(None)
    (True, True, False, False)
    """
    words = (licence or "").split(" (")[0].upper().replace("-", " ").split()
    return " ".join(words) in FREE_LICENCES


def free_photographs(folder: Path, photographs: Sequence[Photograph]) -> list[Photograph]:
    """Those under a free licence.

    Args:
        folder: Where they were listed, for the message.
        photographs: In any order, which is kept.

    Raises:
        DataError: The folder has no manifest, or it calls none of them free.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(
            f"{folder} has no {MANIFEST}, so that no licence is known; list file and licence there, or leave "
            "--free-only out"
        )
    free = [photograph for photograph in photographs if is_free(photograph.licence)]
    if not free:
        stated = ", ".join(sorted({photograph.licence or "none" for photograph in photographs}))
        raise DataError(
            f"{folder / MANIFEST} calls none of the {len(photographs)} photographs free; it states {stated}, and free "
            "are CC0, public domain, CC BY and the like"
        )
    return free


def copy_licence(weights: Path, folder: Path) -> None:
    """Take the note beside weights along, if they have one."""
    if (weights / LICENCE_FILE).is_file():
        shutil.copyfile(weights / LICENCE_FILE, folder / LICENCE_FILE)


def count_licences(photographs: Sequence[Photograph]) -> dict[str, int]:
    """How many photographs there are under each licence as stated, the most frequent first."""
    counts = Counter(photograph.licence or "not stated" for photograph in photographs)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def started_free_only(run: Path) -> bool:
    """Whether a training run is described as one of free photographs alone; what is no run is not."""
    try:
        description = parse_json((run / "run.json").read_bytes())
    except (OSError, ValueError):
        return False  # a file of weights, or a folder that says nothing
    return isinstance(description, dict) and bool(description.get("free_only"))


def learned_from_free_alone(weights: Path) -> bool:
    """Whether the weights in a folder are known to have been learned from free photographs alone.

    Args:
        weights: A training run or what was exported from one; the former says so itself, the latter in its note.
    """
    note = weights / LICENCE_FILE
    if started_free_only(weights):
        return True
    return note.is_file() and is_free_note(note.read_text(encoding="utf-8", errors="replace"))


def is_free_note(note: str) -> bool:
    """Whether a note calls all photographs free, those of the weights that training started from too.

    What `licence_note` did not write, and what it could not tell, is not free.
    """
    if not note.startswith(_TITLE):
        return False
    listed, starts = _parts(note)
    if _ALL_FREE not in listed or _DOUBTFUL in listed:
        return False
    # A start without a note has no second part, which is no note either.
    return all(is_free_note(textwrap.dedent(start.partition(f"{_OWN_NOTE}\n\n")[2])) for start in starts)


def licence_note(
    licences: dict[str, int] | None, start: tuple[str, str | None] | None = None, remark: str | None = None
) -> str:
    """What lies beside weights: the licences of what they were learned from.

    Args:
        licences: From `count_licences`; None where no licence is recorded, as of published sets.
        start: Name and note of the weights that training started from, the note None if they have none; None for a
            random start. A note with the same list is not repeated.
        remark: A paragraph about the list.
    """
    listed = _listed(licences)
    paragraphs = [_TITLE, listed, *([] if remark is None else [remark])]
    if start is not None:
        name, note = start
        theirs, earlier = _parts(note or "")
        if not note:
            paragraphs.append(f"{_START}{name}, which came with no such note.")
        elif theirs == listed:
            paragraphs += [f"{_START}{name}, {_SAME_LIST}", *earlier]
        else:
            indented = "\n".join(f"    {line}".rstrip() for line in note.strip().splitlines())
            paragraphs += [f"{_START}{name}{_OWN_NOTE}", indented]
    return "\n\n".join([*paragraphs, _CLOSING]) + "\n"


def _listed(licences: dict[str, int] | None) -> str:
    if licences is None:
        return "Not recorded: ask for the terms of the set that they were learned from."
    width = len(str(max(licences.values())))
    lines = []
    for licence, count in licences.items():
        free = "free" if is_free(licence) else _DOUBTFUL
        lines.append(f"{count:{width}} photographs: {licence} [{free}]")
    if all(is_free(licence) for licence in licences):
        lines += ["", _ALL_FREE]
    return "\n".join(lines)


def _parts(note: str) -> tuple[str, list[str]]:
    """The list of a note, and its paragraphs about starts whose list was another."""
    body = note.strip().removeprefix(_TITLE).removesuffix(_CLOSING).strip("\n")
    listed, *starts = body.split(f"\n\n{_START}")
    return listed, [f"{_START}{start}" for start in starts if not start.endswith(_SAME_LIST)]
