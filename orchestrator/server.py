"""One orchestrator process: store, artifacts, hub and the gRPC server around them."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from orchestrator.artifacts import ArtifactStore
from orchestrator.clocks import steady
from orchestrator.config import Config, ConfigError
from orchestrator.counters import Counters, CountingStore
from orchestrator.dispatcher import collect_forever, dispatch_forever, keep_time_forever
from orchestrator.hub import Hub
from orchestrator.metrics import MetricsServer
from orchestrator.ports import bind
from orchestrator.services.health import Health
from orchestrator.watchers import Watchers
from protos import folderlock

log = logging.getLogger(__name__)
_STOP_GRACE_S = 1.0


async def serve(config: Config, until: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run an orchestrator until `until` is set.

    Args:
        config: where and how.
        until: set it to end; calls in flight get a second.
        on_ready: called once it listens.

    Raises:
        ConfigError: the folder or the address is in use.
        StoreError, ArtifactError: the database or the artifacts cannot be used.
    """
    _raise_file_limit()
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock(config.folder):
        store = await CountingStore.open(config.folder / "lab.sqlite")
        store.counters = Counters()
        try:
            await _serve(config, store, until, on_ready)
        finally:
            await store.close()


async def _serve(config: Config, store: CountingStore, until: asyncio.Event, on_ready: Callable[[], None]) -> None:
    artifacts = ArtifactStore(
        config.folder / "artifacts",
        config.max_artifact_bytes,
        config.max_store_bytes,
        # To make room, whatever no unfinished job needs may go.
        needed=lambda _: store.needed_artifacts(time.time()),
        grace_s=config.upload_grace_s,
        clock=steady,
    )
    hub = Hub(config, store, artifacts, Watchers())
    await hub.load()
    health = Health()
    servers = await bind(config, hub, artifacts, store, health)
    metrics = MetricsServer(config.metrics_address, hub, store, artifacts) if config.metrics_address else None
    for server in servers:
        await server.start()
    await health.begin()
    log.info("listening on %s, state in %s", config.address, config.folder)
    on_ready()
    duties = [
        asyncio.create_task(dispatch_forever(hub)),
        asyncio.create_task(keep_time_forever(hub)),
        asyncio.create_task(collect_forever(hub, artifacts)),
    ]
    stop = asyncio.create_task(until.wait())
    done, _ = await asyncio.wait([stop, *duties], return_when=asyncio.FIRST_COMPLETED)
    for task in (stop, *duties):
        task.cancel()
    await health.end()
    for session in hub.registry.sessions():
        session.close("the orchestrator stops")
    await asyncio.gather(*(server.stop(_STOP_GRACE_S) for server in servers))
    if metrics is not None:
        await asyncio.to_thread(metrics.close)
    for task in done - {stop}:
        task.result()  # a duty ends only by a bug: let it be seen


def _lock(folder: Path) -> IO[str]:
    try:
        return folderlock.own(folder / "orchestrator.lock")
    except folderlock.FolderInUseError as error:
        raise ConfigError(
            f"{folder} belongs to a running orchestrator (process {error.owner})\n"
            "stop it, or choose another folder with --dir"
        ) from error


def _raise_file_limit() -> None:
    """Each agent is an open file; the usual soft limit of 1,024 is soon met."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
