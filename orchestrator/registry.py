"""Who is here: connected agents, their devices, and when they were last heard. In memory; the store outlives it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from orchestrator import devices, fitness
from orchestrator.demands import Demand
from orchestrator.holds import Hold, Kind
from orchestrator.store.base import SHOWN_EVENTS, StoredDevice
from protos.gauntlet.v1 import agent_pb2, device_pb2, fitness_pb2, fleet_pb2

_CHECKS_IN_ALL, _EVENTS_IN_ALL = 4_000, 10_000
_OUTBOX_LIMIT = 256
#: Devices named where a job says what it waits for.
_NAMED = 3
#: A few figures with their reasons are smaller; what is larger is no telemetry.
_MAX_READING_BYTES = 4096
_STATES = {
    devices.State.ENROLLED: device_pb2.DEVICE_STATE_ENROLLED,
    devices.State.ONLINE: device_pb2.DEVICE_STATE_ONLINE,
    devices.State.BUSY: device_pb2.DEVICE_STATE_BUSY,
    devices.State.DRAINING: device_pb2.DEVICE_STATE_DRAINING,
    devices.State.QUARANTINED: device_pb2.DEVICE_STATE_QUARANTINED,
    devices.State.LOST: device_pb2.DEVICE_STATE_LOST,
}


class Session:
    """One connection of an agent.

    Attributes:
        heard_at: monotonic time of its last message.
        closed_because: why it ended; empty while it lives.
        goodbye: set when the agent left on purpose.
        device_ids: devices attached through it.
    """

    def __init__(self, agent: device_pb2.AgentDescription, epoch: str, now: float) -> None:
        self.session_id = uuid.uuid4().hex
        self.agent = agent
        self.epoch = epoch
        self.heard_at = now
        self.goodbye = ""
        self.device_ids: set[str] = set()
        self.closed_because = ""
        self._outbox: asyncio.Queue[agent_pb2.SessionResponse | None] = asyncio.Queue()
        self._heard = asyncio.Event()

    @property
    def agent_id(self) -> str:
        """Id of the agent behind it."""
        return self.agent.agent_id

    def send(self, **command: object) -> None:
        """Queue a command, by its field name in `SessionResponse`."""
        if self._outbox.qsize() >= _OUTBOX_LIMIT:
            self.close("the agent does not read what is sent to it")
        elif not self.closed_because:
            self._outbox.put_nowait(agent_pb2.SessionResponse(**command))  # type: ignore[arg-type]

    async def next_command(self) -> agent_pb2.SessionResponse | None:
        """The next command to transmit; None once the session is closed."""
        return None if self.closed_because else await self._outbox.get()

    def close(self, reason: str) -> None:
        """End it; what is still queued is not sent."""
        if not self.closed_because:
            self.closed_because = reason
            self._outbox.put_nowait(None)

    def finish(self) -> None:
        """Let what is queued be the last that is sent."""
        self._outbox.put_nowait(None)

    def hear(self, now: float) -> None:
        """A message came."""
        self.heard_at = now
        self._heard.set()

    async def answers(self, within_s: float) -> bool:
        """Is somebody there? Sends a ping and waits for any message."""
        self._heard.clear()
        self.send(ping=agent_pb2.Ping(nonce=1))
        try:
            await asyncio.wait_for(self._heard.wait(), within_s)
        except TimeoutError:
            return False
        return True


@dataclass(frozen=True)
class Reading:
    """What is known of a device now: references to what is here, nothing copied.

    Attributes:
        check: the last one.
    """

    device: devices.Device
    description: device_pb2.DeviceDescription
    last_seen_at: str
    telemetry: device_pb2.DeviceTelemetry | None
    check: fitness_pb2.FitnessCheck | None
    noise_floor: fitness_pb2.NoiseFloor | None

    @property
    def device_class(self) -> str:
        """What jobs ask for."""
        return self.description.device_class


class Registry:
    """Connected sessions and all known devices.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        #: The last session of agents that vanished.
        self._vanished: dict[str, Session] = {}
        self._devices: dict[str, devices.Device] = {}
        self._descriptions: dict[str, device_pb2.DeviceDescription] = {}
        self._owners: dict[str, str] = {}
        self._telemetry: dict[str, device_pb2.DeviceTelemetry] = {}
        self._last_seen: dict[str, str] = {}
        #: Newest first.
        self._checks: dict[str, list[fitness_pb2.FitnessCheck]] = {}
        self._floors: dict[str, fitness_pb2.NoiseFloor] = {}
        self._windows: dict[str, list[fleet_pb2.MaintenanceWindow]] = {}
        #: Newest first.
        self._events: dict[str, list[fleet_pb2.DeviceEvent]] = {}

    def load(self, stored: Iterable[StoredDevice]) -> None:
        """Know the devices that enrolled in earlier lives of the orchestrator."""
        for device in stored:
            device_id = device.description.device_id
            self._devices[device_id] = devices.Device(device_id, holds=tuple(device.holds))
            self._descriptions[device_id] = device.description
            self._owners[device_id] = device.agent_id
            self._last_seen[device_id] = device.last_seen_at
            self._checks[device_id] = list(device.checks)
            if device.noise_floor is not None:
                self._floors[device_id] = device.noise_floor
            self.set_windows(device_id, device.windows)
            self._events[device_id] = list(device.events)

    # ------------------------------------------------------------------------------------------------ sessions

    def session_of(self, agent_id: str) -> Session | None:
        """The live session of an agent."""
        return next((s for s in self._sessions.values() if s.agent_id == agent_id), None)

    def sessions(self) -> list[Session]:
        """All live sessions."""
        return list(self._sessions.values())

    def agents(self, within_s: float) -> list[device_pb2.AgentDescription]:
        """Agents that are connected, or vanished and were heard within so many seconds."""
        since = self._clock() - within_s
        for session in [s for s in self._vanished.values() if s.heard_at < since]:
            del self._vanished[session.agent_id]
        return [session.agent for session in (*self._sessions.values(), *self._vanished.values())]

    def attach(
        self,
        session: Session,
        descriptions: Iterable[device_pb2.DeviceDescription],
        lost: Mapping[str, str] = MappingProxyType({}),
    ) -> set[str]:
        """The session is live and owns exactly these devices; those that it had before and lists no more have left.

        Args:
            session: of the agent.
            descriptions: its devices.
            lost: why devices left that did not do so on purpose, by id.

        Returns:
            Those that left.
        """
        self._sessions[session.session_id] = session
        self._vanished.pop(session.agent_id, None)
        present = {description.device_id: description for description in descriptions}
        gone = session.device_ids - set(present)
        for device_id in gone:
            reason = lost.get(device_id)
            left = devices.Vanished(session.session_id, reason) if reason else devices.Left(session.session_id)
            self._apply(device_id, left)
        session.device_ids = set(present)
        for device_id, description in present.items():
            self._descriptions[device_id] = description
            self._owners[device_id] = session.agent_id
            self._apply(device_id, devices.Attached(session.session_id))
            self._see(device_id)
        return gone

    def detach(self, session: Session, reason: str) -> None:
        """The session is over; with a goodbye its devices left, without one they are lost."""
        was_live = self._sessions.pop(session.session_id, None) is not None
        if was_live and session.agent.metrics_address and not session.goodbye:
            self._vanished[session.agent_id] = session
        for device_id in session.device_ids:
            event = devices.Left(session.session_id) if session.goodbye else None
            self._apply(device_id, event or devices.Vanished(session.session_id, reason))

    def hear(self, session: Session, telemetry: Iterable[device_pb2.DeviceTelemetry] = ()) -> None:
        """A message came through this session."""
        session.hear(self._clock())
        for device_id in session.device_ids:
            self._see(device_id)
        for reading in telemetry:
            if reading.device_id in session.device_ids and reading.ByteSize() <= _MAX_READING_BYTES:
                self._telemetry[reading.device_id] = reading

    def checked(self, report: agent_pb2.FitnessReport) -> bool:
        """A device was checked; the same check again changes nothing, and answers False."""
        checks = self._checks.setdefault(report.check.device_id, [])
        if any(check.check_id == report.check.check_id for check in checks):
            return False
        checks.insert(0, fitness.kept(report.check))
        del checks[fitness.SHOWN_CHECKS :]
        if report.HasField("noise_floor"):
            self._floors[report.noise_floor.device_id] = report.noise_floor
        return True

    # ------------------------------------------------------------------------------------------------ devices

    def session_for(self, device_id: str) -> Session | None:
        """The session through which a device can be reached now."""
        device = self._devices.get(device_id)
        return self._sessions.get(device.session) if device and device.session else None

    def lease_of(self, device_id: str) -> str | None:
        """The lease that a device holds."""
        device = self._devices.get(device_id)
        return device.lease_id if device else None

    def owns(self, agent_id: str, device_id: str) -> bool:
        """Is this the agent that enrolled the device last? Also while the device is away, as a phone may be."""
        return self._owners.get(device_id) == agent_id

    def belongs_elsewhere(self, agent_id: str, device_id: str) -> bool:
        """Did another agent enrol the device?"""
        return self._owners.get(device_id, agent_id) != agent_id

    def enrolled_by(self, agent_id: str) -> set[str]:
        """All devices that an agent ever brought and no other one took over."""
        return {device_id for device_id, owner in self._owners.items() if owner == agent_id}

    def description(self, device_id: str) -> device_pb2.DeviceDescription:
        """What the device said of itself last."""
        return self._descriptions[device_id]

    def descriptions(self) -> list[device_pb2.DeviceDescription]:
        """Of all known devices."""
        return list(self._descriptions.values())

    def idle(self) -> list[str]:
        """Devices that can take a job now."""
        return [d.device_id for d in self._devices.values() if d.is_idle]

    def connected(self) -> list[str]:
        """Devices that are attached and that nothing keeps from taking jobs."""
        return [d.device_id for d in self._devices.values() if d.session and not d.holds]

    def waits_for(self, demand: Demand) -> str:
        """Which devices a job waits for, and why none of them takes jobs; empty: one does."""
        fitting = [self._devices[d.device_id] for d in self.descriptions() if demand.misfit(d) is None]
        if any(device.session and not device.holds for device in fitting):
            return ""
        texts = [f"{device.device_id}: {_absence(device)}" for device in fitting]
        more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
        return f"waits for {'; '.join(texts[:_NAMED])}{more}" if texts else "no device that fits is known any more"

    def lease_granted(self, device_id: str, lease_id: str) -> None:
        """The device is taken."""
        self._apply(device_id, devices.LeaseGranted(lease_id))

    def lease_ended(self, device_id: str, lease_id: str) -> None:
        """The device is free, unless it holds another lease by now."""
        if device_id in self._devices:
            self._apply(device_id, devices.LeaseEnded(lease_id))

    def device(self, device_id: str) -> devices.Device | None:
        """How the device stands; None: nobody knows it."""
        return self._devices.get(device_id)

    def held(self) -> list[devices.Device]:
        """Devices that something keeps from taking jobs."""
        return [device for device in self._devices.values() if device.holds]

    def hold(self, device_id: str, hold: Hold) -> None:
        """It takes no jobs from now on."""
        self._apply(device_id, devices.Held(hold))

    def free(self, device_id: str, kind: Kind) -> None:
        """This keeps it no longer."""
        self._apply(device_id, devices.Freed(kind))

    def put_on_probation(self, device_id: str) -> None:
        """It may take one job at a time, to show whether its quarantine can end."""
        self._apply(device_id, devices.PutOnProbation())

    def maintained(self) -> list[str]:
        """Devices with maintenance windows."""
        return list(self._windows)

    def windows(self, device_id: str) -> list[fleet_pb2.MaintenanceWindow]:
        """Its maintenance windows."""
        return self._windows.get(device_id, [])

    def set_windows(self, device_id: str, windows: Iterable[fleet_pb2.MaintenanceWindow]) -> None:
        """These are its maintenance windows."""
        self._windows[device_id] = list(windows)
        if not self._windows[device_id]:
            del self._windows[device_id]

    def happened(self, device_id: str, event: fleet_pb2.DeviceEvent) -> None:
        """Something for the device's history."""
        events = self._events.setdefault(device_id, [])
        events.insert(0, event)
        del events[SHOWN_EVENTS:]

    def readings(self) -> list[Reading]:
        """Of all known devices."""
        return [
            Reading(
                device,
                self._descriptions[device_id],
                self._last_seen[device_id],
                self._telemetry.get(device_id),
                next(iter(self._checks.get(device_id, [])), None),
                self._floors.get(device_id),
            )
            for device_id, device in self._devices.items()
        ]

    def view(self, device_id: str, job_id: str) -> fleet_pb2.Device:
        """How clients see a device; `job_id` is the job that it holds, or empty."""
        # All devices are listed together: a large fleet shows fewer checks and events of each.
        shown = max(1, min(fitness.SHOWN_CHECKS, _CHECKS_IN_ALL // len(self._devices)))
        events = max(1, min(SHOWN_EVENTS, _EVENTS_IN_ALL // len(self._devices)))
        device = self._devices[device_id]
        return fleet_pb2.Device(
            description=self._descriptions[device_id],
            agent_id=self._owners[device_id],
            state=_STATES[device.state],
            state_reason=_reason(device),
            last_seen_at=self._last_seen[device_id],
            job_id=job_id,
            telemetry=self._telemetry.get(device_id),
            checks=self._checks.get(device_id, [])[:shown],
            noise_floor=self._floors.get(device_id),
            holds=[hold.message() for hold in device.holds],
            events=self._events.get(device_id, [])[:events],
            maintenance=self._windows.get(device_id, []),
        )

    def _apply(self, device_id: str, event: devices.Event) -> None:
        device = self._devices.get(device_id, devices.Device(device_id))
        self._devices[device_id] = devices.step(device, event)

    def _see(self, device_id: str) -> None:
        self._last_seen[device_id] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _reason(device: devices.Device) -> str:
    """Why it is in its state."""
    if device.state is devices.State.LOST:
        return device.lost_because
    # What names its state comes first, and need not be named again.
    own = [hold.details for hold in device.holds if hold.kind.value == device.state.value]
    texts = own + [str(hold) for hold in device.holds if hold.kind.value != device.state.value]
    if device.on_probation:
        texts.append("on probation, one job at a time")
    return "; ".join(texts)


def _absence(device: devices.Device) -> str:
    """Why it takes no jobs."""
    if device.session is None:
        return f"lost: {device.lost_because}" if device.lost_because else "not connected"
    return "; ".join(map(str, device.holds))
