"""The store on a database, through SQLAlchemy: writes through one thread with group commit, reads beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy.engine import Connection, Engine

from orchestrator import jobs
from orchestrator.clocks import steady
from orchestrator.store import catalogue, custody, engine, fitness, job_reads, job_writes
from orchestrator.store.base import (
    Applied,
    DeviceChange,
    Held,
    NewJob,
    Page,
    Queued,
    Share,
    StoredDevice,
    StoreError,
    Submitted,
    SuspectJob,
    Waiting,
)
from orchestrator.store.security import SecurityBooks
from orchestrator.store.writer import Writer
from protos.gauntlet.v1 import agent_pb2, campaign_pb2, device_pb2, job_pb2, measurement_pb2

T = TypeVar("T")

#: Threads and connections that read; the database serves them while the writer writes.
READERS = 4


class SqlStore:
    """Implements `orchestrator.store.base.Store`; all methods are for one event loop.

    Every method raises StoreError when the database cannot be used; it may be called again once the cause is gone.
    """

    def __init__(
        self, path: Path, writing: Engine, reading: Engine, clock: Callable[[], float], steady: Callable[[], float]
    ) -> None:
        self._path = path
        self._writing = writing
        self._reading = reading
        self._clock = clock
        self._steady = steady
        self._writer = Writer(writing, lambda error: engine.translate(path, error))
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        # Each reading thread keeps its connection: taking one from the pool costs more than most of what is read.
        self._kept = threading.local()
        self._opened: list[Connection] = []
        self._closed = False
        #: Who was let in, and what they did.
        self.security = SecurityBooks(self._writer.run, self._read, clock)

    @classmethod
    async def open(
        cls, location: str | Path, *, clock: Callable[[], float] = time.time, steady: Callable[[], float] = steady
    ) -> Self:
        """Open the store, make it when it is not there, bring an older one up to date.

        Args:
            location: a file name, or `sqlite:///FILE`.
            clock: Unix time, to be shown.
            steady: Unix time that does not jump, for deadlines.

        Raises:
            StoreError: newer than the software, no store, damaged, or not to be written.
        """
        path = engine.parse_location(location)
        writing = engine.connect(path, begin="BEGIN IMMEDIATE", connections=1)
        reading = engine.connect(path, begin="BEGIN", connections=READERS)
        try:
            await asyncio.to_thread(engine.prepare, path, writing)
        except BaseException:
            writing.dispose()
            raise
        return cls(path, writing, reading, clock, steady)

    async def close(self) -> None:
        """Finish what was accepted, then let go of the files."""
        self._closed = True
        await self._writer.close()
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()
        # Readers first: the last connection to close folds the write-ahead log into the file.
        self._reading.dispose()
        self._writing.dispose()

    async def size_bytes(self) -> int:
        """Of the file, and of the log beside it that is not folded into it yet."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _own_connection(self) -> Connection:
        connection: Connection | None = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = self._reading.connect()
            self._opened.append(connection)
        return connection

    async def _read(self, query: Callable[[Connection], T]) -> T:
        if self._closed:
            raise StoreError("the store is closed")

        def read() -> T:
            try:
                connection = self._own_connection()
                # One snapshot: statements that take the shortcut begin no transaction by themselves.
                with connection.begin():
                    return query(connection)
            except engine.DATABASE_ERRORS as e:
                raise engine.translate(self._path, e) from e

        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    async def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """Queue all or none, in order; known idempotency keys attach to their jobs.

        Raises:
            KeyConflictError: a key is known with another specification.
        """
        return await self._writer.run(lambda c: job_writes.submit(c, new, self._clock(), self._steady()))

    async def apply(
        self,
        job_id: str,
        event: jobs.Event,
        result: measurement_pb2.MeasurementResult | None = None,
        *,
        whole: bool = False,
    ) -> Applied | None:
        """Take the job through `event`; None when there is no such job.

        A superseded result or failure is kept beside the job once per lease, unless it is the one that counted, sent
        again.
        """
        # A lease that a power failure took back leaves a queued job, which is leased again: not worth a wait for the
        # disk. What ends a job, or an attempt, is.
        durable = not isinstance(event, jobs.Leased | jobs.Started)
        return await self._writer.run(
            lambda c: job_writes.apply(c, job_id, event, result, self._clock(), self._steady(), whole), durable=durable
        )

    async def waiting(self, wanted: Callable[[str], bool], limit: int) -> list[Waiting]:
        """See `Store.waiting`."""
        return await self._read(lambda c: job_reads.waiting(c, wanted, limit))

    async def overdue(self, now: float) -> list[str]:
        """Queued jobs that have been in the queue for longer than they allow, at Unix time `now`."""
        return await self._read(lambda c: job_reads.overdue(c, now))

    async def late(self, now: float) -> list[str]:
        """Unfinished jobs that have taken longer than they may, at Unix time `now`."""
        return await self._read(lambda c: job_reads.late(c, now))

    async def held(self) -> list[Held]:
        """All leases that are out, in the order in which they were given."""
        return await self._read(job_reads.held)

    async def shares(self) -> dict[Share, Queued]:
        """Who has unfinished jobs, and how many."""
        return await self._read(job_reads.shares)

    async def job(self, job_id: str) -> job_pb2.Job | None:
        """One job whole, by its id or by a prefix that fits one only.

        Raises:
            LookupError: the prefix fits several.
        """
        return await self._read(lambda c: job_reads.job(c, job_id))

    async def list_jobs(self, states: Collection[jobs.State], campaign_id: str, limit: int, token: str) -> Page:
        """Newest first; no states: all.

        Raises:
            ValueError: `token` is none of this listing.
        """
        return await self._read(lambda c: job_reads.list_jobs(c, states, campaign_id, limit, token))

    async def unfinished(self, campaign_id: str, user: str = "") -> list[str]:
        """Ids of the campaign's jobs that have not ended; of this user, unless it is empty."""
        return await self._read(lambda c: job_reads.unfinished(c, campaign_id, user))

    async def count_by_state(self) -> dict[jobs.State, int]:
        """Number of jobs in each state, zeros included."""
        return await self._read(job_reads.count_by_state)

    async def needed_artifacts(self, finished_since: float) -> set[str]:
        """Digests that unfinished jobs, or jobs finished after that Unix time, need or produced."""
        return await self._read(lambda c: job_reads.needed_artifacts(c, finished_since))

    async def save_devices(self, agent_id: str, devices: Sequence[device_pb2.DeviceDescription]) -> None:
        """Enrol or refresh devices of an agent, seen now."""
        await self._writer.run(lambda c: catalogue.save_devices(c, agent_id, devices, self._clock()))

    async def devices(self) -> list[StoredDevice]:
        """All that ever enrolled, by id."""
        return await self._read(catalogue.all_devices)

    async def change_device(self, device_id: str, change: DeviceChange) -> None:
        """Keep what changes about a device."""
        # What only tells what happened need not wait for the disk.
        durable = bool(change.hold or change.freed) or change.windows is not None
        await self._writer.run(lambda c: custody.change(c, device_id, change), durable=durable)

    async def record_fitness(self, report: agent_pb2.FitnessReport) -> list[SuspectJob]:
        """Keep a device's fitness check, and mark the results that it makes suspect; see `Store.record_fitness`."""
        return await self._writer.run(lambda c: fitness.record(c, report, self._clock(), self._steady()))

    async def save_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """Create the campaign or replace its description; the store sets both times."""
        await self._writer.run(lambda c: catalogue.save_campaign(c, campaign, self._clock()))

    async def save_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> bool:
        """Append, or replace those whose (kind, key) is known; False when there is no such campaign."""
        return await self._writer.run(lambda c: catalogue.save_records(c, campaign_id, records, self._clock()))

    async def campaigns(self) -> list[campaign_pb2.Campaign]:
        """Newest first."""
        return await self._read(catalogue.all_campaigns)

    async def records(self, campaign_id: str, limit: int, token: str) -> tuple[list[campaign_pb2.CampaignRecord], str]:
        """In order of first publication, and the next token.

        Raises:
            ValueError: `token` is none of this listing.
        """
        return await self._read(lambda c: catalogue.list_records(c, campaign_id, limit, token))
