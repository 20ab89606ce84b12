import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import jsonschema
import pytest

from apps.scan.cases import NOISE, calibrate_noise, hasty, rows, write_picture
from apps.scan.test_store import FOUND, SETTINGS
from doctored.apps.scan import Filter, read_results
from doctored.apps.scan.entries import Entry, Listing
from doctored.apps.scan.results import highest_results, parse_since, stored_file, unfinished
from doctored.apps.scan.run import scan
from doctored.apps.scan.store import ScanStore
from doctored.core.errors import ConfigError, DataError
from doctored.core.read_image import read_image
from doctored.predict import Detector


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A calibrated scan of six pictures, one of them twice, and a broken one."""
    folder = tmp_path_factory.mktemp("scan")
    calibrate_noise(folder / "calibration.json")
    for number in range(6):
        write_picture(folder / "photos" / f"{number}.png", number)
    shutil.copy(folder / "photos" / "3.png", folder / "photos" / "copy.png")
    (folder / "photos" / "broken.jpg").write_bytes(b"no picture")
    settings = NOISE.__class__(**vars(NOISE) | {"calibration": str(folder / "calibration.json")})
    scan(Listing([str(folder / "photos")]), [], folder / "scan.db", settings, 1, lambda progress: None)
    return folder


def names(results):
    return [result.path.rpartition("/")[2] for result in results]


def test_all_results_in_the_order_of_the_files(scanned):
    results = list(read_results(scanned / "scan.db"))
    assert names(results) == [f"{number}.png" for number in range(6)] + ["broken.jpg", "copy.png"]
    assert sum(result.duplicate for result in results) == 1
    assert results[6].error is not None


def test_json_is_that_of_detect_and_more(scanned):
    from importlib import resources

    schema = json.loads(
        resources.files("doctored.core").joinpath("inspection.schema.json").read_text("utf-8")
    )
    (scanned / "maps").mkdir(exist_ok=True)
    for result in read_results(scanned / "scan.db"):
        values = result.to_json()
        jsonschema.Draft202012Validator(schema).validate(values)
        if result.error is None:
            detector = Detector.from_name("noise", calibration=scanned / "calibration.json")
            expected = detector.inspect(read_image(result.path)).to_json(path=result.path)
            assert {key: values[key] for key in expected if key != "timing"} == {
                key: expected[key] for key in expected if key != "timing"
            }
        assert {"sha256", "duplicate", "analysed_at"} <= set(values)


def test_filters(scanned):
    store = scanned / "scan.db"
    everything = {result.path: result for result in read_results(store)}
    judged = [result for result in everything.values() if result.error is None]
    middle = sorted(result.detection_score for result in judged)[3]
    for wanted, expected in (
        (Filter(errors=True), lambda r: r.error is not None),
        (Filter(above=middle), lambda r: r.error is None and r.detection_score >= middle),
        (Filter(match="*/photos/c*.png"), lambda r: r.path.endswith("copy.png")),
        (Filter(verdict="no_signs"), lambda r: r.verdict == "no_signs"),
        (Filter(since=judged[2].analysed_at), lambda r: r.analysed_at >= judged[2].analysed_at),
    ):
        found = [result.path for result in read_results(store, wanted)]
        assert found == [path for path, result in everything.items() if expected(result)], wanted
        assert 0 < len(found) < len(everything), wanted


def test_the_highest_of_two_stores(scanned, tmp_path):
    shutil.copy(scanned / "scan.db", tmp_path / "second.db")
    stores = [scanned / "scan.db", tmp_path / "second.db"]
    scores = sorted((row["detection_score"] or 0 for row in rows(scanned / "scan.db")), reverse=True)
    found = highest_results(stores, Filter(), 5)
    assert [result.detection_score for result in found] == sorted(scores * 2, reverse=True)[:5]


def test_another_operating_point_from_the_stored_scores(scanned):
    store, calibration = scanned / "scan.db", scanned / "calibration.json"
    detector = Detector.from_name("noise", calibration=calibration, fpr=0.6)
    for result in read_results(store, Filter(fpr=0.6)):
        if result.error is None:
            inspection = detector.inspect(read_image(result.path))
            assert (result.verdict, result.detection_score) == (
                inspection.verdict,
                inspection.detection_score,
            )
            assert result.to_json()["reason"] == inspection.reason
            assert result.to_json()["calibration"]["operating_point"] == 0.6
    accused = list(read_results(store, Filter(fpr=0.6, verdict="manipulated")))
    assert len(accused) > len(list(read_results(store, Filter(verdict="manipulated"))))
    assert highest_results([store], Filter(fpr=0.6), 1)[0].detection_score == max(
        result.detection_score or 0 for result in read_results(store, Filter(fpr=0.6))
    )


def test_another_model_is_not_asked_to_judge(scanned, tmp_path):
    shutil.copy(scanned / "scan.db", tmp_path / "scan.db")
    with closing(sqlite3.connect(tmp_path / "scan.db")) as database, database:
        database.execute("UPDATE files SET model_sha256 = 'other'")
    with pytest.raises(ConfigError, match="scan again"):
        list(read_results(tmp_path / "scan.db", Filter(fpr=0.1)))


def test_where_a_file_is_and_its_small_map(scanned):
    result = next(read_results(scanned / "scan.db"))
    entry, preview = stored_file(result)
    assert entry.path == result.path
    assert preview.startswith(b"\x89PNG")


def test_dates_as_people_write_them():
    assert parse_since("2026-03-31T14:00+02:00") == "2026-03-31T12:00:00.000+00:00"
    assert parse_since("2026-03-31").startswith("2026-03-")
    with pytest.raises(ConfigError, match="is no date"):
        parse_since("yesterday")


def test_a_store_that_is_empty_or_missing(tmp_path):
    ScanStore(tmp_path / "scan.db").close()
    assert list(read_results(tmp_path / "scan.db", Filter(fpr=0.1))) == []
    assert unfinished(tmp_path / "scan.db") == 0
    with pytest.raises(DataError, match="doctored scan"):
        list(read_results(tmp_path / "none.db"))


def _edited_store(folder, statement):
    """A store with one result, changed by hand."""
    path = folder / "scan.db"
    store = ScanStore(path)
    store.begin(SETTINGS)
    store.list_entries([Entry("a.jpg", 5, "1")])
    region = '{"box_xyxy": [0, 1, 2, 3], "score": 1, "technique": null}'
    result = f'{{"reason": "why", "regions": [{region}], "witnesses": [], "picture": {{}}}}'
    store.finish(1, replace(FOUND, result=result, width=4, height=3, compression="lossless"))
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(statement)
    return path


def test_a_row_as_scans_write_it_is_read(tmp_path):
    (result,) = read_results(_edited_store(tmp_path, "SELECT 1"))
    assert result.regions == [{"box_xyxy": [0, 1, 2, 3], "score": 1, "technique": None}]


@pytest.mark.parametrize(
    "change",
    [
        "path = 7",
        "raw_score = 'high'",
        "raw_score = 9e999",
        "raw_score = NULL",
        "verdict = 'guilty'",
        "verdict = NULL",
        "width = 'wide'",
        "seconds = 'long'",
        "analysed_at = NULL",
        "result = '[]'",
        "result = '{\"regions\": null}'",
        'result = \'{"regions": [{"box_xyxy": [1], "score": 1}]}\'',
        'result = \'{"regions": [{"box_xyxy": [1, 2, 3, 4], "score": "1"}]}\'',
    ],
)
def test_a_damaged_row_is_one_sentence(tmp_path, change):
    """SQLite lets anything stand in any column; these ended in errors of many kinds, some only in the page."""
    path = _edited_store(tmp_path, f"UPDATE files SET {change}")
    with pytest.raises(DataError, match="damaged"):
        [result.to_json() for result in read_results(path)]


def test_a_store_without_its_table_is_one_sentence(tmp_path):
    path = _edited_store(tmp_path, "DROP TABLE files")
    for read in (lambda: list(read_results(path)), lambda: unfinished(path)):
        with pytest.raises(DataError, match=r"scan\.db cannot be used as the store of a scan"):
            read()


def test_a_schema_that_is_no_text_is_one_sentence(tmp_path):
    path = _edited_store(tmp_path, "UPDATE sqlite_master SET sql = x'ff'")
    with pytest.raises(DataError, match=r"scan\.db cannot be used as the store of a scan"):
        list(read_results(path))


def test_a_row_that_only_an_index_knows_is_one_sentence(tmp_path):
    """It ended in a TypeError, where the page looked for the picture."""
    path = _edited_store(tmp_path, "SELECT 1")
    (result,) = read_results(path)
    with pytest.raises(DataError, match=r"row 7 of .*scan\.db is damaged"):
        stored_file(replace(result, id=7))


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_dates_that_are_none_in_greenwich_are_refused(text):
    with pytest.raises(ConfigError, match="is no date"):
        parse_since(text)


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """Six pictures that were looked at quickly, the two brightest of them in whole, and a broken one."""
    folder = tmp_path_factory.mktemp("fast")
    for number in range(6):
        write_picture(folder / "photos" / f"{number}.png", number, brightest=100 + 30 * number)
    (folder / "photos" / "broken.jpg").write_bytes(b"no picture")
    scan(
        *(Listing([str(folder / "photos")]), [], folder / "scan.db", hasty(folder / "log"), 1),
        lambda progress: None,
        fast=0.3,
    )
    return folder / "scan.db"


def test_quick_looks_come_after_whole_ones_by_their_scores(fast, tmp_path):
    found = highest_results([fast], Filter(), 20)
    assert sorted(names(found[:2])) == ["4.png", "5.png"], "the whole looks first"
    assert names(found[2:]) == ["3.png", "2.png", "1.png", "0.png", "broken.jpg"]
    shutil.copy(fast, tmp_path / "second.db")
    twice = highest_results([fast, tmp_path / "second.db"], Filter(), 20)
    assert [result.quick_look for result in twice] == [False] * 4 + [True] * 8 + [False] * 2


def test_scores_of_quick_looks_are_not_compared_with_others(fast):
    """Their scale is another: every one of them would lie above any detection score."""
    assert sorted(names(read_results(fast, Filter(above=-1.0)))) == ["4.png", "5.png"]
    assert len(list(read_results(fast, Filter(verdict="cannot_judge", match="*.png")))) == 6


def test_quick_looks_are_valid_json_that_says_so(fast):
    from importlib import resources

    text = resources.files("doctored.core").joinpath("inspection.schema.json").read_text("utf-8")
    for result in read_results(fast):
        values = result.to_json()
        jsonschema.Draft202012Validator(json.loads(text)).validate(values)
        if result.error is None:
            assert values["model"]["name"] == ("glance" if values["quick_look"] else "noise")
            assert values["quick_score"] == values["witnesses"][-1]["raw_score"]


def test_quick_looks_are_not_judged_at_another_operating_point(fast, tmp_path):
    shutil.copy(fast, tmp_path / "scan.db")
    with closing(sqlite3.connect(tmp_path / "scan.db")) as database, database:
        database.execute("UPDATE scans SET calibration_argument = NULL")
    before = {result.path: result for result in read_results(tmp_path / "scan.db")}
    after = list(read_results(tmp_path / "scan.db", Filter(fpr=0.2)))
    assert len(after) == len(before)
    assert all(result == before[result.path] for result in after if result.quick_look)
