"""The life of a device as a pure state machine.

    enrolled ──attach──▶ online ◀──lease / end──▶ busy ──hold──▶ draining | quarantined ──free──▶ online | busy
        ▲                  │                       │
        └──leave───────────┴──────lose──▶ lost ────┴──attach──▶ online | busy | draining | quarantined

Its state follows from four facts (is it attached, which lease does it hold, did it vanish, what keeps it), so that no
combination of events can contradict itself. A hold keeps it from taking jobs, and from nothing else: it finishes what
it holds, comes and goes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from orchestrator.holds import Hold, Kind


class State(enum.Enum):
    """Where a device stands."""

    ENROLLED = "enrolled"
    ONLINE = "online"
    BUSY = "busy"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    LOST = "lost"


@dataclass(frozen=True)
class Device:
    """What the state machine needs to know of a device.

    Attributes:
        session: the connection that it is attached by, if any.
        lease_id: the lease that it holds, if any; a lost device holds it until it expires.
        lost_because: why it vanished; empty when it left on purpose or is attached.
        holds: what keeps it from taking jobs, at most one of each kind.
        on_probation: one job at a time shall show whether its quarantine can end; ends with its connection.
    """

    device_id: str
    session: str | None = None
    lease_id: str | None = None
    lost_because: str = ""
    holds: tuple[Hold, ...] = ()
    on_probation: bool = False

    @property
    def state(self) -> State:
        """Follows from the facts."""
        if self.session is None:
            return State.LOST if self.lost_because else State.ENROLLED
        if self.holds:
            return State.QUARANTINED if self.hold(Kind.QUARANTINED) else State.DRAINING
        return State.BUSY if self.lease_id else State.ONLINE

    @property
    def is_idle(self) -> bool:
        """It can take a job now."""
        if self.on_probation and len(self.holds) == 1:
            return self.session is not None and self.lease_id is None
        return self.state is State.ONLINE

    def hold(self, kind: Kind) -> Hold | None:
        """The hold of this kind, if it has one."""
        return next((hold for hold in self.holds if hold.kind is kind), None)


@dataclass(frozen=True)
class Attached:
    """It is there, through this session."""

    session: str


@dataclass(frozen=True)
class Left:
    """It went on purpose: its agent said goodbye, or took it off."""

    session: str


@dataclass(frozen=True)
class Vanished:
    """Its session ended without a goodbye, or fell silent, or its agent misses it."""

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


@dataclass(frozen=True)
class Held:
    """Something keeps it; replaces a hold of the same kind."""

    hold: Hold


@dataclass(frozen=True)
class Freed:
    """The hold of this kind is over."""

    kind: Kind


@dataclass(frozen=True)
class PutOnProbation:
    """Its quarantine is to be ended by a job that succeeds."""


Event = Attached | Left | Vanished | LeaseGranted | LeaseEnded | Held | Freed | PutOnProbation


def step(device: Device, event: Event) -> Device:
    """The device after `event`; what comes from a session or lease that is no longer current changes nothing."""
    match event:
        case Attached(session):
            return replace(device, session=session, lost_because="", on_probation=False)
        case Left(session) if session == device.session:
            return replace(device, session=None, lost_because="", on_probation=False)
        case Vanished(session, reason) if session == device.session:
            return replace(device, session=None, lost_because=reason or "vanished", on_probation=False)
        case LeaseGranted(lease_id) if device.lease_id is None:
            return replace(device, lease_id=lease_id)
        case LeaseEnded(lease_id) if lease_id == device.lease_id:
            return replace(device, lease_id=None)
        case Held(hold):
            return _holding(device, hold.kind, (hold,))
        case Freed(kind):
            return _holding(device, kind, ())
        case PutOnProbation() if device.session is not None and device.hold(Kind.QUARANTINED):
            return replace(device, on_probation=True)
    return device


def _holding(device: Device, kind: Kind, holds: tuple[Hold, ...]) -> Device:
    """With these in place of the hold of a kind; a new quarantine, or its end, ends probation."""
    others = tuple(hold for hold in device.holds if hold.kind is not kind)
    on_probation = device.on_probation and kind is not Kind.QUARANTINED
    return replace(device, holds=(*others, *holds), on_probation=on_probation)
