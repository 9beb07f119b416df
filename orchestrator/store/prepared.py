"""Statements of the hot path: compiled once, run on the driver's own cursor.

Carrying out a small statement takes SQLite some microseconds, and SQLAlchemy's way to it and back ten times as many.
What runs for each job takes this shortcut; the rest stays with SQLAlchemy, which also compiles these.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection

Row = Any


class Prepared:
    """A statement whose parameters all have names and types that the driver takes as they are (no times, no enums).

    Args:
        statement: to be compiled, once for each kind of database.
        columns: that an INSERT gives values to; defaults of other columns are the database's, not SQLAlchemy's.
    """

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._row: Any = tuple
        if hasattr(statement, "selected_columns"):
            self._row = _row_type(statement.selected_columns.keys())._make
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def rows(self, connection: Connection, parameters: Mapping[str, object]) -> list[Row]:
        """Carry out a query: its rows, with columns by name."""
        return [self._row(row) for row in self._execute(connection, parameters).fetchall()]

    def first(self, connection: Connection, parameters: Mapping[str, object]) -> Row | None:
        """Carry out a query of one row: that row, or None."""
        found = self.rows(connection, parameters)  # all of it: a query left half read holds on to its snapshot
        return found[0] if found else None

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> None:
        """Carry out what answers with nothing."""
        self._execute(connection, parameters)

    def run_all(self, connection: Connection, rows: Iterable[Mapping[str, object]]) -> None:
        """The same for several sets of parameters."""
        sql, order = self._compile(connection)
        connection.connection.cursor().executemany(sql, [_arranged(row, order) for row in rows])

    def _execute(self, connection: Connection, parameters: Mapping[str, object]) -> Any:
        sql, order = self._compile(connection)
        cursor = connection.connection.cursor()
        cursor.execute(sql, _arranged(parameters, order))
        return cursor

    def _compile(self, connection: Connection) -> tuple[str, Sequence[str] | None]:
        dialect = connection.dialect
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
            known = self._compiled[dialect.name] = str(compiled), compiled.positiontup
        return known


def _row_type(names: Sequence[str]) -> Any:
    return namedtuple("Row", names)


def _arranged(parameters: Mapping[str, object], order: Sequence[str] | None) -> Any:
    """By position or by name, as the driver wants them."""
    return parameters if order is None else [parameters[name] for name in order]
