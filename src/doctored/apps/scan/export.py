"""Results of scans as tables for other programs: Parquet, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from doctored.apps.outputs import write_complete
from doctored.apps.scan.results import FileResult
from doctored.apps.scan.store import stored_result
from doctored.core.errors import ConfigError, MissingExtraError

ENDINGS = (".parquet", ".csv", ".jsonl")

COLUMNS = {
    "path": "string",
    "error": "string",
    "verdict": "string",
    "reason": "string",
    "detection_score": "double",
    "false_alarm_rate": "double",
    "raw_score": "double",
    "quick_look": "bool",
    "quick_score": "double",
    "regions": "string",
    "witnesses": "string",
    "calibration": "string",
    "model": "string",
    "model_sha256": "string",
    "precision": "string",
    "sha256": "string",
    "duplicate": "bool",
    "difference_hash": "int64",
    "file_bytes": "int64",
    "format": "string",
    "width": "int32",
    "height": "int32",
    "compression": "string",
    "jpeg_quality": "double",
    "map": "string",
    "seconds": "double",
    "analysed_at": "string",
}
"""Columns of Parquet and CSV files, and their types as Arrow calls them; three of them hold JSON."""

_OF_RESULT = ("reason", "regions", "witnesses", "calibration")
_ROWS_AT_ONCE = 5000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def flat_row(result: FileResult) -> dict[str, Any]:
    """A result by the names of `COLUMNS`."""
    inner = {} if result.result is None else stored_result(result.result)
    row = {column: getattr(result, column, None) for column in COLUMNS}
    for column in _OF_RESULT:
        value = inner.get(column)
        row[column] = value if value is None or isinstance(value, str) else json.dumps(value)
    if isinstance(result.compression, float):
        row |= {"compression": "jpeg", "jpeg_quality": result.compression}
    return row


def write_table(path: Path, results: Iterable[FileResult]) -> None:
    """Write results into a file whose ending says which form it has; it is complete or not there.

    Args:
        path: Ends in one of `ENDINGS`.
        results: Read as they are written, so all of them need not fit into memory.

    Raises:
        ConfigError: The ending is none of these.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
        OutputError: The file cannot be written.
    """
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise ConfigError(f"{path} does not say which form it has; end its name in {', '.join(ENDINGS)}")
    if write is _write_parquet:
        arrow_schema()
    write_complete(path, lambda file: write(file, results))


def arrow_schema() -> Any:
    """The schema of Parquet files.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "eval") from error
    types = {"string": pyarrow.string(), "double": pyarrow.float64(), "bool": pyarrow.bool_()}
    types |= {"int32": pyarrow.int32(), "int64": pyarrow.int64()}
    return pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def _write_parquet(file: BinaryIO, results: Iterable[FileResult]) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = arrow_schema()
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _batches(results):
            writer.write_table(pyarrow.Table.from_pylist([as_unicode(row) for row in rows], schema))


def as_unicode(row: dict[str, Any]) -> dict[str, Any]:
    """A row in which names that are no Unicode are written with escapes, because Arrow takes nothing else."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


def _write_csv(file: BinaryIO, results: Iterable[FileResult]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    writer = csv.DictWriter(text, list(COLUMNS))
    writer.writeheader()
    for result in results:
        writer.writerow({name: _no_formula(value) for name, value in flat_row(result).items()})
    text.detach()


def _no_formula(value: Any) -> Any:
    """A cell that spreadsheets do not compute: an apostrophe goes before what they would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _write_jsonl(file: BinaryIO, results: Iterable[FileResult]) -> None:
    for result in results:
        file.write(json.dumps(result.to_json(), allow_nan=False).encode("ascii") + b"\n")


def _batches(results: Iterable[FileResult]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(results)
    while batch := [flat_row(result) for result in islice(remaining, _ROWS_AT_ONCE)]:
        yield batch
