"""A snapshot as metrics: the orchestrator itself, its queue, its campaigns."""

from __future__ import annotations

import shutil
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from orchestrator import devices
from orchestrator.counters import MOST_CLASSES, OTHER_CLASSES
from orchestrator.demands import Demand
from orchestrator.jobs import State
from orchestrator.metrics.snapshot import Snapshot
from orchestrator.store.overview import Backlog, CampaignReading, Queue
from protos import contract
from protos.gauntlet.v1 import campaign_pb2

#: The label of jobs that any class of devices may do.
ANY_CLASS = "any"


def collect(snapshot: Snapshot | None, started_at: float, folder: Path) -> Iterator[Metric]:
    """All but the devices one by one.

    Args:
        snapshot: of the fleet; None: there is none to be had.
        started_at: Unix time.
        folder: of the lab, whose disk is looked at.
    """
    yield InfoMetricFamily(
        "gauntlet_orchestrator",
        "What this orchestrator is.",
        {"version": contract.software_version(), "protocol": str(contract.PROTOCOL_VERSION)},
    )
    yield _gauge("gauntlet_start_timestamp_seconds", "When this orchestrator started.", started_at)
    yield from _disk(folder)
    if snapshot is None:
        return
    yield from _fleet(snapshot)
    if snapshot.queue is not None:
        classes = {reading.device.device_id: reading.device_class for reading in snapshot.readings}
        yield from _queue(snapshot.queue, classes, snapshot.now)
    yield from _campaigns(snapshot.campaigns)
    yield _gauge("gauntlet_artifacts", "Files kept.", snapshot.artifact_files)
    yield _gauge("gauntlet_artifacts_bytes", "Bytes of the files kept.", snapshot.artifact_bytes)
    written = snapshot.written
    yield _counter("gauntlet_store_commits", "Transactions of the store.", written.commits)
    yield _counter("gauntlet_store_operations", "Writes, several of which may share a commit.", written.operations)
    yield _counter("gauntlet_store_write_seconds", "Time spent in them, waits for the disk included.", written.seconds)


def _disk(folder: Path) -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return  # a folder that is gone has no room that could be told
    yield _gauge("gauntlet_disk_free_bytes", "Where the lab's database and artifacts are.", usage.free)
    yield _gauge("gauntlet_disk_size_bytes", "Of that file system.", usage.total)


def _fleet(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("gauntlet_agents_connected", "Agents with a session.", snapshot.sessions)
    states = GaugeMetricFamily("gauntlet_devices", "Devices that ever enrolled, by state.", labels=["state"])
    tally = Tally(reading.device.state for reading in snapshot.readings)
    for state in devices.State:
        states.add_metric([state.value], tally[state])
    yield states


def _queue(queue: Queue, classes: dict[str, str], now: float) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("gauntlet_jobs_queued", "Jobs that wait, by user.", labels=["user"])
    held = GaugeMetricFamily("gauntlet_jobs_held", "Jobs that devices hold, by user.", labels=["user"])
    users: dict[str, list[int]] = {}
    for share, count in queue.shares.items():
        sums = users.setdefault(share.user, [0, 0])
        sums[0] += count.waiting
        sums[1] += count.held
    for user, (waits, holds) in users.items():
        waiting.add_metric([user], waits)
        held.add_metric([user], holds)
    yield waiting
    yield held
    states = GaugeMetricFamily("gauntlet_jobs", "Jobs that have not ended, by state.", labels=["state"])
    states.add_metric([State.QUEUED.value], sum(backlog.count for backlog in queue.waiting.values()))
    for state, number in queue.held.items():
        states.add_metric([state.value], number)
    yield states
    yield from _backlogs(queue, classes, now)


def _backlogs(queue: Queue, classes: dict[str, str], now: float) -> Iterator[Metric]:
    """What waits for each class. Nothing waits: no series, since nothing has waited for 0 s."""
    depth = GaugeMetricFamily(
        "gauntlet_queue_jobs",
        f"Jobs that wait for a class of devices; {ANY_CLASS}: they name none.",
        labels=["device_class"],
    )
    age = GaugeMetricFamily("gauntlet_queue_oldest_wait_seconds", "Age of the oldest of them.", labels=["device_class"])
    merged: dict[str, Backlog] = {}
    # The longest first: of classes that somebody makes up without end, those get series that most wait for.
    for signature, backlog in sorted(queue.waiting.items(), key=lambda waiting: -waiting[1].count):
        demand = Demand.parse(signature)
        name = demand.device_class or classes.get(demand.device_id, ANY_CLASS)
        if name not in merged and len(merged) >= MOST_CLASSES:
            name = OTHER_CLASSES
        before = merged.get(name, Backlog(0, backlog.since))
        merged[name] = Backlog(before.count + backlog.count, min(before.since, backlog.since))
    for name, backlog in merged.items():
        depth.add_metric([name], backlog.count)
        age.add_metric([name], max(0.0, now - backlog.since))
    yield depth
    yield age


def _campaigns(campaigns: Iterable[CampaignReading]) -> Iterator[Metric]:
    """As they publish it: what a figure means is known to who published it."""
    states = GaugeMetricFamily(
        "gauntlet_campaign_state", "1: where it stands, one series a campaign.", labels=["campaign", "state"]
    )
    updated = GaugeMetricFamily(
        "gauntlet_campaign_updated_timestamp_seconds", "When it published last.", labels=["campaign"]
    )
    figures = GaugeMetricFamily(
        "gauntlet_campaign_figure", "What it published of itself last.", labels=["campaign", "figure"]
    )
    for campaign in campaigns:
        states.add_metric([campaign.title, _state_name(campaign.state)], 1)
        updated.add_metric([campaign.title], campaign.updated_at)
        for name, value in campaign.figures.items():
            figures.add_metric([campaign.title, name], value)
    yield states
    yield updated
    yield figures


def _state_name(state: int) -> str:
    known = state in campaign_pb2.CampaignState.values()
    return campaign_pb2.CampaignState.Name(state).removeprefix("CAMPAIGN_STATE_").lower() if known else "unknown"


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)
