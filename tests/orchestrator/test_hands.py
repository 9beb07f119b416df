"""What devices have in hand: how much, in which order, and what becomes of it when they are lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import AsyncMock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import dispatcher, jobs
from orchestrator.artifacts import ArtifactStore
from orchestrator.config import Config
from orchestrator.demands import Demand
from orchestrator.hands import Hands
from orchestrator.hub import Hub
from orchestrator.leases import Lease, Leases
from orchestrator.registry import Session
from orchestrator.store.base import Applied, NewJob, StoreError
from orchestrator.store.sql import SqlStore
from orchestrator.watchers import Watchers
from protos import contract
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, job_pb2, measurement_pb2
from tests.orchestrator.lab import device

T = TypeVar("T")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def after(jobs: int, seconds: float) -> Hands:
    """A device that did so many jobs, each in so many seconds, and holds one."""
    clock = Clock()
    hands = Hands(clock)
    for n in range(jobs):
        hands.take("d", f"done{n}")
        clock.now += seconds
        hands.drop("d", f"done{n}", finished=True)
    hands.take("d", "l")
    return hands


@pytest.mark.parametrize(
    ("seconds", "more"), [(30.0, 0), (1.0, 0), (0.6, 0), (0.5, 1), (0.2, 4), (0.125, 7), (0.004, 7)]
)
def test_a_device_gets_about_a_second_of_work_ahead(seconds: float, more: int) -> None:
    assert after(4, seconds).room() == ({"d": more} if more else {})


def test_a_device_of_which_nothing_is_known_gets_one_job() -> None:
    assert after(0, 0.0).room() == {}


def test_one_job_that_takes_long_changes_nothing() -> None:
    clock = Clock()
    hands = Hands(clock)
    for taken_s in (0.1, 0.1, 60.0):
        hands.take("d", "l")
        clock.now += taken_s
        hands.drop("d", "l", finished=True)
    assert hands.room() == {"d": 7}


def test_what_was_not_carried_out_says_nothing_about_the_next() -> None:
    hands = Hands(lambda: 0.0)
    hands.take("d", "l1")
    hands.drop("d", "l1", finished=False)
    hands.take("d", "l2")
    assert hands.room() == {}


def test_a_hand_is_filled_anew_when_half_of_it_is_done() -> None:
    hands = after(1, 0.01)
    for n in range(7):
        hands.take("d", f"p{n}")
    assert hands.room() == {}
    for lease_id in ("l", "p0", "p1"):
        hands.drop("d", lease_id, finished=True)
    assert hands.room() == {}
    hands.drop("d", "p2", finished=True)
    assert hands.room() == {"d": 4}


def test_the_next_is_worked_on_when_the_first_is_gone() -> None:
    hands = after(0, 0.0)
    assert hands.take("d", "p1") is False
    assert hands.take("d", "p2") is False
    assert hands.behind() == {"d": ["p1", "p2"]}
    assert hands.drop("d", "p1", finished=False) is None  # taken back
    assert hands.drop("d", "unknown", finished=False) is None
    assert hands.drop("d", "l", finished=True) == "p2"
    assert hands.of("d") == ["p2"]
    assert hands.behind() == {}
    assert hands.drop("d", "p2", finished=True) is None


# ---------------------------------------------------------------------------------------------------- the hub

ANY = Demand.of(job_pb2.JobSpec(measurement={"model": {"media_type": "model/tflite"}})).signature
DEVICES = st.sampled_from(["a", "b"])


class Fleet:
    """A hub on a real store, and two agents of one device each that do what they are told, one job after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.sessions: dict[str, Session] = {}
        self.epochs: Counter[str] = Counter()
        #: Leases in each agent, in its order; finished ones that nobody acknowledged.
        self.agents: dict[str, list[agent_pb2.Lease]] = {"a": [], "b": []}
        self.committed: Counter[str] = Counter()
        #: Leases that were at the head of an agent's row, or that it never got, when it was lost.
        self.may_have_failed: set[str] = set()
        self._numbers = 0

    async def start(self) -> None:
        self.store = await SqlStore.open(self.folder / "lab.sqlite")
        config = Config(address=f"unix:{self.folder}/s", folder=self.folder, quarantine=False)
        artifacts = ArtifactStore(self.folder / "artifacts", 1000, 1000)
        self.hub = Hub(config, self.store, artifacts, Watchers())
        self.hub.hands = Hands(self.clock)  # time stands still: every job is brief
        self.hub.leases = Leases(10.0, self.clock)
        for name in self.agents:
            await self.connect(name, restarted=True)

    async def connect(self, name: str, restarted: bool) -> None:
        if name in self.sessions:
            await self.hub.close_session(self.sessions.pop(name), "cut")
        if restarted:
            self.may_have_failed.update(lease.lease_id for lease in self.agents[name][:1])
            self.agents[name].clear()
            self.epochs[name] += 1
        self.may_have_failed.update(self.hub.hands.of(name)[:1])
        hello = agent_pb2.Hello(
            protocol_version=contract.PROTOCOL_VERSION,
            agent=device_pb2.AgentDescription(agent_id=name),
            devices=[device(name)],
            session_epoch=f"epoch-{self.epochs[name]}",
            held_lease_ids=[lease.lease_id for lease in self.agents[name]],
        )
        self.sessions[name] = await self.hub.open_session(hello)
        await self.obey()

    async def obey(self) -> None:
        """The agents read what is sent to them."""
        for name, session in self.sessions.items():
            row = self.agents[name]
            while not session._outbox.empty() and (command := await session.next_command()) is not None:
                kind = command.WhichOneof("command")
                if kind == "lease":
                    row.append(command.lease)
                elif kind == "cancel_lease":
                    row[:] = [lease for lease in row if lease.lease_id != command.cancel_lease.lease_id]
                elif kind == "welcome":
                    row[:] = [lease for lease in row if lease.lease_id not in command.welcome.abandoned_lease_ids]

    async def submit(self, count: int) -> None:
        await self.hub.submit([self.new_job() for _ in range(count)])

    def new_job(self) -> NewJob:
        self._numbers += 1
        spec = job_pb2.JobSpec(idempotency_key=str(self._numbers), max_attempts=3)
        return NewJob(f"{self._numbers:032x}", spec, ANY, ())

    async def dispatch(self) -> None:
        await dispatcher._dispatch(self.hub)
        await self.obey()

    async def finish(self, name: str) -> None:
        """Its first job succeeds."""
        if not self.agents[name]:
            return
        lease = self.agents[name].pop(0)
        finished = agent_pb2.JobFinished(
            lease_id=lease.lease_id, job_id=lease.job_id, device_id=name, result=measurement_pb2.MeasurementResult()
        )
        await self.hub.handle(self.sessions[name], agent_pb2.SessionRequest(job_finished=finished))
        job = await self.store.job(lease.job_id)
        assert job is not None
        if job.state == job_pb2.JOB_STATE_SUCCEEDED and job.attempts[-1].lease_id == lease.lease_id:
            self.committed[lease.job_id] += 1

    async def fall_silent(self, name: str) -> None:
        """It is not heard for longer than leases last; the agent itself goes on."""
        self.may_have_failed.update(self.hub.hands.of(name)[:1])
        if name in self.sessions:
            await self.hub.close_session(self.sessions.pop(name), "silent")
        self.clock.now += 11.0
        for other in set(self.agents) - {name}:
            self.hub.leases.renew(self.hub.hands.of(other))
        await dispatcher._keep_time(self.hub, asyncio.get_running_loop().time())
        await self.obey()

    async def unplug(self, name: str) -> None:
        """It is pulled out of its agent, which stays."""
        session, row = self.sessions[name], self.agents[name]
        begun = row[:1]
        row.clear()
        self.may_have_failed.update(lease.lease_id for lease in begun)
        lost = agent_pb2.DevicesChanged(lost={name: "the cable is out"})
        await self.hub.handle(session, agent_pb2.SessionRequest(devices_changed=lost))
        failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST)
        for lease in begun:
            finished = agent_pb2.JobFinished(
                lease_id=lease.lease_id, job_id=lease.job_id, device_id=name, failure=failure
            )
            await self.hub.handle(session, agent_pb2.SessionRequest(job_finished=finished))
        await self.obey()
        assert self.hub.hands.of(name) == []

    async def plug_in(self, name: str) -> None:
        """It is there again."""
        changed = agent_pb2.DevicesChanged(devices=[device(name)])
        await self.hub.handle(self.sessions[name], agent_pb2.SessionRequest(devices_changed=changed))
        await self.obey()

    async def check(self) -> None:
        """Nothing is lost, doubled, or blamed on a device that had not begun it."""
        assert self.hub.may_wait or await self.store.waiting(lambda _: True, 1) == []
        held = {lease.lease_id: lease.device_id for lease in await self.store.held()}
        in_hand = {lease_id: name for name in self.agents for lease_id in self.hub.hands.of(name)}
        assert held == in_hand
        assert all(lease_id in self.hub.leases for lease_id in held)
        for name in self.agents:
            assert self.hub.registry.lease_of(name) == next(iter(self.hub.hands.of(name)), None)
        assert not [job_id for job_id, count in self.committed.items() if count > 1]
        for number in range(1, self._numbers + 1):
            job = await self.store.job(f"{number:032x}")
            assert job is not None
            assert (job.state == job_pb2.JOB_STATE_SUCCEEDED) == (job.job_id in self.committed)
            for attempt in job.attempts:
                if attempt.failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST:
                    assert attempt.lease_id in self.may_have_failed


