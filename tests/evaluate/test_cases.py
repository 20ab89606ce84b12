import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.evaluate.cases import list_cases, read_masks
from evaluate.fakes import SIZE_HW, make_folder, save


def test_cases_follow_the_folders_and_keep_sets_of_one_name_apart(tmp_path):
    first = make_folder(tmp_path / "a" / "set", count=2)
    second = make_folder(tmp_path / "b" / "set", count=1, authentic=False)
    save(first / "ignore" / "f1.png", np.zeros(SIZE_HW, np.uint8))
    cases = list_cases([first, second])
    assert [case.key for case in cases] == [
        "set/images/f0.png",
        "set/images/f1.png",
        "set/authentic/a0.png",
        "set/authentic/a1.png",
        "set-2/images/f0.png",
    ]
    assert [case.ignore and case.ignore.name for case in cases[:3]] == [None, "f1.png", None]
    assert len(list(read_masks(cases))) == 3
    assert len(list_cases([first, second], limit=2)) == 3


def test_a_manifest_of_generated_forgeries_is_no_manifest_of_boxes(tmp_path):
    folder = make_folder(tmp_path / "set", count=1)
    (folder / "manifest.csv").write_text("name,technique,image\nf0,splicing,images/f0.png\n")
    assert [case.technique for case in list_cases([folder])] == ["manipulated", "manipulated"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="images is not there"):
        list_cases([tmp_path])
    folder = make_folder(tmp_path / "set", count=2)
    (folder / "masks" / "f1.png").unlink()
    with pytest.raises(DataError, match="without a mask: f1"):
        list_cases([folder])


@pytest.mark.parametrize("content", [b"\xff\xfe", b'"' + b"x" * 200_000])
def test_a_damaged_manifest_is_one_sentence(tmp_path, content):
    """These ended in a UnicodeDecodeError and a csv.Error."""
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.csv is no readable CSV file"):
        list_cases([tmp_path])
