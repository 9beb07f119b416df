"""One thread that writes, with group commit.

    event loop:  run(op) ─┐ run(op) ─┐ run(op) ─┐        ▲ results, after COMMIT
                          ▼          ▼          ▼        │
    writer thread:     BEGIN │ savepoint op │ savepoint op │ … │ COMMIT │ BEGIN …

What arrives while one transaction is being flushed to disk shares the next: the dearest step, the flush, is paid once
for all of them, and no two writers ever wait for each other's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection, Engine

from orchestrator.store.base import StoreError
from orchestrator.store.engine import DURABLE

T = TypeVar("T")

#: Operations in one transaction: bounds how long the first of them waits for its commit.
MAX_BATCH = 256


@dataclass
class _Work:
    operation: Callable[[Connection], Any]
    durable: bool
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


@dataclass
class Written:
    """What a writer has done so far.

    Attributes:
        commits: transactions.
        operations: in all of them.
        seconds: that they took, waits for the disk included.
    """

    commits: int = 0
    operations: int = 0
    seconds: float = 0.0


class Writer:
    """Runs operations on one connection, in the order in which they were given.

    Args:
        engine: its connections begin a transaction that holds the write lock from the start.
        translate: turns a database's error into a StoreError, leaves others as they are.
    """

    def __init__(self, engine: Engine, translate: Callable[[Exception], Exception]) -> None:
        self._engine = engine
        # Kept from batch to batch: taking one from the pool costs more than a small transaction.
        self._connection: Connection | None = None
        self._translate = translate
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self.written = Written()
        # A daemon, so that a program that never closed its store can end; a half-done transaction is rolled back.
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[Connection], T], *, durable: bool = True) -> T:
        """What `operation` returned, once it is committed: if it is durable, on disk.

        An exception of the operation undoes that operation only. A caller that is cancelled does not take back what it
        gave.

        Raises:
            StoreError: the store is closed, or the database could not take it; nothing of it was kept.
        """
        if self._closed:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Work(operation, durable, future, loop))
        return await future

    async def close(self) -> None:
        """Refuse new operations, finish the accepted ones, end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        open_for_work = True
        while open_for_work:
            batch: list[_Work] = []
            item = self._queue.get()
            while True:
                if item is None:
                    open_for_work = False
                    break
                batch.append(item)
                if len(batch) == MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                began = time.perf_counter()
                self._commit(batch)
                self.written.seconds += time.perf_counter() - began
                self.written.commits += 1
                self.written.operations += len(batch)
                _settle(batch)
        self._let_go()

    def _commit(self, batch: list[_Work]) -> None:
        try:
            connection = self._connection = self._connection or self._engine.connect()
            connection.info[DURABLE] = any(work.durable for work in batch)
            with connection.begin():
                if len(batch) == 1:
                    # No neighbours to protect: its error undoes the transaction.
                    batch[0].value = batch[0].operation(connection)
                    return
                for work in batch:
                    self._execute(connection, work)
        except Exception as e:  # whatever it was, nothing of this batch is on disk, and each caller has to learn it
            error = self._translate(e)
            for work in batch:
                work.error = work.error or error
            with contextlib.suppress(Exception):
                self._let_go()  # it may be what broke

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _execute(self, connection: Connection, work: _Work) -> None:
        # On the driver's cursor: SQLAlchemy's savepoints cost more than what they protect.
        cursor = connection.connection.cursor()
        cursor.execute("SAVEPOINT work")
        try:
            work.value = work.operation(connection)
            cursor.execute("RELEASE SAVEPOINT work")
        except Exception as e:
            work.error = self._translate(e)
            try:
                cursor.execute("ROLLBACK TO SAVEPOINT work")
                cursor.execute("RELEASE SAVEPOINT work")
            except Exception as lost:
                # A full disk or an I/O error makes SQLite drop the whole transaction, savepoints included: the
                # neighbours fail for the same reason, instead of being acknowledged without having been written.
                raise (work.error if isinstance(work.error, StoreError) else lost) from e


def _settle(batch: list[_Work]) -> None:
    # All callers of a writer live on one loop: one wake-up for the batch.
    def settle_all() -> None:
        for work in batch:
            work.settle()

    try:
        batch[0].loop.call_soon_threadsafe(settle_all)
    except RuntimeError:
        # The loop is gone, and with it everyone who waited.
        return
