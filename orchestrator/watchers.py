"""Who wants to know when a job changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from protos.gauntlet.v1 import job_pb2


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
    """Fans changes out to watches, by job."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._watches

    def notify(self, job_id: str, change: Change) -> None:
        """Tell every watch of this job."""
        for watch in self._watches.get(job_id, ()):
            watch.notify(job_id, change)

    @contextmanager
    def watching(self, job_ids: Collection[str]) -> Iterator[Watch]:
        """A watch over these jobs, while the context lasts."""
        watch = Watch()
        for job_id in job_ids:
            self._watches[job_id].add(watch)
        try:
            yield watch
        finally:
            for job_id in job_ids:
                self._watches[job_id].discard(watch)
                if not self._watches[job_id]:
                    del self._watches[job_id]
