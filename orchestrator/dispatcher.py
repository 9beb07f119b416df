"""What the orchestrator does on its own: hand out jobs, notice what is overdue, throw away what nobody needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from orchestrator.artifacts import ArtifactStore
from orchestrator.clocks import steady
from orchestrator.hub import Hub
from orchestrator.store.base import StoreError, Waiting

log = logging.getLogger(__name__)

_TICK_S = 0.5
_COLLECT_EVERY_S = 3600.0
_RETRY_S = 1.0
# Of each group, jobs for every device that could take one and some that are gone when it comes to it. The next round
# goes on where a window was too small.
_SPARE_WINDOW = 8
_LARGEST_WINDOW = 256


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
    idle, room = hub.registry.idle(), hub.room()
    takers = [*idle, *room]
    if not takers:
        return
    hub.dispatching = True
    try:
        window = min(len(idle) + sum(room.values()) + _SPARE_WINDOW, _LARGEST_WINDOW)
        waiting = await _waiting(hub, takers, window) if hub.may_wait else []
        assignments = hub.propose(waiting, hub.room())
        leasing = [hub.lease(assignment) for assignment in assignments]
        if assignments and window == _LARGEST_WINDOW:
            hub.kick.set()
        await asyncio.gather(*leasing)
        await hub.share_out()
    finally:
        hub.dispatching = False


async def _waiting(hub: Hub, takers: Collection[str], window: int) -> list[Waiting]:
    found: list[str] = []

    def wanted(signature: str) -> bool:
        # One that no taker can serve costs no look at its jobs: those of a dead site fill no window.
        found.append(signature)
        return any(hub.fits(signature, device_id) for device_id in takers)

    # Before the look: what is queued meanwhile may not be in it.
    hub.may_wait = False
    try:
        waiting = await hub.store.waiting(wanted, window)
    except BaseException:
        hub.may_wait = True
        raise
    hub.may_wait = hub.may_wait or bool(found)
    return waiting


async def keep_time_forever(hub: Hub) -> None:
    """End silent sessions, expired leases and overdue jobs."""
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(_TICK_S)
        now = clock()
        if now - last > _TICK_S + hub.config.lease_duration_s / 2:
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
    # A submission whose caller hung up may be stored after the last look: that nothing waits is not believed for long.
    hub.may_wait = True
    hub.kick.set()
    for session in hub.registry.sessions():
        if now - session.heard_at > limit:
            await hub.close_session(session, f"no heartbeat for {limit:g} s")
    await hub.custody.keep_time()
    expired = hub.leases.expired()
    for lease in expired:
        holder = hub.registry.session_for(lease.device_id)
        if holder is not None and now - holder.heard_at > 2 * hub.config.heartbeat_interval_s:
            # Silent as well, if not yet for the full time: its device must not get the job again.
            await hub.close_session(holder, f"no heartbeat for {now - holder.heard_at:.0f} s")
    await hub.lose(expired, f"was not heard for {limit:g} s while it held the job")
    for device in hub.registry.held():
        await hub.hand_back(device.device_id)
    for job_id in await hub.store.overdue(steady()):
        await hub.expire(job_id)
    for job_id in await hub.store.late(steady()):
        await hub.end_late(job_id)


async def collect_forever(hub: Hub, artifacts: ArtifactStore) -> None:
    """Throw away artifacts that no recent job needs."""
    while True:
        try:
            needed = await hub.store.needed_artifacts(steady() - hub.config.retention_s)
            removed = await artifacts.collect(needed, hub.config.upload_grace_s)
            if removed:
                log.info("removed %d artifacts that no job needs any more", removed)
        except (StoreError, OSError) as error:
            log.error("artifacts not collected: %s", error)
        await asyncio.sleep(_COLLECT_EVERY_S)
