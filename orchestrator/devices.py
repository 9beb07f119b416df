"""The life of a device as a pure state machine.

    enrolled ──attach──▶ online ◀──lease / end──▶ busy
        ▲                  │                       │
        └──leave───────────┴──────lose──▶ lost ────┴──attach──▶ online | busy

Its state follows from three facts (is it attached, which lease does it hold, did it vanish), so that no combination
of events can contradict itself.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class State(enum.Enum):
    """Where a device stands."""

    ENROLLED = "enrolled"
    ONLINE = "online"
    BUSY = "busy"
    LOST = "lost"


@dataclass(frozen=True)
class Device:
    """What the state machine needs to know of a device.

    Attributes:
        session: the connection that it is attached by, if any.
        lease_id: the lease that it holds, if any; a lost device holds it until it expires.
        lost_because: why it vanished; empty when it left on purpose or is attached.
    """

    device_id: str
    session: str | None = None
    lease_id: str | None = None
    lost_because: str = ""

    @property
    def state(self) -> State:
        """Follows from the facts."""
        if self.session is None:
            return State.LOST if self.lost_because else State.ENROLLED
        return State.BUSY if self.lease_id else State.ONLINE

    @property
    def is_idle(self) -> bool:
        """It can take a job now."""
        return self.state is State.ONLINE


@dataclass(frozen=True)
class Attached:
    """It is there, through this session."""

    session: str


@dataclass(frozen=True)
class Left:
    """It went on purpose: its agent said goodbye, or it was unplugged."""

    session: str


@dataclass(frozen=True)
class Vanished:
    """Its session ended without a goodbye, or fell silent."""

    session: str
    reason: str


@dataclass(frozen=True)
class LeaseGranted:
    """A job was given to it."""

    lease_id: str


@dataclass(frozen=True)
class LeaseEnded:
    """The job finished, failed, was cancelled, or its lease expired."""

    lease_id: str


Event = Attached | Left | Vanished | LeaseGranted | LeaseEnded


def step(device: Device, event: Event) -> Device:
    """The device after `event`; what comes from a session or lease that is no longer current changes nothing."""
    match event:
        case Attached(session):
            return replace(device, session=session, lost_because="")
        case Left(session) if session == device.session:
            return replace(device, session=None, lost_because="")
        case Vanished(session, reason) if session == device.session:
            return replace(device, session=None, lost_because=reason or "vanished")
        case LeaseGranted(lease_id) if device.lease_id is None:
            return replace(device, lease_id=lease_id)
        case LeaseEnded(lease_id) if lease_id == device.lease_id:
            return replace(device, lease_id=None)
    return device
