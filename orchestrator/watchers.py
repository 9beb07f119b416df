"""Who wants to know when a job changes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from protos.gauntlet.v1 import job_pb2

#: Jobs in the hands of devices that are remembered, and the largest of them.
_REMEMBERED, _SMALL_BYTES = 1024, 16 * 1024
_IN_HAND = (job_pb2.JOB_STATE_LEASED, job_pb2.JOB_STATE_RUNNING)


@dataclass(frozen=True)
class Change:
    """What happened to a job.

    Attributes:
        stored: the store knows more than before; otherwise only the step that it reports is new.
        job: the job as it is now, if that is at hand.
    """

    stored: bool = True
    job: job_pb2.Job | None = None


class Watch:
    """Collects the jobs that changed since they were last taken; a job that changes twice is named once."""

    def __init__(self) -> None:
        self._changed: dict[str, Change] = {}
        self._event = asyncio.Event()

    def notify(self, job_id: str, change: Change) -> None:
        """A job changed."""
        if change.stored or job_id not in self._changed:
            self._changed[job_id] = change
        self._event.set()

    async def take(self) -> dict[str, Change]:
        """Wait for a change; the jobs that changed, oldest first, each with its latest change in the store."""
        await self._event.wait()
        changed = self._changed
        self._changed = {}
        self._event.clear()
        return changed


class Watchers:
    """Fans changes out to watches, by job.

    A watch begins with the job as it stands. Most jobs are watched from their submission on, with their lease just
    handed out: of those the last change is remembered, and the store is not asked.
    """

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._latest: OrderedDict[str, job_pb2.Job] = OrderedDict()

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._watches

    def notify(self, job_id: str, change: Change) -> None:
        """Tell every watch of this job."""
        if change.stored:
            self._remember(job_id, change.job)
        for watch in self._watches.get(job_id, ()):
            watch.notify(job_id, change)

    @contextmanager
    def watching(self, job_ids: Collection[str]) -> Iterator[Watch]:
        """A watch over these jobs, while the context lasts; at its begin each of them counts as changed."""
        watch = Watch()
        for job_id in job_ids:
            self._watches[job_id].add(watch)
            watch.notify(job_id, Change(job=self._latest.get(job_id)))
        try:
            yield watch
        finally:
            for job_id in job_ids:
                self._watches[job_id].discard(watch)
                if not self._watches[job_id]:
                    del self._watches[job_id]

    def _remember(self, job_id: str, job: job_pb2.Job | None) -> None:
        self._latest.pop(job_id, None)
        if job is not None and job.state in _IN_HAND and job.ByteSize() <= _SMALL_BYTES:
            self._latest[job_id] = job
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
