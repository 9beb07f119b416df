"""Devices taken out of service and given back: real store, real registry, time as the test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator import jobs
from orchestrator.custody import Custody, HeldByAnotherError
from orchestrator.devices import State
from orchestrator.holds import InvalidHoldError
from orchestrator.registry import Registry, Session
from orchestrator.store import custody
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import device_pb2, failure_pb2, fitness_pb2, fleet_pb2
from tests.orchestrator.conftest import Clock
from tests.orchestrator.lab import device

GOOD, SHIFTED, BASELINE, UNAVAILABLE = (
    fitness_pb2.FITNESS_VERDICT_GOOD,
    fitness_pb2.FITNESS_VERDICT_SHIFTED,
    fitness_pb2.FITNESS_VERDICT_BASELINE,
    fitness_pb2.FITNESS_VERDICT_UNAVAILABLE,
)


class Lab:
    """One orchestrator's custody, of one store; `again` is the next life of it."""

    def __init__(self, store: SqlStore, now: Clock, quarantine: bool = True) -> None:
        self.store = store
        self.now = now
        self.monotonic = Clock(1000.0)
        self.freed = 0
        self.registry = Registry(self.monotonic)
        self.usual_s = 0.0
        self.custody = Custody(
            self.registry, store, self._freed, lambda _: self.usual_s, quarantine, 30.0, self.monotonic, now
        )
        self.numbers = itertools.count()

    def _freed(self) -> None:
        self.freed += 1

    async def again(self) -> Lab:
        lab = Lab(self.store, self.now)
        lab.registry.load(await self.store.devices())
        lab.custody.load()
        return lab

    async def attach(self, epoch: str = "1-x", device_id: str = "d1") -> Session:
        session = Session(device_pb2.AgentDescription(agent_id=f"a-{device_id}"), epoch, 0.0)
        await self.store.save_devices(session.agent_id, [device(device_id)])
        self.registry.attach(session, [device(device_id)])
        await self.custody.attached(session)
        return session

    async def detach(self, session: Session, goodbye: str = "") -> None:
        session.goodbye = goodbye
        session.close(goodbye or "silent")
        self.registry.detach(session, session.closed_because)
        await self.custody.detached(session)

    async def passes(self, seconds: float) -> None:
        for clock in (self.now, self.monotonic):
            clock.advance(seconds)
        await self.custody.keep_time()

    async def fails(self, kind: failure_pb2.FailureKind = failure_pb2.FAILURE_KIND_DISK_FULL) -> None:
        await self._ends(jobs.Failed("l", failure_pb2.Failure(kind=kind, message="no")))

    async def succeeds(self) -> None:
        await self._ends(jobs.Succeeded("l"))

    async def _ends(self, event: jobs.Event) -> None:
        held = jobs.Job(f"job{next(self.numbers)}", state=jobs.State.RUNNING, attempts=(jobs.Attempt("l", "d1"),))
        await self.custody.applied(held, event)

    async def checked(self, verdict: int) -> None:
        check = fitness_pb2.FitnessCheck(device_id="d1", verdict=verdict, reason="as it was")  # type: ignore[arg-type]
        await self.custody.checked(check)

    def state(self) -> State:
        known = self.registry.device("d1")
        assert known is not None
        return known.state

    @property
    def view(self) -> fleet_pb2.Device:
        return self.registry.view("d1", "")

    @property
    def events(self) -> list[str]:
        return [event.kind for event in self.view.events]


@pytest.fixture
async def lab(tmp_path: Path, clock: Clock) -> AsyncIterator[Lab]:
    store = await SqlStore.open(tmp_path / "lab.sqlite", clock=clock)
    yield Lab(store, clock)
    await store.close()


async def quarantined(lab: Lab) -> Session:
    """A device that three jobs in a row failed on."""
    session = await lab.attach()
    for _ in range(3):
        await lab.fails()
    assert lab.state() is State.QUARANTINED
    return session


def asked(session: Session) -> int:
    """How many checks the device was asked for since the last look."""
    count = 0
    while session._outbox.qsize():
        command = session._outbox.get_nowait()
        count += command is not None and command.WhichOneof("command") == "request_check"
    return count


# ---------------------------------------------------------------------------------------------------- people


async def test_a_drained_device_takes_nothing_until_it_is_resumed(lab: Lab) -> None:
    await lab.attach()
    await lab.custody.drain("d1", "ann", "new\nkernel")
    assert lab.registry.idle() == []
    assert lab.registry.connected() == []  # no job waits for it in preference to another
    assert lab.view.state == device_pb2.DEVICE_STATE_DRAINING
    assert lab.view.state_reason.endswith("by ann: new kernel")
    await lab.custody.resume("d1", "ben")
    assert lab.registry.idle() == ["d1"]
    assert lab.freed == 1
    assert lab.events == ["resumed", "drained", "attached"]


