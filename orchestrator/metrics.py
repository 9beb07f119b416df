"""``/metrics``: the fleet, the queue and the jobs for Prometheus, and each device as it last reported itself.

    Prometheus ──HTTP──▶ a thread of its own ──asks──▶ event loop: takes a snapshot of references, no more
                              │                          readers of the store: what waits
                              └─ turns both into text

Devices are behind NAT or a tunnel, so that the orchestrator speaks for them (`gauntlet_agent_*`): `up` then says that
the orchestrator is there, and `gauntlet_agent_connected` that a device is. What a device does not report is an absent
series, never a zero. Names follow Prometheus' conventions; no label carries the id of a job, a model or a campaign.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator import devices
from orchestrator.artifacts import ArtifactStore
from orchestrator.config import ConfigError
from orchestrator.counters import CountingStore, Queue
from orchestrator.hub import Hub
from orchestrator.registry import Reading
from orchestrator.store.base import StoreError
from protos import addresses, contract
from protos.figures import value_of

log = logging.getLogger(__name__)

#: A device that was not seen for so long is no longer spoken for.
EXPIRES_AFTER_S = 3600.0
#: A scrape fails rather than wait longer for a busy event loop or store; Prometheus gives up after 10 s.
_SNAPSHOT_TIMEOUT_S = 5.0
_DEVICE_LABELS = ("device_id", "device_class")


@dataclass(frozen=True)
class Snapshot:
    """What is exported, as it was at one moment.

    Attributes:
        queue: what waits; None when the store could not be asked.
        now: Unix time.
    """

    readings: list[Reading]
    sessions: int
    queue: Queue | None
    artifact_files: int
    artifact_bytes: int
    commits: int
    operations: int
    write_s: float
    now: float


class FleetCollector(Collector):
    """Turns a snapshot into metrics at each scrape.

    Args:
        snapshot: called in the thread of the scrape; None: there is none to be had.
        started_at: Unix time.
    """

    def __init__(self, snapshot: Callable[[], Snapshot | None], started_at: float) -> None:
        self._snapshot = snapshot
        self._started_at = started_at

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of a scrape: the registry must not take one to register this."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        snapshot = self._snapshot()
        if snapshot is None:
            return
        yield InfoMetricFamily(
            "gauntlet_orchestrator",
            "What this orchestrator is.",
            {"version": contract.software_version(), "protocol": str(contract.PROTOCOL_VERSION)},
        )
        yield _gauge("gauntlet_start_timestamp_seconds", "When this orchestrator started.", self._started_at)
        yield from _fleet(snapshot)
        if snapshot.queue is not None:
            yield from _queue(snapshot.queue, snapshot.now)
        yield _gauge("gauntlet_artifacts", "Files kept.", snapshot.artifact_files)
        yield _gauge("gauntlet_artifacts_bytes", "Bytes of the files kept.", snapshot.artifact_bytes)
        yield _counter("gauntlet_store_commits", "Transactions of the store.", snapshot.commits)
        yield _counter("gauntlet_store_operations", "Writes, several of which may share a commit.", snapshot.operations)
        yield _counter(
            "gauntlet_store_write_seconds", "Time spent in them, waits for the disk included.", snapshot.write_s
        )
        yield from _devices(snapshot)


def _fleet(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("gauntlet_agents_connected", "Agents with a session.", snapshot.sessions)
    states = GaugeMetricFamily("gauntlet_devices", "Devices that ever enrolled, by state.", labels=["state"])
    tally = Tally(reading.device.state for reading in snapshot.readings)
    for state in devices.State:
        states.add_metric([state.value], tally[state])
    yield states


def _queue(queue: Queue, now: float) -> Iterator[Metric]:
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
    # Nothing waits: nothing has waited for 0 s.
    if queue.waiting_since is not None:
        wait = max(0.0, now - queue.waiting_since)
        yield _gauge("gauntlet_queue_oldest_wait_seconds", "Age of the oldest job that waits.", wait)


def _devices(snapshot: Snapshot) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {
        name: GaugeMetricFamily(f"gauntlet_agent_{name}", meaning, labels=_DEVICE_LABELS)
        for name, meaning in (
            ("connected", "1 while its agent has a session, 0 afterwards; an hour after it was last seen it is gone."),
            ("last_seen_timestamp_seconds", "When it was last heard."),
            ("busy", "1 while it holds a job."),
            ("quarantined", "1 while it is out of service for its health."),
            ("temperature_celsius", "Its hottest sensor."),
            ("frequency_hertz", "Clock of its cores."),
            ("load_average", "Processes that ran or waited to, over a minute."),
            (
                "fitness_shift_ratio",
                "Its reference model in the last check, against what was expected: 0.1 is 10 % slower.",
            ),
            ("noise_floor_ratio", "Smaller differences between two models mean nothing on it."),
        )
    }
    for reading in snapshot.readings:
        for name, value in _figures_of(reading, snapshot.now):
            if value is not None:
                families[name].add_metric([reading.device.device_id, reading.device_class], value)
    yield from families.values()


def _figures_of(reading: Reading, now: float) -> Iterator[tuple[str, float | None]]:
    """What is known of a device; None: not reported."""
    device = reading.device
    connected = device.session is not None
    seen = datetime.fromisoformat(reading.last_seen_at).timestamp()
    if not connected and now - seen > EXPIRES_AFTER_S:
        return
    yield "connected", connected
    yield "last_seen_timestamp_seconds", seen
    yield "quarantined", device.state is devices.State.QUARANTINED
    if not connected:
        return  # what it reported then says nothing of now
    yield "busy", device.lease_id is not None
    if reading.telemetry is not None:
        yield "temperature_celsius", value_of(reading.telemetry.temperature_c)
        yield "frequency_hertz", value_of(reading.telemetry.frequency_hz)
        yield "load_average", value_of(reading.telemetry.load_average)
    if reading.check is not None and reading.check.HasField("shift"):
        yield "fitness_shift_ratio", reading.check.shift
    if reading.noise_floor is not None:
        yield "noise_floor_ratio", value_of(reading.noise_floor.floor)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)


class MetricsServer:
    """``/metrics`` over HTTP, in threads of its own.

    Args:
        address: `HOST:PORT`.
        registry: what is exported.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, port = addresses.split(address)
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(
                f"cannot serve metrics on {address}: {error.strerror}\nchoose another metrics_address"
            ) from error
        self.port: int = self._server.server_port
        log.info("metrics at http://%s/metrics", address)
        if not addresses.is_local(address):
            log.warning(
                "metrics on %s are for everybody who reaches it: they are neither encrypted nor guarded", address
            )

    def close(self) -> None:
        """End, in half a second; scrapes under way are not waited for."""
        self._server.shutdown()
        self._server.server_close()


