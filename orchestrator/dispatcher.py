"""What the orchestrator does on its own: hand out jobs, notice what is overdue, throw away what nobody needs."""

from __future__ import annotations

import asyncio
import logging
import time

from orchestrator import jobs
from orchestrator.artifacts import ArtifactStore
from orchestrator.hub import Hub
from orchestrator.store.base import StoreError
from protos.gauntlet.v1 import failure_pb2

log = logging.getLogger(__name__)

_TICK_S = 0.5
_COLLECT_EVERY_S = 3600.0
_RETRY_S = 1.0
# Enough to keep every device busy for one round; the next kick looks again.
_SPARE_WINDOW = 8


async def dispatch_forever(hub: Hub) -> None:
    """Lease queued jobs to idle devices, whenever something may have become assignable."""
    while True:
        await hub.kick.wait()
        hub.kick.clear()
        try:
            await _dispatch(hub)
        except StoreError as error:
            log.error("nothing dispatched: %s", error)
            await asyncio.sleep(_RETRY_S)
            hub.kick.set()


async def _dispatch(hub: Hub) -> None:
    idle = hub.registry.idle()
    if not idle:
        return
    hub.dispatching = True
    try:
        # A signature that no idle device can serve costs no look at its jobs.
        waiting = await hub.store.waiting(
            lambda signature: any(hub.fits(signature, device_id) for device_id in idle), len(idle) + _SPARE_WINDOW
        )
        await asyncio.gather(*map(hub.lease, hub.propose(waiting)))
    finally:
        hub.dispatching = False


async def keep_time_forever(hub: Hub) -> None:
    """End silent sessions, expired leases and overdue jobs."""
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(_TICK_S)
        now = clock()
        if now - last > hub.config.lease_duration_s / 2:
            # This process itself stood still (SIGSTOP, suspend): what it heard since is unread. Judge nobody by that.
            hub.leases.renew([lease.lease_id for lease in hub.leases.expired()])
            for session in hub.registry.sessions():
                session.heard_at = now
        last = now
        try:
            await _keep_time(hub, now)
        except StoreError as error:
            log.error("overdue jobs not settled: %s", error)


async def _keep_time(hub: Hub, now: float) -> None:
    limit = hub.config.lease_duration_s
    for session in hub.registry.sessions():
        if now - session.heard_at > limit:
            await hub.close_session(session, f"no heartbeat for {limit:g} s")
    await hub.custody.keep_time()
    for lease in hub.leases.expired():
        holder = hub.registry.session_for(lease.device_id)
        if holder is not None and now - holder.heard_at > 2 * hub.config.heartbeat_interval_s:
            # Silent as well, if not yet for the full time: its device must not get the job again.
            await hub.close_session(holder, f"no heartbeat for {now - holder.heard_at:.0f} s")
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_DEVICE_LOST,
            message=f"device {lease.device_id} was not heard for {limit:g} s while it held the job",
            remedy="look at its agent: is it running, is the link up?",
        )
        await hub.end_lease(lease, jobs.Failed(lease.lease_id, failure))
    for job_id in await hub.store.overdue(time.time()):
        await hub.expire(job_id)


async def collect_forever(hub: Hub, artifacts: ArtifactStore) -> None:
    """Throw away artifacts that no recent job needs."""
    while True:
        try:
            needed = await hub.store.needed_artifacts(time.time() - hub.config.retention_s)
            removed = await artifacts.collect(needed, hub.config.upload_grace_s)
            if removed:
                log.info("removed %d artifacts that no job needs any more", removed)
        except (StoreError, OSError) as error:
            log.error("artifacts not collected: %s", error)
        await asyncio.sleep(_COLLECT_EVERY_S)