async def test_a_reservation_ends_by_itself_whatever_happens_to_the_time_of_day(lab: Lab) -> None:
    await lab.attach()
    await lab.custody.reserve("d1", "ann", 3600.0, "")
    lab.now.advance(-86_400.0)
    await lab.passes(3599.0)
    assert lab.state() is State.DRAINING
    await lab.passes(1.0)
    assert lab.state() is State.ONLINE
    assert lab.view.events[0].detail == "the time of ann is over"


async def test_holds_and_history_outlast_the_orchestrator(lab: Lab) -> None:
    await quarantined(lab)
    await lab.custody.drain("d1", "ann", "why")
    await lab.custody.reserve("d1", "ben", 3600.0, "")
    window = fleet_pb2.MaintenanceWindow(weekdays=[7], start_minute=60, duration_s=3600)
    await lab.custody.set_maintenance("d1", "ann", [window])
    lab.now.advance(3000.0)  # while it is away, too, time passes
    second = await lab.again()
    await second.attach("1-x")
    assert second.state() is State.QUARANTINED
    assert {hold.kind for hold in second.view.holds} == {"quarantined", "draining", "reserved"}
    assert list(second.view.maintenance) == [window]
    assert second.events[1:] == lab.events
    await second.passes(599.0)
    assert len(second.view.holds) == 3
    await second.passes(1.0)
    assert {hold.kind for hold in second.view.holds} == {"quarantined", "draining"}


async def test_only_the_reserver_or_an_admin_ends_a_reservation(lab: Lab) -> None:
    await lab.attach()
    await lab.custody.reserve("d1", "ann", 60.0, "mine")
    await lab.custody.reserve("d1", "ann", 7200.0, "for longer")
    for attempt in (lab.custody.reserve("d1", "ben", 60.0, ""), lab.custody.release("d1", "ben", is_admin=False)):
        with pytest.raises(HeldByAnotherError, match=r"by ann: for longer\nask ann"):
            await attempt
    await lab.custody.release("d1", "ben", is_admin=True)
    with pytest.raises(InvalidHoldError, match="d1 is not reserved"):
        await lab.custody.release("d1", "ann", is_admin=False)
    await lab.passes(7200.0)
    assert lab.events.count("released") == 1


async def test_of_two_who_reserve_at_once_one_gets_it(lab: Lab) -> None:
    await lab.attach()
    asked = (lab.custody.reserve("d1", by, 600.0, "") for by in ("ann", "bob"))
    first, second = await asyncio.gather(*asked, return_exceptions=True)
    assert first is None
    assert isinstance(second, HeldByAnotherError)
    assert [hold.by for hold in lab.registry.view("d1", "").holds] == ["ann"]


