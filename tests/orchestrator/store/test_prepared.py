"""The shortcut past SQLAlchemy says and answers what SQLAlchemy would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, create_engine, insert, select
from sqlalchemy.dialects import postgresql

from orchestrator.store.prepared import Prepared

table = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(9)))
BY_ID = select(table.c.id, table.c.name).where(table.c.id >= bindparam("least")).order_by(table.c.id).with_for_update()


def test_rows_have_their_columns_names_and_a_rollback_takes_back_what_was_run() -> None:
    new, found = Prepared(insert(table), ["id", "name"]), Prepared(BY_ID)
    with create_engine("sqlite://").connect() as connection:
        table.create(connection)
        connection.commit()
        new.run_all(connection, [{"id": 1, "name": "a"}, {"id": 2, "name": None}])
        assert [(row.id, row.name) for row in found.rows(connection, {"least": 1})] == [(1, "a"), (2, None)]
        one = found.first(connection, {"least": 2})
        assert one == (2, None)
        assert found.first(connection, {"least": 3}) is None
        connection.connection.rollback()
        assert found.rows(connection, {"least": 1}) == []


def test_a_parameter_that_was_left_out_is_an_error_and_no_null() -> None:
    with create_engine("sqlite://").connect() as connection:
        table.create(connection)
        with pytest.raises(KeyError, match="name"):
            Prepared(insert(table), ["id", "name"]).run(connection, {"id": 1})


def test_each_kind_of_database_gets_its_own_words() -> None:
    said: list[tuple[str, Any]] = []
    cursor = SimpleNamespace(execute=lambda sql, values: said.append((" ".join(sql.split()), values)))
    other: Any = SimpleNamespace(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        connection=SimpleNamespace(cursor=lambda: cursor),
    )
    statement = Prepared(BY_ID)
    with create_engine("sqlite://").connect() as connection:
        table.create(connection)
        statement.rows(connection, {"least": 1})
    statement.run(other, {"least": 1})
    [(sql, values)] = said
    assert sql.endswith("WHERE things.id >= %(least)s::INTEGER ORDER BY things.id FOR UPDATE")
    assert values == {"least": 1}
