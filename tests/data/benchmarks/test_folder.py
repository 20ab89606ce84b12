import pytest

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.core.errors import DataError
from doctored.data.benchmarks.entries import Options
from doctored.data.benchmarks.folder import FOLDER
from doctored.data.preparation import prepare
from doctored.data.prepared_set import PreparedSet


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "mine"
    for number in (1, 2):
        save(folder / "images" / f"p {number}.jpg", photo(number))
        save(folder / "masks" / f"p {number}.png", box_mask(5, 6, 20, 17))
    save(folder / "authentic" / "a.jpg", photo(3))
    save(folder / "ignore" / "p 2.png", box_mask(30, 6, 40, 17))
    return folder


def test_ignored_pixels_and_names_with_spaces(source, tmp_path):
    made = prepare(FOLDER, source, tmp_path / "out")
    assert [(row.name, row.ignore, row.split) for row in made.rows] == [
        ("a", "", ""), ("p-1", "", ""), ("p-2", "ignore/p-2.png", ""),
    ]  # fmt: skip
    samples = {sample.name: sample for sample in PreparedSet(tmp_path / "out")}
    assert samples["p-1"].ignore_mask is None
    assert (samples["p-2"].ignore_mask == box_mask(30, 6, 40, 17)).all()
    assert (tmp_path / "out" / "lists" / "all.txt").read_text() == (
        "p-1 5 6 20 17 tamper\np-2 5 6 20 17 tamper\n"
    )


def test_the_convention_of_masks_can_be_said(source, tmp_path):
    rows = prepare(FOLDER, source, tmp_path / "out", Options(convention="black")).rows
    # 15 x 11 of 2400 pixels are white.
    assert [row.manipulated_fraction for row in rows if row.mask] == [1 - 0.06875] * 2


def test_files_without_partner_are_errors(source, tmp_path):
    save(source / "ignore" / "p3.png", box_mask(30, 6, 40, 17))
    with pytest.raises(DataError, match="no picture in images/ has: p3;"):
        prepare(FOLDER, source, tmp_path / "out")
    (source / "masks" / "p 1.png").unlink()
    with pytest.raises(DataError, match="pictures without a mask: p 1;"):
        prepare(FOLDER, source, tmp_path / "out")