async def test_an_empty_queue_is_not_looked_at_again_before_something_may_have_come_into_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    await fleet.start()
    fleet.store.waiting = AsyncMock(wraps=fleet.store.waiting)  # type: ignore[method-assign]
    await fleet.dispatch()
    await fleet.dispatch()
    assert fleet.store.waiting.await_count == 1
    await fleet.submit(3)  # two devices: one job waits
    await fleet.obey()
    fleet.store.waiting.side_effect = StoreError("the disk is full")
    await fleet.finish("a")
    for _ in range(2):  # what cannot be read may wait all the same
        with pytest.raises(StoreError):
            await fleet.dispatch()
    fleet.store.waiting.side_effect = None
    await fleet.dispatch()
    assert [len(row) for row in fleet.agents.values()] == [1, 1]
    await fleet.store.close()


async def test_a_job_that_came_into_the_queue_unseen_is_found_soon(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    await fleet.start()
    await fleet.dispatch()
    fleet.hub.kick.clear()
    await fleet.store.submit([fleet.new_job()])  # as when its caller hung up
    await dispatcher._keep_time(fleet.hub, asyncio.get_running_loop().time())
    assert fleet.hub.kick.is_set()
    await fleet.dispatch()
    assert sum(map(len, fleet.agents.values())) == 1
    await fleet.store.close()


class LifeOfAFleet(RuleBasedStateMachine):
    """Jobs come and go, agents fall silent, break off, restart and take leave, in any order."""

    @initialize()
    def start(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.fleet = Fleet(Path(self.temporary.name))
        self.run(self.fleet.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(count=st.integers(1, 6))
    def submit(self, count: int) -> None:
        self.run(self.fleet.submit(count))
        self.run(self.fleet.dispatch())

    @rule(name=DEVICES)
    def finish(self, name: str) -> None:
        if name in self.fleet.sessions:
            self.run(self.fleet.finish(name))
            self.run(self.fleet.dispatch())

    @rule(name=DEVICES, restarted=st.booleans())
    def connect_anew(self, name: str, restarted: bool) -> None:
        self.run(self.fleet.connect(name, restarted))
        self.run(self.fleet.dispatch())

    @rule(name=DEVICES)
    def fall_silent(self, name: str) -> None:
        self.run(self.fleet.fall_silent(name))

    @rule(name=DEVICES)
    def unplug(self, name: str) -> None:
        if name in self.fleet.sessions:
            self.run(self.fleet.unplug(name))

    @rule(name=DEVICES)
    def plug_in(self, name: str) -> None:
        if name in self.fleet.sessions:
            self.run(self.fleet.plug_in(name))
            self.run(self.fleet.dispatch())

    @rule(name=DEVICES)
    def hand_back(self, name: str) -> None:
        self.run(self.fleet.hub.hand_back(name))
        self.run(self.fleet.obey())

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.fleet._numbers:
            number = data.draw(st.integers(1, self.fleet._numbers))
            self.run(self.fleet.hub.cancel(f"{number:032x}", "not needed"))
            self.run(self.fleet.obey())

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "fleet"):
            self.run(self.fleet.check())

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            self.run(self.fleet.store.close())
            self.loop.close()
            self.temporary.cleanup()


LifeOfAFleet.TestCase.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
TestLifeOfAFleet = LifeOfAFleet.TestCase


@pytest.fixture
async def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path)
    await fleet.start()
    return fleet


async def ready(fleet: Fleet, jobs: int) -> None:
    """Both devices have shown that they are quick, and so many jobs wait."""
    await fleet.submit(2)
    await fleet.dispatch()
    for name in fleet.agents:
        await fleet.finish(name)
    await fleet.submit(jobs)
    await fleet.dispatch()


def rows(fleet: Fleet) -> dict[str, int]:
    return {name: len(row) for name, row in fleet.agents.items()}


async def test_of_a_device_that_is_unplugged_one_job_fails_and_the_others_go_back_at_once(fleet: Fleet) -> None:
    await ready(fleet, 10)
    begun, *behind = fleet.agents["a"]
    await fleet.unplug("a")
    assert [job.attempts[-1].failure.kind for job in [await fleet.store.job(begun.job_id)] if job] == [
        failure_pb2.FAILURE_KIND_DEVICE_LOST
    ]
    for lease in behind:
        job = await fleet.store.job(lease.job_id)
        assert job is not None
        assert job.state == job_pb2.JOB_STATE_QUEUED
        assert not job.attempts or job.attempts[-1].failure.kind != failure_pb2.FAILURE_KIND_DEVICE_LOST
    await fleet.plug_in("a")
    await fleet.dispatch()
    assert rows(fleet)["a"] > 0


async def test_quick_devices_get_jobs_ahead_evenly(fleet: Fleet) -> None:
    await ready(fleet, 10)
    assert rows(fleet) == {"a": 5, "b": 5}
    assert [fleet.hub.device_view(device_id).prefetched for device_id in fleet.hub.device_ids()] == [4, 4]
    await fleet.store.close()


async def test_a_device_that_falls_idle_gets_what_another_has_not_begun(fleet: Fleet) -> None:
    await ready(fleet, 6)
    assert rows(fleet) == {"a": 3, "b": 3}
    for _ in range(3):
        await fleet.finish("a")
    await fleet.dispatch()  # takes one back
    await fleet.dispatch()
    assert rows(fleet) == {"a": 1, "b": 2}
    await fleet.store.close()


async def test_what_was_begun_meanwhile_is_not_taken_back(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    await ready(fleet, 10)
    fourth = fleet.agents["a"][3]
    end_lease = fleet.hub.end_lease

    async def while_three_others_are_done(lease: Lease, event: jobs.Event) -> Applied | None:
        monkeypatch.undo()
        for _ in range(3):
            await fleet.finish("a")
        return await end_lease(lease, event)

    monkeypatch.setattr(fleet.hub, "end_lease", while_three_others_are_done)
    await fleet.hub.hand_back("a")
    await fleet.obey()
    assert fleet.agents["a"] == [fourth]
    await fleet.store.close()


async def test_a_lost_device_has_tried_one_job_and_no_more(fleet: Fleet) -> None:
    await ready(fleet, 6)
    lost = [lease.job_id for lease in fleet.agents["b"]]
    await fleet.fall_silent("b")
    found = [await fleet.store.job(job_id) for job_id in lost]
    assert [len(job.attempts) if job else None for job in found] == [1, 0, 0]
    await fleet.store.close()


def test_what_is_usual_is_the_median_of_the_last_jobs() -> None:
    now_s = 0.0
    hands = Hands(lambda: now_s)
    assert hands.usual_s("d1") == 0.0
    for number, taken_s in enumerate((2.0, 60.0, 4.0)):
        hands.take("d1", f"l{number}")
        now_s += taken_s
        hands.drop("d1", f"l{number}", finished=True)
    assert hands.usual_s("d1") == 4.0
    assert hands.usual_s("d2") == 0.0
