"""What is exported, as it is at one moment."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from orchestrator.artifacts import ArtifactStore
from orchestrator.counters import CountingStore
from orchestrator.hub import Hub
from orchestrator.registry import Reading
from orchestrator.store.base import StoreError
from orchestrator.store.overview import CampaignReading, Queue
from orchestrator.store.writer import Written

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """References to what is here, nothing copied.

    Attributes:
        now: Unix time.
        sessions: agents that are connected.
        queue: what waits; None when the store could not be asked.
        campaigns: those that run or ended lately; none either when the store could not be asked.
    """

    now: float
    readings: list[Reading] = field(default_factory=list)
    sessions: int = 0
    queue: Queue | None = None
    campaigns: list[CampaignReading] = field(default_factory=list)
    artifact_files: int = 0
    artifact_bytes: int = 0
    written: Written = field(default_factory=Written)


async def take(hub: Hub, store: CountingStore, artifacts: ArtifactStore) -> Snapshot:
    """One of a running orchestrator, on its event loop."""
    now = time.time()
    queue, campaigns = None, list[CampaignReading]()
    try:
        queue, campaigns = await store.overview(now)
    except StoreError as error:
        log.error("queue and campaigns are missing in the metrics: %s", error)
    return Snapshot(
        now=now,
        readings=hub.registry.readings(),
        sessions=len(hub.registry.sessions()),
        queue=queue,
        campaigns=campaigns,
        artifact_files=await artifacts.total_files(),
        artifact_bytes=await artifacts.total_bytes(),
        written=store.written,
    )
