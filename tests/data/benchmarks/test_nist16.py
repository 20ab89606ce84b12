import numpy as np
import pytest

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.core.errors import DataError
from doctored.data.benchmarks.entries import Options
from doctored.data.benchmarks.nist16 import NIST16
from doctored.data.hash_split import split_pictures
from doctored.data.preparation import prepare

HEADING = "TaskID|Probe|ProbeFile|Mask|a|b|c|IsTarget|d|e|f|Removal|Splice|CopyClone|Collection"


def row(number, target="Y", removal="N", splice="N", clone="N"):
    mask = f"mask/{number}.png" if target == "Y" else ""
    return (
        f"manipulation|id{number}|probe/{number}.jpg|{mask}||||{target}||||{removal}|{splice}|{clone}|Nimble"
    )


ROWS = [
    row(1, removal="Y", splice="Y"),
    row(2, splice="Y", clone="Y"),
    row(3, clone="Y"),
    row(4),
    row(5, target="N"),
]


def miniature(folder, rows=tuple(ROWS)):
    table = folder / "reference" / "manipulation" / "NC2016-manipulation-ref.csv"
    table.parent.mkdir(parents=True)
    table.write_text("\n".join((HEADING, *rows)) + "\n")
    for number in range(1, 6):
        save(folder / "probe" / f"{number}.jpg", photo(number, 100, 120))
    for number in range(1, 5):
        save(
            folder / "mask" / f"{number}.png", ~box_mask(10, 20, 90, 80, 100, 120)
        )  # black where manipulated
    return folder


def test_technique_polarity_and_boxes(tmp_path):
    made = prepare(NIST16, miniature(tmp_path / "NC2016"), tmp_path / "out")
    rows = {row.name: row for row in made.rows}
    assert {name: row.technique for name, row in rows.items()} == {
        "1": "removal", "2": "splicing", "3": "copy_move", "4": "manipulated", "5": "authentic",
    }  # fmt: skip
    assert all(rows[name].manipulated_fraction == 0.4 for name in "1234")  # 80 x 60 of 12000
    assert all(rows[name].boxes_xyxy == ((10, 20, 90, 80),) for name in "1234")
    assert rows["4"].note == "NC2016-manipulation-ref.csv names no technique"
    labels = {
        line.split()[0]: line.split()[-1]
        for path in (tmp_path / "out" / "lists").iterdir()
        for line in path.read_text().splitlines()
    }
    assert labels == {"1": "removal", "2": "splice", "3": "copyclone", "4": "tamper"}


def test_contours_of_at_most_175_points_count_only_where_there_is_no_longer_one(tmp_path):
    """A box of w x h pixels has 2 (w + h) - 4 boundary points."""
    source = miniature(tmp_path / "NC2016")
    short, longer, long = (0, 0, 40, 49), (60, 0, 100, 50), (0, 55, 60, 85)
    masks = {1: (short, longer, long), 2: (short, (60, 0, 70, 9)), 3: (longer, long), 4: (short,)}
    for number, boxes in masks.items():
        marked = np.any([box_mask(*box, 100, 120) for box in boxes], axis=0)
        save(source / "mask" / f"{number}.png", ~marked)
    rows = {row.name: row for row in prepare(NIST16, source, tmp_path / "out").rows}
    assert rows["1"].boxes_xyxy == (longer, long)  # 174, 176 and 176 points
    assert rows["2"].boxes_xyxy == (short,)
    assert rows["3"].boxes_xyxy == (longer, long)


def test_404_and_160_are_the_same_pictures_whatever_the_order(tmp_path):
    names = [f"NC2016_{number:04d}" for number in range(564)]
    split = split_pictures(names, 0.282)
    assert sum(side == "test" for side in split.values()) == 160
    assert sum(side == "train" for side in split.values()) == 404
    first = prepare(NIST16, miniature(tmp_path / "one"), tmp_path / "out")
    second = prepare(NIST16, miniature(tmp_path / "two", ROWS[::-1]), tmp_path / "other")
    assert first.rows == second.rows
    expected = split_pictures(list("1234"), 0.282)
    assert {row.name: row.split for row in first.rows if row.mask} == expected


def test_tables_that_do_not_fit_are_refused(tmp_path):
    source = miniature(tmp_path / "NC2016")
    table = source / "reference" / "manipulation" / "NC2016-manipulation-ref.csv"
    (source / "other-manipulation-ref.csv").write_text(table.read_text())
    with pytest.raises(DataError, match=r"should hold one reference table .* name it with --reference"):
        prepare(NIST16, source, tmp_path / "out")
    prepare(NIST16, source, tmp_path / "out", Options(reference=table))
    table.write_text(f"{HEADING}\nmanipulation|1|probe/1.jpg|mask/1.png|||\n")
    with pytest.raises(DataError, match=r"row 2: expected at least 14 columns"):
        prepare(NIST16, source, tmp_path / "other", Options(reference=table))


def test_a_path_longer_than_any_file_has_is_absent(tmp_path):
    """It ended in an OSError: file name too long."""
    source = miniature(tmp_path / "NC2016", [*ROWS, ROWS[0].replace("probe/1.jpg", "x" * 5000)])
    assert "x" * 5000 in {one.file for one in prepare(NIST16, source, tmp_path / "out").left_out}


def test_files_that_are_listed_but_absent_are_named(tmp_path):
    source = miniature(tmp_path / "NC2016", [*ROWS, ROWS[0]])
    (source / "probe" / "2.jpg").unlink()
    (source / "mask" / "3.png").unlink()
    reasons = {one.file: one.reason for one in prepare(NIST16, source, tmp_path / "out").left_out}
    assert reasons == {
        "probe/1.jpg": "NC2016-manipulation-ref.csv lists it again; the first row counts",
        "probe/2.jpg": "NC2016-manipulation-ref.csv lists it but it is not there",
        "probe/3.jpg": "its mask mask/3.png is not there",
    }