async def test_maintenance_comes_and_goes_with_its_window(lab: Lab) -> None:
    await lab.attach()
    begins = (lab.now() // 86_400 + 1) * 86_400
    window = fleet_pb2.MaintenanceWindow(start_minute=0, duration_s=3600, reason="power")
    await lab.custody.set_maintenance("d1", "ann", [window])
    assert lab.state() is State.ONLINE
    await lab.passes(begins - lab.now())
    assert lab.state() is State.DRAINING
    assert lab.view.state_reason.startswith("maintenance until ")
    await lab.passes(3600.0)
    assert lab.state() is State.ONLINE
    await lab.passes(begins + 86_400 - lab.now())
    assert lab.state() is State.DRAINING
    await lab.custody.set_maintenance("d1", "ann", [])
    assert lab.state() is State.ONLINE


async def test_a_device_takes_no_job_that_would_usually_run_into_its_window(lab: Lab) -> None:
    await lab.attach()
    lab.usual_s = 900.0
    minute = int(lab.now() % 86_400 // 60) + 10
    await lab.custody.set_maintenance(
        "d1", "ann", [fleet_pb2.MaintenanceWindow(start_minute=minute % 1440, duration_s=3600)]
    )
    assert lab.state() is State.DRAINING


# ---------------------------------------------------------------------------------------------------- health


async def test_a_crash_loop_ends_in_quarantine_and_a_probe_ends_that(lab: Lab) -> None:
    session = await lab.attach("0")
    for life in range(1, 6):
        await lab.detach(session)
        assert lab.registry.idle() == []
        await lab.passes(5.0)
        session = await lab.attach(str(life))
    assert lab.state() is State.QUARANTINED
    assert "crash loop: its agent started anew 5 times within 10 min" in lab.view.state_reason
    await lab.passes(0.0)
    await lab.passes(29.0)
    assert asked(session) == 0
    await lab.passes(1.0)
    assert asked(session) == 1
    await lab.checked(GOOD)
    assert lab.state() is State.ONLINE
    assert lab.events[0] == "released"


async def test_restarts_with_a_goodbye_and_reconnections_are_no_crashes(lab: Lab) -> None:
    session = await lab.attach("0")
    for life in range(1, 10):
        await lab.detach(session, "told to stop")
        session = await lab.attach(str(life))
    for _ in range(10):
        await lab.detach(session)  # the link flaps
        session = await lab.attach("9")
    assert lab.state() is State.ONLINE


async def test_a_device_that_comes_back_in_quarantine_has_to_stay_before_it_is_asked(lab: Lab) -> None:
    session = await quarantined(lab)
    for life in range(3):
        await lab.passes(29.0)
        await lab.detach(session)
        session = await lab.attach(str(life))
    await lab.passes(0.0)
    await lab.passes(29.0)
    assert asked(session) == 0
    await lab.passes(1.0)
    assert asked(session) == 1


async def test_probes_that_find_a_shift_become_rare(lab: Lab) -> None:
    session = await quarantined(lab)
    await lab.passes(0.0)
    moments = []
    for second in range(0, 600, 10):
        await lab.passes(10.0)
        if asked(session):
            moments.append(second + 10)
            await lab.checked(SHIFTED)
    assert moments == [30, 90, 210, 450]
    assert lab.state() is State.QUARANTINED


async def test_a_check_that_nobody_asked_for_ends_no_quarantine(lab: Lab) -> None:
    session = await quarantined(lab)
    await lab.checked(GOOD)
    await lab.passes(0.0)
    await lab.passes(30.0)
    assert asked(session) == 1
    await lab.detach(session)
    await lab.attach("1-x")
    await lab.checked(GOOD)  # kept by the agent from before
    assert lab.state() is State.QUARANTINED


async def test_a_busy_device_is_not_asked(lab: Lab) -> None:
    session = await lab.attach()
    lab.registry.lease_granted("d1", "l1")
    for _ in range(3):
        await lab.fails()
    await lab.passes(0.0)
    await lab.passes(60.0)
    assert asked(session) == 0
    lab.registry.lease_ended("d1", "l1")
    await lab.passes(0.0)
    assert asked(session) == 1


async def test_a_device_that_cannot_be_checked_comes_back_by_one_job(lab: Lab) -> None:
    session = await quarantined(lab)
    await lab.passes(0.0)
    await lab.passes(30.0)
    assert asked(session) == 1
    await lab.checked(UNAVAILABLE)
    assert lab.registry.idle() == ["d1"]
    lab.registry.lease_granted("d1", "l1")
    assert lab.registry.idle() == []
    assert lab.state() is State.QUARANTINED
    lab.registry.lease_ended("d1", "l1")
    await lab.fails()
    assert lab.registry.idle() == []  # back to quarantine
    await lab.passes(60.0)
    assert asked(session) == 1
    await lab.checked(UNAVAILABLE)
    await lab.succeeds()
    assert lab.state() is State.ONLINE


async def test_drift_is_settled_by_a_new_baseline_only(lab: Lab) -> None:
    session = await lab.attach()
    for _ in range(2):
        await lab.checked(SHIFTED)
    assert lab.state() is State.QUARANTINED
    assert "drift: 2 fitness checks in a row were shifted" in lab.view.state_reason
    await lab.passes(0.0)
    await lab.passes(30.0)
    assert asked(session) == 1
    for verdict in (UNAVAILABLE, SHIFTED):
        await lab.checked(verdict)
        assert lab.registry.idle() == []
    await lab.checked(BASELINE)
    assert lab.state() is State.ONLINE


async def test_no_probe_lifts_a_persons_quarantine(lab: Lab) -> None:
    session = await quarantined(lab)
    await lab.custody.quarantine("d1", "ann", "smells burnt")
    for _ in range(10):
        await lab.passes(60.0)
    assert asked(session) == 0
    await lab.checked(GOOD)
    await lab.succeeds()
    assert lab.state() is State.QUARANTINED
    await lab.custody.resume("d1", "ann")
    assert lab.state() is State.ONLINE


async def test_models_that_fail_put_no_device_out_of_service(lab: Lab) -> None:
    await lab.attach()
    for _ in range(20):
        await lab.fails(failure_pb2.FAILURE_KIND_INVALID_MODEL)
    assert lab.state() is State.ONLINE
    assert lab.events == ["attached"]


async def test_a_lab_that_wants_no_quarantine_has_none(lab: Lab) -> None:
    free = Lab(lab.store, lab.now, quarantine=False)
    await free.attach()
    for _ in range(20):
        await free.fails()
    assert free.state() is State.ONLINE
    assert free.events[0] == "failure"  # known all the same


async def test_a_quarantine_holds_though_the_store_is_gone(lab: Lab) -> None:
    await lab.attach()
    await lab.store.close()
    for _ in range(3):
        await lab.fails()
    assert lab.state() is State.QUARANTINED


async def test_history_is_bounded(lab: Lab) -> None:
    await lab.attach()
    for number in range(205):
        await lab.custody.drain("d1", "ann", str(number))
    [stored] = await lab.store.devices()
    assert len(stored.events) == len(lab.view.events) == 20
    assert stored.events[0].detail == lab.view.events[0].detail == "by ann: 204"
    assert len(await lab.store._read(lambda connection: custody.last_events(connection, "d1", 1000))) == 200
