from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.evaluate.cases import Case
from doctored.evaluate.measure import Item, Measured
from doctored.evaluate.store import Store
from doctored.metrics.pooled import PooledPixelScores


def item(name):
    return Item(Case("set", Path(f"images/{name}.png"), Path(f"masks/{name}.png")), "as_is")


def measured(name, values=(0.2, 0.7)):
    pooled = PooledPixelScores()
    pooled.add(np.array([values]), np.array([[False, True]]))
    return Measured([{"name": name}], {"m": pooled}, np.full((2, 3), 9, np.uint8))


def test_what_was_saved_is_found_again(tmp_path):
    store = Store(tmp_path)
    store.add(item("a"), measured("a"))
    store.add(item("b"), measured("b", (0.9, 0.1)))
    store.save()
    again = Store(tmp_path)
    assert again.records == [{"name": "a"}, {"name": "b"}]
    assert again.done == {item("a").key, item("b").key}
    assert again.pooled["set", "m"].auc() == store.pooled["set", "m"].auc() == 0.25
    assert again.preview(item("a").case.key).is_file()
    assert again.preview("set/images/c.png") is None


def test_what_a_killed_program_appended_later_is_measured_again(tmp_path):
    """Else its records would be there and its pixels not in the pooled scores."""
    now = [0.0]
    store = Store(tmp_path, clock=lambda: now[0])
    store.add(item("a"), measured("a"))
    now[0] = 60.0
    store.add(item("b"), measured("b"))  # saves
    store.add(item("c"), measured("c"))
    with (tmp_path / "records.jsonl").open("a") as lines:
        lines.write('{"key": "cut o')
    again = Store(tmp_path)
    assert again.done == {item("a").key, item("b").key}
    assert again.pooled["set", "m"].pictures == 2
    again.add(item("c"), measured("c"))
    again.save()
    assert Store(tmp_path).records == [{"name": "a"}, {"name": "b"}, {"name": "c"}]


def test_damage_is_named(tmp_path):
    store = Store(tmp_path)
    store.add(item("a"), measured("a"))
    store.save()
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(DataError, match="0 of 1 results"):
        Store(tmp_path)
    (tmp_path / "pooled.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="damaged"):
        Store(tmp_path)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(None)
    store.add(item("a"), measured("a"))
    store.save()
    assert store.preview(item("a").case.key) is None
    assert list(tmp_path.iterdir()) == []
