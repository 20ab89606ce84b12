import pytest

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.core.errors import DataError
from doctored.data.benchmarks.coverage import COVERAGE
from doctored.data.benchmarks.entries import Options
from doctored.data.benchmarks.folder import FOLDER
from doctored.data.checks import check_folder
from doctored.data.preparation import prepare
from doctored.evaluate.cases import list_cases


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        save(tmp_path / "images" / f"p{number}.png", photo(number))
        save(tmp_path / "masks" / f"p{number}.png", box_mask(number, 6, 20, 17))
        save(tmp_path / "authentic" / f"a{number}.png", photo(10 + number))
    return tmp_path


def found(folder, **options):
    return [str(problem) for problem in check_folder(folder, **options)]


def test_a_sound_folder_has_no_problems(folder):
    assert found(folder) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_that_is_wrong_is_listed_by_name(folder, workers):
    (folder / "images" / "p0.png").unlink()
    (folder / "masks" / "p1.png").unlink()
    save(folder / "masks" / "p2.png", box_mask(1, 1, 9, 9, 40, 61))
    save(folder / "masks" / "p3.png", box_mask(0, 0, 0, 0))
    save(folder / "masks" / "p4.png", box_mask(0, 0, 60, 40))
    (folder / "images" / "p5.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "authentic" / "a1.png").write_bytes((folder / "authentic" / "a0.png").read_bytes())
    (folder / "authentic" / "a3.png").write_bytes((folder / "images" / "p3.png").read_bytes())
    save(folder / "images" / "p2.jpg", photo(2))
    save(folder / "ignore" / "p9.png", box_mask(1, 1, 2, 2))
    (folder / "masks" / ".DS_Store").write_bytes(b"hidden files are none of ours")
    problems = found(folder, workers=workers)
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["duplicate", "authentic/a1.png"],
        ["unpaired", "ignore/p9.png"],
        ["unpaired", "images/p1.png"],
        ["ambiguous", "images/p2.png"],
        ["duplicate", "images/p3.png"],
        ["unreadable", "images/p5.png"],
        ["unpaired", "masks/p0.png"],
        ["size", "masks/p2.png"],
        ["empty", "masks/p3.png"],
        ["full", "masks/p4.png"],
    ]
    assert problems[0].endswith("has the same bytes as authentic/a0.png")
    assert problems[4].endswith("has the same bytes as authentic/a3.png")
    assert problems[7].endswith("is 61 x 40 pixels but its picture 60 x 40")


def test_ignore_masks_belong_to_manipulated_pictures_only(folder):
    """One of an authentic picture passed here, and evaluation said that it had no picture."""
    save(folder / "authentic" / "p1.png", photo(30, 50, 70))  # of another size than the picture of its name
    save(folder / "ignore" / "p1.png", box_mask(1, 1, 2, 2))
    assert found(folder) == []
    assert [case.ignore is not None for case in list_cases([folder])] == [number == 1 for number in range(13)]
    save(folder / "ignore" / "a1.png", box_mask(1, 1, 2, 2))
    assert found(folder) == ["unpaired: ignore/a1.png: has no picture of its name in images/"]
    for read in (lambda: list_cases([folder]), lambda: FOLDER.read(folder, Options())):
        with pytest.raises(DataError, match=r"ignore holds masks whose names no picture in images/ has: a1;"):
            read()


def test_masks_of_zeros_and_ones_are_not_empty(folder):
    save(folder / "masks" / "p3.png", box_mask(1, 1, 9, 9).astype("uint8"))
    assert found(folder) == []


def test_a_manifest_and_its_files_must_agree(tmp_path):
    for number in range(1, 5):
        save(tmp_path / "source" / f"{number}.tif", photo(number))
        save(tmp_path / "source" / f"{number}t.tif", photo(number + 4))
        save(tmp_path / "source" / f"{number}forged.tif", box_mask(5, 6, 20, 17))
    prepare(COVERAGE, tmp_path / "source", tmp_path / "out")
    assert found(tmp_path / "out") == []
    (tmp_path / "out" / "authentic" / "1.tif").rename(tmp_path / "out" / "authentic" / "9.tif")
    assert found(tmp_path / "out") == [
        "manifest: authentic/1.tif: is listed in manifest.csv but is not there",
        "manifest: authentic/9.tif: is not listed in manifest.csv",
    ]
    (tmp_path / "out" / "manifest.csv").write_text("name\n")
    assert found(tmp_path / "out")[0].startswith("manifest: manifest.csv: ")


def test_sets_of_boxes_need_no_masks(tmp_path):
    from doctored.data.benchmarks.coco_synthetic import COCO_SYNTHETIC

    for name in ("a", "b"):
        save(tmp_path / "source" / f"{name}.png", photo(len(name) + ord(name)))
    (tmp_path / "source" / "train_filter_single.txt").write_text("a 1 1 5 5 tamper\n")
    (tmp_path / "source" / "test_filter_single.txt").write_text("b 1 1 5 5 tamper\n")
    prepare(COCO_SYNTHETIC, tmp_path / "source", tmp_path / "out")
    assert found(tmp_path / "out") == []
    (tmp_path / "out" / "manifest.csv").unlink()
    assert [problem.split(":")[0] for problem in found(tmp_path / "out")] == ["unpaired", "unpaired"]


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds neither images/ nor authentic/"):
        check_folder(tmp_path)
