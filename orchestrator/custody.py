"""Takes devices out of service and gives them back: for people, by the rules of health, for maintenance.

The pure parts decide (`holds`, `health`, `devices`); this class carries out: it keeps the store, the registry and the
devices' history in step, asks for probes, and ends what is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from orchestrator import health, holds, jobs
from orchestrator.holds import Hold, Kind
from orchestrator.registry import Registry, Session
from orchestrator.store.base import DeviceChange, Store, StoreError
from orchestrator.times import minute, rfc3339
from protos.blame import Blame, blame, kind_name
from protos.gauntlet.v1 import agent_pb2, failure_pb2, fitness_pb2, fleet_pb2

log = logging.getLogger(__name__)

_MAX_DETAIL = 500


class HeldByAnotherError(Exception):
    """Somebody else has reserved the device; a second line says what to do."""


@dataclass
class _Probe:
    """Of a device in quarantine.

    Attributes:
        session: through which it is asked.
        due: monotonic time of the next one.
        asked: how many were.
        waiting: has it been asked in this session? What an agent kept from an earlier one is no answer.
    """

    session: str
    due: float
    asked: int = 0
    waiting: bool = False


class Custody:
    """Which devices are kept from taking jobs, and until when.

    Args:
        registry: the devices.
        store: where it lasts.
        freed: told when a device may take jobs again.
        usual_s: how long a job usually takes on a device.
        quarantine: put devices out of service by the rules of health.
        first_probe_s: seconds in quarantine before the first probe.
        clock: monotonic seconds: a reservation ends by them, whatever happens to the time of day.
        now: Unix time, for what outlives the process and for maintenance.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        freed: Callable[[], None],
        usual_s: Callable[[str], float],
        quarantine: bool,
        first_probe_s: float,
        clock: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._store = store
        self._freed = freed
        self._usual_s = usual_s
        self._quarantine = quarantine
        self._first_probe_s = first_probe_s
        self._clock = clock
        self._now = now
        self._health = health.Health(health.Limits())
        self._probes: dict[str, _Probe] = {}
        #: When reservations end, by `clock`.
        self._ends: dict[str, float] = {}
        #: Agents: the process that was here last, and whether it said goodbye.
        self._epochs: dict[str, tuple[str, bool]] = {}
        #: Of two that change a reservation, the second sees what the first did.
        self._reserving = asyncio.Lock()

    def load(self) -> None:
        """Take up what earlier lives left; after the registry did."""
        for device in self._registry.held():
            reservation = device.hold(Kind.RESERVED)
            if reservation is not None and reservation.until is not None:
                self._ends[device.device_id] = self._clock() + max(0.0, reservation.until - self._now())

    # ------------------------------------------------------------------------------------------------ what people ask

    async def drain(self, device_id: str, by: str, reason: str) -> None:
        """No new jobs until somebody resumes it."""
        await self._hold(device_id, Hold(Kind.DRAINING, holds.line(reason), self._now(), by), "drained")

    async def resume(self, device_id: str, by: str) -> None:
        """Ends draining, and a quarantine."""
        await self._free(device_id, (Kind.DRAINING, Kind.QUARANTINED), "resumed", f"by {by}")

    async def reserve(self, device_id: str, by: str, duration_s: float, reason: str) -> None:
        """Drained for a person, for a time; the same person may change it.

        Raises:
            InvalidHoldError: no such duration.
            HeldByAnotherError: somebody else has it.
        """
        until = holds.reservation_end(duration_s, self._now())
        async with self._reserving:
            present = self._reservation(device_id)
            if present is not None and present.by != by:
                raise HeldByAnotherError(
                    f"{device_id} is {present}\nask {present.by} to release it, or wait until its time is over"
                )
            hold = Hold(Kind.RESERVED, holds.line(reason), self._now(), by, until)
            await self._hold(device_id, hold, "reserved")
            self._ends[device_id] = self._clock() + duration_s

    async def release(self, device_id: str, by: str, is_admin: bool) -> None:
        """Ends a reservation.

        Raises:
            InvalidHoldError: there is none.
            HeldByAnotherError: it is somebody else's, and `by` is no admin.
        """
        async with self._reserving:
            present = self._reservation(device_id)
            if present is None:
                raise holds.InvalidHoldError(f"{device_id} is not reserved\nsee `gauntlet devices show {device_id}`")
            if present.by != by and not is_admin:
                raise HeldByAnotherError(f"{device_id} is {present}\nask {present.by} or an admin to release it")
            await self._free(device_id, (Kind.RESERVED,), "released", f"by {by}")

    async def quarantine(self, device_id: str, by: str, reason: str) -> None:
        """Out of service until a person resumes it: no probe lifts it."""
        await self._hold(device_id, Hold(Kind.QUARANTINED, holds.line(reason), self._now(), by), "quarantined")

    async def set_maintenance(self, device_id: str, by: str, windows: Iterable[fleet_pb2.MaintenanceWindow]) -> None:
        """These windows, and no others.

        Raises:
            InvalidHoldError: one of them is none.
        """
        checked = holds.check_windows(windows)
        event = self._event("maintenance set", f"{len(checked) or 'no'} window{'s' * (len(checked) != 1)}, by {by}")
        await self._store.change_device(device_id, DeviceChange(windows=checked, event=event))
        self._registry.set_windows(device_id, checked)
        self._registry.happened(device_id, event)
        self._keep_windows()

    # ------------------------------------------------------------------------------------------------ what happens

    def is_new_process(self, agent_id: str, epoch: str) -> bool:
        """Is this another process than the one that attached last? None was here yet: no."""
        return self._epochs.get(agent_id, (epoch, True))[0] != epoch

    async def attached(self, session: Session) -> None:
        """An agent is here with its devices."""
        _, said_goodbye = self._epochs.get(session.agent_id, (session.epoch, True))
        crashed = self.is_new_process(session.agent_id, session.epoch) and not said_goodbye
        self._epochs[session.agent_id] = (session.epoch, False)
        for device_id in sorted(session.device_ids):
            anew = "its agent started anew without having said goodbye" if crashed else ""
            await self._note(device_id, "attached", anew)
            if crashed:
                await self._act(device_id, self._health.restarted(device_id, self._clock()))

    async def detached(self, session: Session) -> None:
        """Its connection is over."""
        if session.goodbye and session.agent_id in self._epochs:
            self._epochs[session.agent_id] = (session.epoch, True)
        for device_id in sorted(session.device_ids):
            await self._note(device_id, "left" if session.goodbye else "lost", session.closed_because)

    async def changed(self, came: Iterable[str], gone: Mapping[str, str]) -> None:
        """An agent that stays has other devices: some came, and some left or are lost, which has a reason."""
        for device_id in sorted(came):
            await self._note(device_id, "attached", "")
        for device_id, reason in sorted(gone.items()):
            await self._note(device_id, "lost" if reason else "left", reason)

    async def applied(self, before: jobs.Job, event: jobs.Event) -> None:
        """A job that a device held went through an event."""
        device_id = before.device_id
        if device_id is None:
            return
        if isinstance(event, jobs.Succeeded):
            self._health.succeeded(device_id)
            device = self._registry.device(device_id)
            if device is not None and device.on_probation:
                await self._lift(device_id, f"job {before.job_id[:8]} succeeded on probation")
        elif isinstance(event, jobs.Failed) and blame(event.failure) is Blame.DEVICE:
            await self._failed(device_id, before.job_id, event.failure)

    async def checked(self, check: fitness_pb2.FitnessCheck) -> None:
        """A device was checked, for the first time under this id."""
        quarantine = self._own_quarantine(check.device_id)
        if quarantine is None:
            return await self._act(check.device_id, self._health.checked(check))
        device, probe = self._registry.device(check.device_id), self._probes.get(check.device_id)
        if device is None or device.on_probation or probe is None or not probe.waiting:
            return None
        if device.session != probe.session:
            return None
        # After a shift the agent rests, and checks once more by itself: that counts as well.
        match health.answer(check, quarantine.cause):
            case health.Answer.BACK:
                await self._lift(check.device_id, f"a probe found it well: {check.reason}")
            case health.Answer.PROBATION:
                self._registry.put_on_probation(check.device_id)
                await self._note(check.device_id, "on probation", f"a job shall show it: {check.reason}")
                self._freed()
            case health.Answer.STAY:
                await self._note(check.device_id, "probed", check.reason)
        return None

    async def keep_time(self) -> None:
        """End what is over, begin what begins, ask for probes that are due; called twice a second or so."""
        self._keep_windows()
        async with self._reserving:
            await self._end_reservations()
        for device in self._registry.held():
            if self._own_quarantine(device.device_id) is not None:
                self._probe(device.device_id)

    async def _end_reservations(self) -> None:
        for device_id in [name for name, end in self._ends.items() if end <= self._clock()]:
            present = self._reservation(device_id)
            if present is None:
                continue
            try:
                await self._free(device_id, (Kind.RESERVED,), "released", f"the time of {present.by} is over")
            except StoreError as error:
                log.error("the reservation of %s is not ended: %s", device_id, error, extra={"device_id": device_id})

    def _keep_windows(self) -> None:
        """Maintenance is computed, not stored: only a quarantine or a person's hold must outlive the process."""
        for device_id in {*self._registry.maintained(), *(device.device_id for device in self._registry.held())}:
            device = self._registry.device(device_id)
            present = device.hold(Kind.MAINTENANCE) if device else None
            opening = holds.maintenance(self._registry.windows(device_id), self._now(), self._usual_s(device_id))
            if opening is None and present is not None:
                self._registry.free(device_id, Kind.MAINTENANCE)
                self._freed()
            elif opening is not None and (present is None or present.until != opening.ends):
                hold = Hold(Kind.MAINTENANCE, opening.reason, min(self._now(), opening.begins), until=opening.ends)
                self._registry.hold(device_id, hold)

    async def _failed(self, device_id: str, job_id: str, failure: failure_pb2.Failure) -> None:
        kind = kind_name(failure.kind)
        device = self._registry.device(device_id)
        quarantine = device.hold(Kind.QUARANTINED) if device is not None and device.on_probation else None
        if quarantine is not None:
            self._registry.hold(device_id, quarantine)  # ends probation; the next probe is due anyway
        await self._note(device_id, "failure", f"{kind}, job {job_id[:8]}: {failure.message}")
        await self._act(device_id, self._health.failed(device_id, job_id, kind, self._clock()))

    # ------------------------------------------------------------------------------------------------ quarantine

    async def _act(self, device_id: str, finding: health.Finding | None) -> None:
        """Quarantine a device, if there is a finding and nothing keeps it there already."""
        device = self._registry.device(device_id)
        if finding is None or not self._quarantine or device is None or device.hold(Kind.QUARANTINED):
            return
        reason = f"{finding.cause.value}: {finding.reason}"[:_MAX_DETAIL]
        hold = Hold(Kind.QUARANTINED, reason, self._now(), cause=finding.cause.value)
        log.warning("device %s is quarantined: %s", device_id, reason, extra={"device_id": device_id})
        # At once: while the store is written to, it must get no more jobs.
        self._registry.hold(device_id, hold)
        self._probes.pop(device_id, None)
        try:
            await self._hold(device_id, hold, "quarantined")
        except StoreError as error:
            log.error(
                "the quarantine of %s does not outlast this process: %s",
                device_id,
                error,
                extra={"device_id": device_id},
            )

    async def _lift(self, device_id: str, why: str) -> None:
        try:
            await self._free(device_id, (Kind.QUARANTINED,), "released", why)
        except StoreError as error:
            log.error("the quarantine of %s is not ended: %s", device_id, error, extra={"device_id": device_id})

    def _own_quarantine(self, device_id: str) -> Hold | None:
        """The quarantine that the orchestrator put it in; a person's is none of its business."""
        device = self._registry.device(device_id)
        hold = device.hold(Kind.QUARANTINED) if device else None
        return hold if hold is not None and not hold.by else None

    def _probe(self, device_id: str) -> None:
        """Ask for a check, when it is time and the device could make it."""
        session, now = self._registry.session_for(device_id), self._clock()
        if session is None:
            return
        probe = self._probes.get(device_id)
        if probe is None:
            probe = self._probes[device_id] = _Probe(session.session_id, now + self._first_probe_s)
        elif probe.session != session.session_id:
            # It has to stay for a while before it is asked: that it comes back is what a crash loop looks like.
            due = max(probe.due, now + self._first_probe_s)
            probe = self._probes[device_id] = _Probe(session.session_id, due, probe.asked)
        device = self._registry.device(device_id)
        if now >= probe.due and self._registry.lease_of(device_id) is None and device and not device.on_probation:
            session.send(request_check=agent_pb2.RequestCheck(device_id=device_id))
            probe.asked += 1
            probe.waiting = True
            probe.due = now + health.probe_wait_s(probe.asked, self._first_probe_s)

    # ------------------------------------------------------------------------------------------------ plumbing

    def _reservation(self, device_id: str) -> Hold | None:
        device = self._registry.device(device_id)
        return device.hold(Kind.RESERVED) if device else None

    async def _hold(self, device_id: str, hold: Hold, kind: str) -> None:
        until = f"until {minute(hold.until)}, " if hold.until is not None else ""
        event = self._event(kind, until + hold.terms)
        await self._store.change_device(device_id, DeviceChange(hold=hold, event=event))
        self._registry.hold(device_id, hold)
        self._registry.happened(device_id, event)

    async def _free(self, device_id: str, kinds: tuple[Kind, ...], kind: str, detail: str) -> None:
        event = self._event(kind, detail)
        await self._store.change_device(device_id, DeviceChange(freed=kinds, event=event))
        for freed in kinds:
            self._registry.free(device_id, freed)
        if Kind.RESERVED in kinds:
            self._ends.pop(device_id, None)
        if Kind.QUARANTINED in kinds:
            self._probes.pop(device_id, None)
            self._health.forget(device_id)
        self._registry.happened(device_id, event)
        log.info("device %s: %s, %s", device_id, kind, detail, extra={"device_id": device_id})
        self._freed()

    async def _note(self, device_id: str, kind: str, detail: str) -> None:
        """For its history only: nothing else depends on it."""
        event = self._event(kind, detail)
        self._registry.happened(device_id, event)
        try:
            await self._store.change_device(device_id, DeviceChange(event=event))
        except StoreError as error:
            log.error("the history of %s lacks %r: %s", device_id, kind, error, extra={"device_id": device_id})

    def _event(self, kind: str, detail: str) -> fleet_pb2.DeviceEvent:
        return fleet_pb2.DeviceEvent(at=rfc3339(self._now()), kind=kind, detail=" ".join(detail.split())[:_MAX_DETAIL])
