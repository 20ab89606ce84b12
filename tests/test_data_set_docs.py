"""The page that adds a data set works as written."""

import dataclasses
import re
import sys
import types
from pathlib import Path

from doctored.data.benchmarks import catalog

PAGE = (Path(__file__).parents[1] / "docs" / "add-a-data-set.md").read_text("utf-8")
READER, IMPORT, TEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MODULE = "doctored.data.benchmarks.threefold"


def test_the_reader_passes_the_test_of_the_page(tmp_path, monkeypatch):
    module = types.ModuleType(MODULE)
    exec(READER, module.__dict__)
    monkeypatch.setitem(sys.modules, MODULE, module)
    names = {}
    exec(IMPORT + TEST, names)
    names["test_a_forgery_without_a_mask_is_named"](tmp_path)
    assert {field.name for field in dataclasses.fields(catalog.BENCHMARKS["folder"])} >= {"name", "published"}
    assert module.THREEFOLD.name not in catalog.BENCHMARKS


def test_the_entry_goes_where_the_page_says():
    source = Path(catalog.__file__).read_text("utf-8")
    assert "        FOLDER,\n" in source.split("BENCHMARKS = {")[1]
