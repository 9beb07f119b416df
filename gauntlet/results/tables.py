"""Rows into files, one after another: memory does not grow with their number."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gauntlet.errors import LabError, UsageError
from gauntlet.results import columns
from gauntlet.results.columns import Row
from protos.contract import software_version

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import pyarrow as pa  # type: ignore[import-untyped]

NAME = "gauntlet.results"
_ROWS_AT_ONCE = 1000
_LISTS = ("strings", "ints", "floats", "bools")


def write_csv(rows: Iterable[Row], out: TextIO) -> int:
    """A header and a line for each row, as RFC 4180 has it; lists as JSON; nothing for what is missing.

    Returns:
        The number of rows.
    """
    types = columns.types()
    writer = csv.writer(out)
    writer.writerow(types)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # used after the loop
        writer.writerow([_cell(row[name], kind) for name, kind in types.items()])
    return count


def write_json(rows: Iterable[Row], out: TextIO) -> int:
    """One strict document: schema, version, rows.

    Returns:
        The number of rows.
    """
    head = {
        "schema": NAME,
        "schema_version": columns.SCHEMA_VERSION,
        "software_version": software_version(),
        "columns": columns.schema(),
    }
    out.write(_json(head)[:-1] + ', "rows": [')
    count = 0
    for count, row in enumerate(rows, 1):
        out.write(("," if count > 1 else "") + "\n" + _json(row))
    out.write("\n]}\n")
    return count


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    """A Parquet file with the schema's version in its metadata.

    Returns:
        The number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    schema, count = arrow_schema(), 0
    with pq.ParquetWriter(path, schema) as writer:
        for some in _batches(rows):
            writer.write_table(pa.Table.from_pylist([_timed(row) for row in some], schema))
            count += len(some)
    return count


def arrow_schema() -> pa.Schema:
    """The schema of the Parquet file, with its version and each column's unit and meaning as metadata."""
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "int": pa.int64(),
        "uint": pa.uint64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", "UTC"),
        "strings": pa.list_(pa.string()),
        "ints": pa.list_(pa.int64()),
        "floats": pa.list_(pa.float64()),
        "bools": pa.list_(pa.bool_()),
    }
    fields = [
        pa.field(c["name"], kinds[c["type"]], metadata={"unit": c["unit"], "meaning": c["meaning"]})
        for c in columns.schema()
    ]
    about = {
        f"{NAME}.schema_version": str(columns.SCHEMA_VERSION),
        "gauntlet.software_version": software_version(),
    }
    return pa.schema(fields, about)


def data_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """A pandas DataFrame with types that know the missing; the schema's version is in its `attrs`.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        remedy = "pip install pandas, or write a file: gauntlet results --format parquet --out results.parquet"
        raise UsageError("lab.results() gives a pandas DataFrame, and pandas is not installed", remedy) from error
    kinds = {"string": "string", "int": "Int64", "uint": "UInt64", "float": "float64", "bool": "boolean"}
    types = columns.types()
    cells: dict[str, list[Any]] = {name: [] for name in types}
    for row in rows:
        for name, value in row.items():
            cells[name].append(value)
    series = {}
    for name, kind in types.items():
        if kind == "time":
            times = pd.to_datetime(pd.Series(cells[name], dtype="object"), utc=True, format="ISO8601")
            series[name] = times.astype("datetime64[us, UTC]")
        else:
            series[name] = pd.Series(cells[name], dtype=kinds.get(kind, "object"))
    frame = pd.DataFrame(series)
    frame.attrs = {"schema": NAME, "schema_version": columns.SCHEMA_VERSION, "software_version": software_version()}
    return frame


def check_target(out: Path | None) -> None:
    """Refuse a path that cannot be written, before anything is asked of the lab.

    Raises:
        UsageError: a folder, or in a folder that is not there or not to be written.
    """
    if out is None:
        return
    if out.is_dir():
        raise UsageError(f"--out: {out} is a directory", "name a file inside it")
    if not out.parent.is_dir():
        raise UsageError(f"--out: there is no directory {out.parent}", "make it first")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--out: {out.parent} may not be written", "choose another place")


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `out` when all went well, and vanishes otherwise.

    Raises:
        LabError: the disk does not take it.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(out)
    except OSError as error:
        raise LabError(f"cannot write {out}: {error.strerror or error}", "is the disk full?") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(write: Callable[[TextIO], int], out: Path | None) -> int:
    """Have text written to a file, whole or not at all, or to standard output; returns what `write` returns."""
    if out is None:
        return write(sys.stdout)
    # newline="": the csv module writes its own.
    with replacing(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        return write(file)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == _ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _timed(row: Row) -> Row:
    times = [name for name, kind in columns.types().items() if kind == "time" and row[name]]
    return row | {name: datetime.fromisoformat(row[name]) for name in times}


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return ""
    if kind in _LISTS:
        return _json(value)
    if kind == "bool":
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
