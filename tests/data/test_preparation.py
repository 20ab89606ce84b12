import csv

import pytest

from data.benchmarks.miniatures import box_mask, photo, save
from doctored.core.errors import ConfigError, DataError
from doctored.data.benchmarks.catalog import BENCHMARKS, benchmark_of
from doctored.data.benchmarks.coverage import COVERAGE
from doctored.data.benchmarks.entries import Options
from doctored.data.paired_folder import list_pairs
from doctored.data.preparation import prepare


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "COVERAGE"
    for number in range(1, 9):
        save(folder / f"{number}.tif", photo(number))
        save(folder / f"{number}t.tif", photo(number + 1))
        save(folder / f"{number}forged.tif", box_mask(5, 6, 20, 17))
    (folder / "3t.tif").write_bytes(b"no picture")
    save(folder / "4forged.tif", box_mask(0, 0, 0, 0))
    save(folder / "5forged.tif", box_mask(0, 0, 60, 40))
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_layout_is_the_one_of_benchmarks_and_pictures_keep_their_bytes(source, tmp_path):
    made = prepare(COVERAGE, source, tmp_path / "out")
    pairs = list_pairs(tmp_path / "out")
    assert [image.name for image, _ in pairs.forged] == ["1t.tif", "2t.tif", "6t.tif", "7t.tif", "8t.tif"]
    assert len(pairs.authentic) == 8
    for row in made.rows:
        assert (tmp_path / "out" / row.file).read_bytes() == (source / row.source_file).read_bytes()
    reasons = {one.file: one.reason for one in made.left_out}
    assert set(reasons) == {"3t.tif", "4t.tif", "5t.tif"}
    assert "not a picture that can be read" in reasons["3t.tif"]
    assert reasons["4t.tif"] == "its mask marks no pixel"
    assert reasons["5t.tif"] == "its mask marks every pixel"
    with (tmp_path / "out" / "left_out.csv").open(newline="") as lines:
        assert {row["file"]: row["reason"] for row in csv.DictReader(lines)} == reasons


def test_numbers_are_compared_with_the_published_ones(source, tmp_path):
    warnings = prepare(COVERAGE, source, tmp_path / "out").warnings
    assert warnings[:2] == [
        "coverage: 5 manipulated pictures prepared, 100 published",
        "coverage: 8 authentic pictures prepared, 100 published",
    ]
    assert any(warning.endswith("for training prepared, 75 published") for warning in warnings)
    made = prepare(COVERAGE, source, tmp_path / "test", split="test")
    assert {row.split for row in made.rows} == {"test"}
    (warning,) = made.warnings
    assert warning.endswith("manipulated pictures for testing prepared, 25 published")


def test_the_published_numbers_are_no_warning(tmp_path):
    folder = tmp_path / "COVERAGE"
    for number in range(1, 101):
        save(folder / f"{number}.tif", photo(number, 10, 10))
        save(folder / f"{number}t.tif", photo(number, 10, 10))
        save(folder / f"{number}forged.tif", box_mask(1, 1, 4, 4, 10, 10))
    assert prepare(COVERAGE, folder, tmp_path / "out").warnings == []


def test_a_stopped_command_goes_on_and_processes_do_not_matter(source, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total):
        assert total == 16
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        prepare(COVERAGE, source, tmp_path / "out", on_progress=stop)
    with (tmp_path / "out" / "progress.jsonl").open("a") as lines:
        lines.write('{"key": "images/1t", "row": {"na')  # what a killed program leaves
    seen = []
    made = prepare(COVERAGE, source, tmp_path / "out", on_progress=lambda done, total: seen.append(done))
    assert seen == list(range(5, 17))
    whole = prepare(COVERAGE, source, tmp_path / "whole", workers=2)
    assert made == whole
    left, right = contents(tmp_path / "out"), contents(tmp_path / "whole")
    for files in (left, right):
        files["progress.jsonl"] = sorted(files["progress.jsonl"].splitlines())
    assert left == right


def test_another_command_needs_force(source, tmp_path):
    prepare(COVERAGE, source, tmp_path / "out")
    with pytest.raises(ConfigError, match='split was null, is "test"'):
        prepare(COVERAGE, source, tmp_path / "out", split="test")
    made = prepare(COVERAGE, source, tmp_path / "out", split="test", force=True)
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {
        f"{row.name}.tif" for row in made.rows if row.mask
    }
    (source / "1.tif").write_bytes((source / "1.tif").read_bytes() + b"\0")
    with pytest.raises(ConfigError, match="files was"):
        prepare(COVERAGE, source, tmp_path / "out")


def test_output_in_the_source_is_refused(source):
    with pytest.raises(ConfigError, match="would then hold pictures twice"):
        prepare(COVERAGE, source, source / "prepared")


def test_options_that_mean_nothing_to_a_set_are_refused(source, tmp_path):
    with pytest.raises(ConfigError, match="coverage has no use for --masks; it takes no such option"):
        prepare(COVERAGE, source, tmp_path / "out", Options(masks=source))
    with pytest.raises(ConfigError, match="casia-v1 has no use for --reference; it takes --masks"):
        prepare(benchmark_of("casia-v1"), source, tmp_path / "out", Options(reference=source))


@pytest.mark.parametrize(
    "name", [name for name in BENCHMARKS if name not in ("folder", "nist16", "coco-synthetic")]
)
def test_a_folder_of_something_else_is_refused(name, tmp_path):
    save(tmp_path / "source" / "holiday.jpg", photo(1))
    with pytest.raises(DataError, match=f"no usable picture of {name}"):
        prepare(benchmark_of(name), tmp_path / "source", tmp_path / "out")
    with pytest.raises(DataError, match="is not a folder"):
        prepare(benchmark_of(name), tmp_path / "gone", tmp_path / "out")


def test_unknown_sets_are_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="no data set 'casia'; choose one of casia-v1, casia-v2, coverage"):
        benchmark_of("casia")


def test_names_that_differ_in_case_only_become_different_files(tmp_path):
    """On Windows and macOS one of them would overwrite the other."""
    folder = tmp_path / "IMD"
    for name in ("a", "A"):
        save(folder / name.replace("A", "b") / f"{name}.png", photo(1))
        save(folder / name.replace("A", "b") / f"{name}_mask.png", box_mask(5, 6, 20, 17))
    made = prepare(benchmark_of("imd2020"), folder, tmp_path / "out")
    assert sorted(row.name for row in made.rows) == ["a-a-png", "b-A-png"]
