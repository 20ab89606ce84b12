import numpy as np
import pytest

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.core.errors import DataError
from doctored.data.benchmarks.coverage import COVERAGE
from doctored.data.preparation import prepare
from doctored.data.prepared_set import MANIFEST_COLUMNS, ManifestRow, PreparedSet, read_manifest


@pytest.fixture
def prepared(tmp_path):
    for number in range(1, 5):
        save(tmp_path / "source" / f"{number}.tif", photo(number))
        save(tmp_path / "source" / f"{number}t.tif", photo(number + 4))
        save(tmp_path / "source" / f"{number}forged.tif", box_mask(5, 6, 20 + number, 17))
    prepare(COVERAGE, tmp_path / "source", tmp_path / "out")
    return tmp_path / "out"


def test_samples_are_what_the_published_files_hold(prepared):
    samples = {sample.name: sample for sample in PreparedSet(prepared)}
    assert len(samples) == len(PreparedSet(prepared)) == 8
    for number in range(1, 5):
        original, forged = samples[str(number)], samples[f"{number}t"]
        np.testing.assert_array_equal(original.image, photo(number))
        np.testing.assert_array_equal(forged.image, photo(number + 4))
        np.testing.assert_array_equal(forged.gt_mask, box_mask(5, 6, 20 + number, 17))
        np.testing.assert_array_equal(forged.boxes_xyxy, [(5, 6, 20 + number, 17)])
        assert (original.gt_mask.shape, original.gt_mask.any()) == ((40, 60), False)
        assert original.boxes_xyxy.shape == (0, 4)
        assert (original.technique, forged.technique) == ("authentic", "copy_move")
        assert original.ignore_mask is forged.ignore_mask is None


def test_a_split_can_be_asked_for(prepared):
    sides = {side: {sample.name for sample in PreparedSet(prepared, side)} for side in ("train", "test")}
    assert {side: len(names) for side, names in sides.items()} == {"train": 6, "test": 2}
    assert not sides["train"] & sides["test"]
    with pytest.raises(DataError, match="holds no pictures of split 'val'"):
        PreparedSet(prepared, "val")


def test_files_without_partner_are_named(prepared):
    (prepared / "masks" / "2t.png").rename(prepared / "masks" / "other.png")
    with pytest.raises(DataError, match=r"lists files that are not there: masks/2t\.png;"):
        PreparedSet(prepared)
    (prepared / "masks" / "other.png").rename(prepared / "masks" / "2t.png")
    save(prepared / "authentic" / "new.png", photo(1))
    with pytest.raises(DataError, match=r"manifest does not list: authentic/new\.png;"):
        PreparedSet(prepared)


def test_a_mask_of_another_size_is_an_error(prepared):
    save(prepared / "masks" / "2t.png", box_mask(1, 1, 2, 2, 41, 60))
    with pytest.raises(Exception, match=r"2t\.png is \(41, 60\)"):
        list(PreparedSet(prepared))


def test_manifests_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not there; make it with 'doctored data prepare'"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("file,source\na.jpg,b\n")
    with pytest.raises(DataError, match="is no manifest of a prepared set"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("boxes", ["1 2 3", "4 1 2 9", "1 1 9 99999999999999999999", "a b c d"])
def test_boxes_that_hold_no_pixel_are_refused(tmp_path, boxes):
    """A coordinate of 20 digits came through, and ended in an OverflowError where boxes become arrays."""
    values = dict.fromkeys(MANIFEST_COLUMNS, "") | {"name": "a", "boxes_xyxy": boxes}
    rows = [",".join(MANIFEST_COLUMNS), ",".join(values.values())]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match="is no manifest of a prepared set"):
        read_manifest(tmp_path)


def test_a_field_without_end_is_refused(tmp_path):
    """It ended in a csv.Error."""
    (tmp_path / "manifest.csv").write_text(",".join(MANIFEST_COLUMNS) + '\n"' + "x" * 200_000)
    with pytest.raises(DataError, match="is no manifest of a prepared set"):
        read_manifest(tmp_path)


def test_rows_survive_the_file():
    row = ManifestRow(
        "a",
        "images/a.jpg",
        "masks/a.png",
        "",
        "splicing",
        "test",
        0.25,
        ((0, 1, 2, 3), (4, 5, 6, 7)),
        "x/a.jpg",
        "n",
    )
    assert ManifestRow.from_csv(row.to_csv()) == row
    assert row.to_csv()["boxes_xyxy"] == "0 1 2 3;4 5 6 7"
