"""Who wants to know when a job changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Watch:
    """Collects the jobs that changed since they were last taken; a job that changes twice is named once."""

    def __init__(self) -> None:
        self._changed: dict[str, bool] = {}
        self._event = asyncio.Event()

    def notify(self, job_id: str, *, stored: bool) -> None:
        """A job changed: in the store, or only in the step that it reports."""
        self._changed[job_id] = stored or self._changed.get(job_id, False)
        self._event.set()

    async def take(self) -> dict[str, bool]:
        """Wait for a change; the jobs that changed, oldest change first, and whether the store knows more of them."""
        await self._event.wait()
        changed = self._changed
        self._changed = {}
        self._event.clear()
        return changed


class Watchers:
    """Fans changes out to watches, by job."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)

    def notify(self, job_id: str, *, stored: bool = True) -> None:
        """Tell every watch of this job."""
        for watch in self._watches.get(job_id, ()):
            watch.notify(job_id, stored=stored)

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
