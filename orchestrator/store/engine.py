"""Opening an SQLite file: connections, schema, and what can go wrong in words."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orchestrator.store.base import StoreError
from orchestrator.store.tables import HEAD

#: In a connection's `info`: must its next transaction outlast a power failure? It must where nothing is said.
DURABLE = "durable"

#: How long a connection waits for another process's lock.
BUSY_TIMEOUT_MS = 10_000

_WAL_PAUSE_S = 0.01

#: The driver's own come bare from what is done to a fresh connection.
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)


def parse_location(location: str | Path) -> Path:
    """The file that a path or an `sqlite:///` URL names.

    Raises:
        StoreError: a URL of another kind.
    """
    text = str(location)
    if text.startswith("sqlite:///"):
        text = text[len("sqlite:///") :]
    elif "://" in text:
        raise StoreError(f"no store for {text.split('://')[0]}:// URLs: give a file name or sqlite:///FILE")
    if not text or text == ":memory:":
        raise StoreError("a store has to be a file: what is in memory would not survive the orchestrator")
    return Path(text)


def translate(path: Path, error: Exception) -> Exception:
    """A database's error as a StoreError with one line for people; any other as it is."""
    if not isinstance(error, DATABASE_ERRORS):
        return error
    cause = error.orig if isinstance(error, DBAPIError) else error
    return StoreError(_describe(path, str(cause)))


def _describe(path: Path, text: str) -> str:
    if "disk is full" in text:
        return f"store {path}: the disk is full: nothing was written; free some space and try again"
    if "not a database" in text or "malformed" in text:
        return f"store {path}: no SQLite database, or a damaged one ({text}): move it away or restore a copy"
    if "unable to open" in text or "readonly" in text:
        return f"store {path}: cannot be written ({text}): check the permissions of the file and of its folder"
    if "locked" in text:
        return f"store {path}: another process held it for more than {BUSY_TIMEOUT_MS // 1000} s: end that process"
    return f"store {path}: {text}"


def connect(path: Path, *, begin: str, connections: int) -> Engine:
    """An engine on the file.

    Args:
        path: the database file; made when it is not there.
        begin: how transactions start: "BEGIN IMMEDIATE" holds the write lock from the first statement on, so that what
            a writer has read stays true until it commits; "BEGIN" reads one snapshot.
        connections: kept open, and at most so many.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # The driver shall begin no transactions by itself: `begin` below does.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # What need not outlast a power failure need not wait for the disk; it outlasts the process either way.
        synchronous = "FULL" if connection.info.get(DURABLE, True) else "NORMAL"
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA synchronous={synchronous}")
        driver.execute(begin)

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Of several that open a new file at once SQLite refuses some at once, whatever the timeout."""
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
        time.sleep(_WAL_PAUSE_S)


def prepare(path: Path, engine: Engine) -> None:
    """Bring the schema to what this software knows; `engine` begins with the write lock.

    Raises:
        StoreError: the file is newer than the software, of another program, damaged, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite opens such a file, even with the write lock, and fails at the first write.
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreError(_describe(path, "readonly file"))
        with engine.begin() as connection:
            # Under the write lock: a second process that opens the same new file waits and finds it done.
            revision = revision_of(path, connection)
            if revision != HEAD:
                _migrate(connection)
    except OSError as e:
        raise StoreError(f"store {path}: its folder cannot be made: {e.strerror}") from e
    except DATABASE_ERRORS as e:
        raise translate(path, e) from e


def revision_of(path: Path, connection: Connection) -> str | None:
    """Of the schema in the file; None when the file is new."""
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if not names:
        return None
    if "alembic_version" not in names:
        raise StoreError(f"store {path}: a database of another program: choose another file")
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if not isinstance(revision, str) or not re.fullmatch(r"\d{4}", revision):
        raise StoreError(f"store {path}: a database of another program (schema {revision}): choose another file")
    if revision > HEAD:
        raise StoreError(
            f"store {path}: written by a newer Gauntlet (schema {revision}, this one knows {HEAD}): "
            "upgrade Gauntlet or choose another file"
        )
    return revision


def _migrate(connection: Connection) -> None:
    # A tenth of a second that a store which is up to date does not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
