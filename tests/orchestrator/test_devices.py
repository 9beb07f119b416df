"""The life of a device: whatever happens in whatever order, a held device takes nothing, and loses nothing."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator import devices
from orchestrator.devices import State
from orchestrator.holds import Hold, Kind

KINDS = st.sampled_from(Kind)


class Life(RuleBasedStateMachine):
    """A device beside the plainest account of what happened to it."""

    def __init__(self) -> None:
        super().__init__()
        self.device = devices.Device("d1")
        self.numbers = itertools.count()
        self.session: str | None = None
        self.lost = False
        self.lease: str | None = None
        self.kinds: set[Kind] = set()
        self.probation = False

    def step(self, event: devices.Event) -> None:
        self.device = devices.step(self.device, event)

    @rule()
    def attach(self) -> None:
        self.session = f"s{next(self.numbers)}"
        self.lost = self.probation = False
        self.step(devices.Attached(self.session))

    @rule(goodbye=st.booleans(), late=st.booleans())
    def go(self, goodbye: bool, late: bool) -> None:
        session = "another" if late else self.session or "none"
        self.step(devices.Left(session) if goodbye else devices.Vanished(session, "silent"))
        if session == self.session:
            self.session, self.lost, self.probation = None, not goodbye, False

    @rule()
    def lease_if_idle(self) -> None:
        if self.device.is_idle:
            self.lease = f"l{next(self.numbers)}"
            self.step(devices.LeaseGranted(self.lease))

    @rule(late=st.booleans())
    def end_lease(self, late: bool) -> None:
        self.step(devices.LeaseEnded("another" if late else self.lease or "none"))
        self.lease = self.lease if late else None

    @rule(kind=KINDS)
    def hold(self, kind: Kind) -> None:
        self.kinds.add(kind)
        self.probation = self.probation and kind is not Kind.QUARANTINED
        self.step(devices.Held(Hold(kind, f"r{next(self.numbers)}", 0.0)))

    @rule(kind=KINDS)
    def free(self, kind: Kind) -> None:
        self.kinds.discard(kind)
        self.probation = self.probation and kind is not Kind.QUARANTINED
        self.step(devices.Freed(kind))

    @rule()
    def put_on_probation(self) -> None:
        self.probation = self.probation or (self.session is not None and Kind.QUARANTINED in self.kinds)
        self.step(devices.PutOnProbation())

    @invariant()
    def its_state_is_what_happened(self) -> None:
        if self.session is None:
            expected = State.LOST if self.lost else State.ENROLLED
        elif self.kinds:
            expected = State.QUARANTINED if Kind.QUARANTINED in self.kinds else State.DRAINING
        else:
            expected = State.BUSY if self.lease else State.ONLINE
        assert self.device.state is expected

    @invariant()
    def it_takes_a_job_only_when_nothing_keeps_it_or_on_probation(self) -> None:
        free = not self.kinds or (self.probation and self.kinds == {Kind.QUARANTINED})
        assert self.device.is_idle == (self.session is not None and self.lease is None and free)

    @invariant()
    def it_keeps_its_lease_and_one_hold_of_each_kind(self) -> None:
        assert self.device.lease_id == self.lease
        assert sorted(hold.kind.value for hold in self.device.holds) == sorted(kind.value for kind in self.kinds)
        assert self.device.on_probation == self.probation


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
