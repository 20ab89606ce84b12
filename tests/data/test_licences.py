from pathlib import Path

import pytest

from doctored.core.errors import DataError
from doctored.data.licences import (
    count_licences,
    free_photographs,
    is_free,
    is_free_note,
    learned_from_free_alone,
    licence_note,
)
from doctored.data.photographs import Photograph

FREE = ["CC0", "cc0-1.0", "CC0 1.0", "CC BY 4.0", "CC-BY-3.0", "cc by", "Public Domain", "free"]
FREE += ["free to use however you wish (a repository)", "Unlicense"]
NOT_FREE = [None, "", "research", "none stated", "CC BY-SA 4.0", "CC BY-NC 4.0", "CC BY-ND 2.0", "GPL-2+"]
# What cannot be told, a choice, a mixture, and a word that only begins like a free one.
NOT_FREE += [
    "CC0/CC BY",
    "per image CC0",
    "mixed permissive / not stated",
    "CC BY(-SA)",
    "freeware",
    "free for research",
]


@pytest.mark.parametrize("licence", FREE)
def test_free(licence):
    assert is_free(licence)


@pytest.mark.parametrize("licence", NOT_FREE)
def test_everything_else_is_not(licence):
    assert not is_free(licence)


def photographs(*licences):
    return [
        Photograph(Path(f"{number}.jpg"), f"{number}.jpg", licence=licence)
        for number, licence in enumerate(licences)
    ]


def test_free_photographs_keep_their_order(tmp_path):
    (tmp_path / "manifest.csv").touch()
    chosen = free_photographs(tmp_path, photographs("CC0", "research", None, "CC BY 4.0"))
    assert [photograph.file for photograph in chosen] == ["0.jpg", "3.jpg"]


def test_without_a_manifest_nothing_is_known_to_be_free(tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.csv"):
        free_photographs(tmp_path, photographs("CC0"))


def test_licences_are_counted_as_stated():
    assert count_licences(photographs("CC0", None, "b", "CC0", "a")) == {
        "CC0": 2,
        "a": 1,
        "b": 1,
        "not stated": 1,
    }


def test_the_note_says_what_is_free_and_where_the_weights_started():
    note = licence_note({"research": 12, "CC0": 3}, ("runs", licence_note({"CC0": 3})))
    assert "12 photographs: research [not known to be free]\n 3 photographs: CC0 [free]\n" in note
    assert "Training started from runs, which came with this note:\n\n    Licences of" in note
    assert note.count("may be used, changed and passed on for any purpose") == 1, "only of the start"
    assert "no such note" in licence_note({"CC0": 3}, ("file", None))
    assert "Not recorded" in licence_note(None)


def test_a_list_that_a_chain_of_runs_shares_stands_in_the_note_once():
    """Five runs, each from the one before, once nested the same list five times."""
    licences = {"research": 12, "CC0": 3}
    first = licence_note(licences, ("backbone", None))
    note = first
    for number in range(4):
        note = licence_note(licences, (f"run{number}", note))
    expected = "Training started from run3, which came with the same list.\n\n"
    assert note == first.replace(
        "Training started from backbone", f"{expected}Training started from backbone"
    )
    assert note.count("12 photographs: research") == 1

    free = {"CC0": 3}
    assert licence_note(free, ("run", licence_note(free))).count("for any purpose") == 1


def test_another_list_on_the_way_is_kept_whole():
    other = licence_note({"GPL-2+": 7}, ("first", None))
    note = licence_note({"CC0": 3}, ("second", other))
    later = licence_note({"CC0": 3}, ("third", note))
    for text in (note, later):
        assert "Training started from second, which came with this note:\n\n    Licences of" in text
        assert "    7 photographs: GPL-2+ [not known to be free]\n" in text
        assert "    Training started from first, which came with no such note.\n" in text


ALL_FREE, IN_PART = {"CC0": 3}, {"CC0": 3, "research": 2}
CONVERTED = "These weights were converted from a file.\n\nMind the terms.\n"


@pytest.mark.parametrize(
    ("start", "free"),
    [
        (None, True),
        (("run", licence_note(ALL_FREE)), True),
        (("run", licence_note({"CC BY": 1})), True),
        (("run", licence_note({"CC BY": 1}, ("older", licence_note({"CC0": 8})))), True),
        (("run", licence_note({"CC BY": 1}, ("older", licence_note(IN_PART)))), False),
        (("run", licence_note(ALL_FREE, ("older", None))), False),
        (("run", licence_note(IN_PART)), False),
        (("run", licence_note(None)), False),
        (("run", None), False),
        (("run", CONVERTED), False),
    ],
)
def test_a_note_is_free_if_all_that_came_before_is_too(start, free):
    assert is_free_note(licence_note(ALL_FREE, start, "A remark.")) is free
    assert not is_free_note(licence_note(IN_PART, start))


def test_a_note_that_nobody_here_wrote_is_not_free():
    for note in (
        "",
        CONVERTED,
        "All of these photographs may be used, changed and passed on for any purpose.",
    ):
        assert not is_free_note(note)


def test_a_run_says_itself_what_it_learned_from_and_an_export_by_its_note(tmp_path):
    assert not learned_from_free_alone(tmp_path)
    (tmp_path / "run.json").write_text('{"free_only": false}')
    assert not learned_from_free_alone(tmp_path)
    (tmp_path / "LICENCE.txt").write_text(licence_note(IN_PART))
    assert not learned_from_free_alone(tmp_path)
    (tmp_path / "run.json").write_text('{"free_only": true}')
    assert learned_from_free_alone(tmp_path)
    (tmp_path / "run.json").unlink()
    assert not learned_from_free_alone(tmp_path)
    (tmp_path / "LICENCE.txt").write_text(licence_note(ALL_FREE))
    assert learned_from_free_alone(tmp_path)