def export(hub: Hub, store: CountingStore, artifacts: ArtifactStore) -> CollectorRegistry:
    """All that is exported of a running orchestrator; call it on its event loop."""
    loop = asyncio.get_running_loop()

    async def take() -> Snapshot:
        try:
            queue = await store.queue()
        except StoreError as error:
            log.error("the queue is missing in the metrics: %s", error)
            queue = None
        written = store.written
        return Snapshot(
            readings=hub.registry.readings(),
            sessions=len(hub.registry.sessions()),
            queue=queue,
            artifact_files=await artifacts.total_files(),
            artifact_bytes=await artifacts.total_bytes(),
            commits=written.commits,
            operations=written.operations,
            write_s=written.seconds,
            now=time.time(),
        )

    def snapshot() -> Snapshot | None:
        taking = asyncio.run_coroutine_threadsafe(take(), loop)
        try:
            return taking.result(_SNAPSHOT_TIMEOUT_S)
        except TimeoutError:
            taking.cancel()
            log.error("a scrape without fleet and queue: they were not to be had within %g s", _SNAPSHOT_TIMEOUT_S)
            return None

    # A second series beside each counter, which nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = store.counters.registry
    registry.register(FleetCollector(snapshot, time.time()))
    ProcessCollector(registry=registry)
    return registry
