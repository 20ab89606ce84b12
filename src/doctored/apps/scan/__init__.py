"""Scans: from one picture to ten million, into a store that can be stopped and resumed."""

from doctored.apps.scan.results import FileResult, Filter, read_results

__all__ = ["FileResult", "Filter", "read_results"]
