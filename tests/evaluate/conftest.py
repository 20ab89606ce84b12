"""Fewer resamples than in earnest: the tests of this room run many evaluations."""

import pytest


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("doctored.evaluate.summary.RESAMPLES", 200)
