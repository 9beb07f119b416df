"""The pages of a running orchestrator. A scrape never blocks its event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain
from typing import TypeVar

from prometheus_client import ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from orchestrator.artifacts import ArtifactStore
from orchestrator.config import ConfigError
from orchestrator.counters import CountingStore
from orchestrator.hub import Hub
from orchestrator.metrics import devices, discovery, fleet
from orchestrator.metrics.snapshot import take
from protos.gauntlet.v1 import device_pb2
from protos.scraping import JSON_TYPE, METRICS_TYPE, Page, PageServer, UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A scrape does without the fleet rather than wait longer for a busy event loop or store; Prometheus gives up after
#: 10 s.
_SNAPSHOT_TIMEOUT_S = 5.0


class _Families(Collector):
    """What was collected, as the library takes it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return self._families


class MetricsServer:
    """``/metrics`` and ``/sd`` over HTTP, in threads of their own.

    Args:
        address: `HOST:PORT`.
        hub: of the running orchestrator, on whose event loop this is made.
        store, artifacts: of it, too.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(self, address: str, hub: Hub, store: CountingStore, artifacts: ArtifactStore) -> None:
        loop = asyncio.get_running_loop()

        def ask(what: Callable[[], Coroutine[None, None, T]]) -> T | None:
            asking = asyncio.run_coroutine_threadsafe(what(), loop)
            try:
                return asking.result(_SNAPSHOT_TIMEOUT_S)
            except TimeoutError:
                asking.cancel()
                return None

        def metrics() -> bytes:
            snapshot = ask(lambda: take(hub, store, artifacts))
            if snapshot is None:
                log.error("a scrape without fleet and queue: they were not to be had within %g s", _SNAPSHOT_TIMEOUT_S)
            families = chain(counted.collect(), fleet.collect(snapshot, started_at, hub.config.folder))
            text = generate_latest(_Families(families))
            return text if snapshot is None else text + devices.text(snapshot).encode()

        async def agents() -> list[device_pb2.AgentDescription]:
            return hub.registry.agents(devices.EXPIRES_AFTER_S)

        def discovered() -> bytes:
            found = ask(agents)
            if found is None:
                # Prometheus then goes on with what it knows.
                raise UnavailableError(f"the fleet was not to be had within {_SNAPSHOT_TIMEOUT_S:g} s")
            return discovery.document(found)

        # A second series beside each counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        started_at = time.time()
        counted = store.counters.registry
        ProcessCollector(registry=counted)
        pages = {"/metrics": Page(METRICS_TYPE, metrics), "/sd": Page(JSON_TYPE, discovered)}
        try:
            self._server = PageServer(address, pages)
        except OSError as error:
            raise ConfigError(
                f"cannot serve metrics on {address}: {error.strerror}\nchoose another metrics_address"
            ) from error
        self.port = self._server.port

    def close(self) -> None:
        """End, in half a second; scrapes under way are not waited for."""
        self._server.close()
