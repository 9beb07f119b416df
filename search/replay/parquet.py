"""A recorded table as a Parquet file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from search.replay.schema import (
    ARCHITECTURE,
    FAILURE,
    MEASURE_S,
    METADATA_KEY,
    ColumnName,
    FigureFacts,
    TableError,
    column_name,
    from_metadata,
    to_metadata,
)
from search.replay.spaces import document_of, space_of
from search.replay.table import Column, Table
from search.spaces.base import Space


def read_table(path: Path, space: Space | None) -> Table:
    """See `Table.read`."""
    try:
        file = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}", "name a recorded table (.parquet)") from error
    try:
        content = pq.read_table(pa.BufferReader(file))
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is no Parquet file, or a damaged one", "name a recorded table (.parquet)") from error
    try:
        about, document, facts = from_metadata((content.schema.metadata or {}).get(METADATA_KEY))
        if space is not None and space.name != document.get("name"):
            raise TableError(
                f"it is of the space {document.get('name')}, not {space.name}", "use a table of this space"
            )
        parts = _parts(content)
        return Table(
            about,
            space or space_of(document),
            parts.rows,
            {name: _column(name, parts.figures[name], facts.get(name, FigureFacts())) for name in parts.figures},
            parts.failures,
            parts.measure_s,
        )
    except TableError as error:
        raise TableError(f"{path}: {error.message}", error.remedy) from error


def write_table(table: Table, path: Path) -> None:
    """See `Table.write`."""
    columns: dict[str, Any] = {ARCHITECTURE: pa.array(table.rows, pa.string())}
    for name, column in table.columns.items():
        columns[name] = _numbers(column.values)
        if column.low is not None and column.high is not None:
            columns |= {f"{name}.low": _numbers(column.low), f"{name}.high": _numbers(column.high)}
        if column.samples is not None:
            columns[f"{name}.samples"] = pa.array(column.samples, pa.int64())
        if column.unavailable:
            columns[f"{name}.unavailable"] = _texts(column.unavailable, len(table))
    for device, texts in table.failures.items():
        columns[f"{FAILURE}@{device}" if device else FAILURE] = _texts(texts, len(table))
    if table.measure_s is not None:
        columns[MEASURE_S] = _numbers(table.measure_s)
    facts = {name: column.facts for name, column in table.columns.items()}
    metadata = {METADATA_KEY: to_metadata(table.about, document_of(table.space), facts)}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file)
        partial.replace(path)
    except OSError as error:
        raise TableError(f"{path} cannot be written: {error.strerror or error}", "is the disk full?") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@dataclass
class _Parts:
    """What the columns of a file hold, figures with their parts as Arrow's arrays."""

    rows: list[str] = field(default_factory=list)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, dict[int, str]] = field(default_factory=dict)
    measure_s: NDArray[np.float64] | None = None


def _parts(content: Any) -> _Parts:
    parts = _Parts()
    seen: dict[ColumnName, str] = {}
    if ARCHITECTURE not in content.column_names:
        raise TableError(f"it has no column {ARCHITECTURE!r}", "see docs/replay.md for what a table holds")
    for text, column in zip(content.column_names, content.columns, strict=True):
        name = column_name(text)
        if name in seen:
            raise TableError(f"its columns {seen[name]!r} and {text!r} are one and the same", "leave one of them out")
        seen[name] = text
        if name.is_figure:
            type_, words = _TYPES.get(name.part, (pa.float64(), "numbers"))
            parts.figures.setdefault(name.name, {})[name.part] = _cast(text, column, type_, words)
        elif name.name == MEASURE_S:
            parts.measure_s = _floats(_cast(text, column, pa.float64(), "numbers"))
        elif name.name == ARCHITECTURE:
            # Null becomes a text that names no architecture.
            parts.rows = _cast(text, column, pa.string(), "text").fill_null("").to_pylist()
        else:
            parts.failures[name.device] = _by_row(_cast(text, column, pa.string(), "text"))
    return parts


_TYPES = {"samples": (pa.int64(), "whole numbers"), "unavailable": (pa.string(), "text")}


def _cast(text: str, column: Any, type_: Any, words: str) -> Any:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    # Arrow would read "7" as a number, and write 7 as a text.
    if is_text == pa.types.is_string(type_) or pa.types.is_null(kind):
        with contextlib.suppress(pa.ArrowException):
            return column.combine_chunks().cast(type_)
    raise TableError(f"column {text!r} holds {column.type}, not {words}", "write it with another type")


def _column(name: str, parts: Mapping[str, Any], facts: FigureFacts) -> Column:
    if "" not in parts:
        raise TableError(f"there is {name}.{min(parts)}, and no column {name!r}", "add it")
    if ("low" in parts) != ("high" in parts):
        raise TableError(f"{name} has one end of its interval only", f"give {name}.low and {name}.high, or neither")
    values, reasons = _floats(parts[""]), _by_row(parts["unavailable"]) if "unavailable" in parts else {}
    for row in reasons:
        if not np.isnan(values[row]):
            raise TableError(f"{name} in row {row} has a figure, and a reason why there is none", "leave one out")
    # What is no number is no figure; somebody recorded it none the less.
    is_null = parts[""].is_null().to_numpy(zero_copy_only=False)
    for row in map(int, np.flatnonzero(~np.isfinite(values) & ~is_null)):
        reasons.setdefault(row, f"the table holds {values[row]:g}")
    values[~np.isfinite(values)] = np.nan
    low, high = (_floats(parts[part]) if part in parts else None for part in ("low", "high"))
    samples = parts["samples"].fill_null(1).to_numpy() if "samples" in parts else None
    return Column(values, low, high, samples, reasons, facts)


def _floats(column: Any) -> NDArray[np.float64]:
    """A copy with NaN for null."""
    return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _by_row(column: Any) -> dict[int, str]:
    return {row: text for row, text in enumerate(column.to_pylist()) if text}


def _numbers(values: NDArray[np.float64]) -> Any:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _texts(by_row: Mapping[int, str], rows: int) -> Any:
    return pa.array([by_row.get(row) for row in range(rows)], pa.string())
