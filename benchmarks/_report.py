"""What every benchmark hands back, how it is printed, and the command line that all of them share."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

WIDTH = 120
#: A row: column to value. Units stand in the column's name, or beside the value in a column "unit".
Row = Mapping[str, Any]


@dataclass
class Table:
    """Rows of figures, all with the same columns.

    Attributes:
        title: what was measured.
        rows: numbers as numbers, an interval as (low, high), a target as words, "met" as True, False or None.
        notes: what a reader has to know.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The outcome of one benchmark.

    Attributes:
        tables: empty when it was skipped.
        skipped: why, if so.
    """

    tables: list[Table] = field(default_factory=list)
    skipped: str = ""


def main(
    run: Callable[[bool], Report],
    description: str | None,
    arguments: Sequence[str] | None = None,
    parents: Sequence[argparse.ArgumentParser] = (),
    chosen: argparse.Namespace | None = None,
) -> None:
    """Entry of a benchmark: run it, print its tables, and write them down if asked.

    `parents` are parsers of its own options, which it has read already, or finds in `chosen` when it is run.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form, parents=parents)
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it runs, the figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments, chosen)
    before = conditions()
    report = run(options.quick)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(document(report, before), indent=1, ensure_ascii=False) + "\n")


def show(report: Report) -> None:
    """Print all tables."""
    console = Console(width=WIDTH, highlight=False)
    if report.skipped:
        console.print(f"skipped: {report.skipped}")
    for table in report.tables:
        columns = list(dict.fromkeys(name for row in table.rows for name in row))
        drawn = RichTable(title=table.title, title_justify="left", box=None, header_style="bold")
        for name in columns:
            texts = any(isinstance(row.get(name), str) for row in table.rows)
            drawn.add_column(name, justify="left" if texts else "right")
        for row in table.rows:
            drawn.add_row(*(_text(row.get(name)) for name in columns))
        console.print(drawn)
        for note in table.notes:
            console.print(f"  {note}", markup=False)
        console.print()


def document(report: Report, before: Mapping[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "conditions": {**before, "load_average_after": _load()},
        "skipped": report.skipped,
        "tables": [{"title": t.title, "rows": [dict(r) for r in t.rows], "notes": t.notes} for t in report.tables],
    }


def conditions() -> dict[str, Any]:
    """When, and on what kind of machine; no name of a host."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": sys.version.split()[0],
        "load_average": _load(),
    }


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "met" if value else "missed"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, tuple):
        low, high = value
        return f"{_number(low)} to {_number(high)}"
    return str(value)


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.1e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
