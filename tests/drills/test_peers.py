"""Agents that lie, repeat themselves and speak out of order: they are refused or ignored, and nobody else is harmed.

A real orchestrator in this process; the agents say what a test wants them to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from orchestrator.client import Client
from protos import contract
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, fitness_pb2, job_pb2, measurement_pb2
from tests.drills.ledger import Ledger
from tests.orchestrator.lab import ScriptedAgent, a_job, device, running

REFUSED, SUPERSEDED = agent_pb2.DISPOSITION_REFUSED, agent_pb2.DISPOSITION_SUPERSEDED
INVALID = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message="no model")
INTERNAL = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INTERNAL, message="not my day")


class Course:
    """An orchestrator, a client and the ledger."""

    def __init__(self, address: str, client: Client) -> None:
        self.address = address
        self.client = client
        self.ledger = Ledger()

    async def submit(self, **fields: Any) -> str:
        """A job; its id."""
        spec = await a_job(self.client, **fields)
        self.ledger.submitting([spec])
        [submitted] = await self.client.submit([spec])
        self.ledger.submitted(spec, submitted.job_id)
        return submitted.job_id

    async def end_of(self, job_id: str) -> job_pb2.Job:
        """The job, which has ended."""
        job = await self.client.job(job_id)
        self.ledger.saw(job)
        return job


@pytest.fixture
async def course(tmp_path: Path) -> AsyncIterator[Course]:
    async with running(tmp_path, incumbent_answer_s=0.2) as address, Client(address) as client:
        course = Course(address, client)
        yield course
    course.ledger.check(tmp_path / "lab")


# ---------------------------------------------------------------------------------------------------- lies


class Victim:
    """An honest agent with a job in its hands."""

    def __init__(self, agent: ScriptedAgent, lease: agent_pb2.Lease) -> None:
        self.agent = agent
        self.lease = lease


def result_for(lease: agent_pb2.Lease, **changes: Any) -> dict[str, Any]:
    fields = {"lease_id": lease.lease_id, "job_id": lease.job_id, "device_id": lease.device_id, **changes}
    return {"job_finished": agent_pb2.JobFinished(**fields, result=measurement_pb2.MeasurementResult())}


def changed_to(*devices: device_pb2.DeviceDescription) -> dict[str, Any]:
    return {"devices_changed": agent_pb2.DevicesChanged(devices=devices)}


HUGE = "x" * 1_000_000
#: What a liar says, and how its session ends.
REFUSED_LIES: dict[str, tuple[Callable[[Victim], dict[str, Any]], grpc.StatusCode]] = {
    "a hello in mid-session": (
        lambda victim: {"hello": agent_pb2.Hello(protocol_version=contract.PROTOCOL_VERSION)},
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "an empty message": (lambda victim: {}, grpc.StatusCode.INVALID_ARGUMENT),
    "another's result": (lambda victim: result_for(victim.lease), grpc.StatusCode.INVALID_ARGUMENT),
    "another's lease for its own device": (
        lambda victim: result_for(victim.lease, device_id="liar"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "a result for a device that nobody has": (
        lambda victim: result_for(victim.lease, device_id="nobody"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "neither result nor failure": (
        lambda victim: {"job_finished": agent_pb2.JobFinished(lease_id="l", job_id="j", device_id="liar")},
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "another's device": (lambda victim: changed_to(device("honest")), grpc.StatusCode.ALREADY_EXISTS),
    "one device twice": (lambda victim: changed_to(device("d2"), device("d2")), grpc.StatusCode.INVALID_ARGUMENT),
    "a huge device id": (lambda victim: changed_to(device(HUGE)), grpc.StatusCode.INVALID_ARGUMENT),
    "a check of another's device": (
        lambda victim: {
            "fitness_report": agent_pb2.FitnessReport(
                check=fitness_pb2.FitnessCheck(check_id="c1", device_id="honest", checked_at="2026-01-01T00:00:00Z")
            )
        },
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
}
#: What is ignored, or answered as unknown: the session goes on.
IGNORED_LIES: dict[str, Callable[[Victim], dict[str, Any]]] = {
    "a lease that it never had": lambda victim: result_for(victim.lease, lease_id="never", device_id="liar"),
    "a job that does not exist": lambda victim: result_for(
        victim.lease, lease_id="never", job_id="none", device_id="liar"
    ),
    "huge ids": lambda victim: result_for(victim.lease, lease_id=HUGE, job_id=HUGE, device_id="liar"),
    "another's job has started": lambda victim: {"job_started": agent_pb2.JobStarted(lease_id=victim.lease.lease_id)},
    "another's job makes progress": lambda victim: {
        "job_progress": agent_pb2.JobProgress(lease_id=victim.lease.lease_id, step="lies")
    },
    "another's lease is alive": lambda victim: {
        "heartbeat": agent_pb2.Heartbeat(held_lease_ids=[victim.lease.lease_id, "never", HUGE])
    },
    "telemetry of another's device": lambda victim: {
        "heartbeat": agent_pb2.Heartbeat(telemetry=[device_pb2.DeviceTelemetry(device_id="honest")])
    },
    "an answer that nobody asked for": lambda victim: {"pong": agent_pb2.Pong(nonce=2**63)},
}


@pytest.fixture
async def victim(course: Course) -> AsyncIterator[Victim]:
    """It gets its job through in the end, whatever the liar did."""
    agent = ScriptedAgent(course.address, "honest")
    await agent.hello(device("honest"))
    job_id = await course.submit(device_id="honest")
    lease = await agent.hear("lease")
    yield Victim(agent, lease)
    before = await course.client.job(job_id)
    assert before.state == job_pb2.JOB_STATE_LEASED, "the liar moved another's job"
    assert before.step == ""
    assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
    job = await course.end_of(job_id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert (len(job.attempts), job.superseded_results) == (1, 0)
    await agent.hang_up()


async def liar_of(course: Course, *held: str) -> ScriptedAgent:
    agent = ScriptedAgent(course.address, "liar")
    await agent.hello(device("liar"), held=held)
    return agent


@pytest.mark.parametrize("lie", REFUSED_LIES)
async def test_a_liar_is_sent_away(course: Course, victim: Victim, lie: str) -> None:
    says, code = REFUSED_LIES[lie]
    liar = await liar_of(course)
    await liar.say(**says(victim))
    assert (await liar.refusal())[0] is code
    await liar.hang_up()


@pytest.mark.parametrize("lie", IGNORED_LIES)
async def test_a_lie_that_harms_nobody_changes_nothing(course: Course, victim: Victim, lie: str) -> None:
    liar = await liar_of(course)
    said = IGNORED_LIES[lie](victim)
    await liar.say(**said)
    if "job_finished" in said:
        assert (await liar.hear("finished_ack")).disposition == REFUSED
    job_id = await course.submit(device_id="liar")  # its session lives: it gets work, as anybody
    await liar.finish(await liar.hear("lease"))
    assert (await course.end_of(job_id)).state == job_pb2.JOB_STATE_SUCCEEDED
    await liar.hang_up()


async def test_a_hello_cannot_take_over_anothers_lease(course: Course, victim: Victim) -> None:
    liar = ScriptedAgent(course.address, "liar")
    welcome = await liar.hello(device("liar"), held=(victim.lease.lease_id, "never"))
    assert "never" in welcome.abandoned_lease_ids
    await liar.hang_up()


@pytest.mark.parametrize(("agent_id", "device_id"), [("honest", "honest"), ("honest", "d9"), ("liar", "honest")])
async def test_nobody_joins_under_the_name_of_a_live_agent_or_device(
    course: Course, victim: Victim, agent_id: str, device_id: str
) -> None:
    async def answer() -> None:
        ping = await victim.agent.hear("ping")
        await victim.agent.say(pong=agent_pb2.Pong(nonce=ping.nonce))

    answering = asyncio.ensure_future(answer()) if agent_id == "honest" else None
    liar = ScriptedAgent(course.address, agent_id, epoch="9-liar")
    with pytest.raises((AssertionError, grpc.aio.AioRpcError)):
        await liar.hello(device(device_id))
    assert (await liar.refusal())[0] is grpc.StatusCode.ALREADY_EXISTS
    if answering:
        await answering
    await liar.hang_up()


NOISE = {"ones": b"\xff" * 100, "a length too long": b"\x0a\xff\xff\xff\xff\x0f", "nothing": b"", "zeros": bytes(1000)}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
async def test_garbage_on_the_wire_ends_that_session_alone(course: Course, victim: Victim, noise: bytes) -> None:
    async with grpc.aio.insecure_channel(course.address) as channel:
        session = channel.stream_stream("/gauntlet.v1.AgentService/Session")
        call = session()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(noise)
            await call.read()
        assert await asyncio.wait_for(call.code(), 10) is not grpc.StatusCode.OK


async def test_a_flood_does_not_keep_others_from_their_work(course: Course, victim: Victim) -> None:
    liar = await liar_of(course)

    async def flood() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for number in itertools.count():
                await liar.say(job_progress=agent_pb2.JobProgress(lease_id=f"never-{number}", step=HUGE[:10_000]))

    flooding = asyncio.ensure_future(flood())
    other = ScriptedAgent(course.address, "other")
    await other.hello(device("other"))
    for _ in range(20):
        job_id = await course.submit(device_id="other")
        await other.finish(await other.hear("lease"))
        assert (await course.end_of(job_id)).state == job_pb2.JOB_STATE_SUCCEEDED
    assert not flooding.done() or not flooding.exception()
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    await liar.hang_up()
    await other.hang_up()


# ---------------------------------------------------------------------------------------------------- any order


Saying = Callable[[ScriptedAgent, agent_pb2.Lease], Awaitable[None]]


async def _started(agent: ScriptedAgent, lease: agent_pb2.Lease) -> None:
    await agent.say(job_started=agent_pb2.JobStarted(lease_id=lease.lease_id))


async def _progress(agent: ScriptedAgent, lease: agent_pb2.Lease) -> None:
    await agent.say(job_progress=agent_pb2.JobProgress(lease_id=lease.lease_id, step="timing"))


async def _result(agent: ScriptedAgent, lease: agent_pb2.Lease) -> None:
    await agent.say(**result_for(lease))


async def _failure(agent: ScriptedAgent, lease: agent_pb2.Lease, failure: failure_pb2.Failure) -> None:
    finished = agent_pb2.JobFinished(
        lease_id=lease.lease_id, job_id=lease.job_id, device_id=lease.device_id, failure=failure
    )
    await agent.say(job_finished=finished)


@pytest.mark.parametrize("failure", [INVALID, INTERNAL], ids=["final", "tried again"])
async def test_whatever_the_order_each_job_ends_once(course: Course, failure: failure_pb2.Failure) -> None:
    """Every order of a start, a step, a result, the same result again, and a failure, under one lease."""
    agent = ScriptedAgent(course.address)
    await agent.hello(device())

    async def fail(agent: ScriptedAgent, lease: agent_pb2.Lease) -> None:
        await _failure(agent, lease, failure)

    orders: set[tuple[Saying, ...]] = set(itertools.permutations([_started, _progress, _result, _result, fail]))
    assert len(orders) == 60
    for order in orders:
        job_id = await course.submit()
        lease = await agent.hear("lease")
        for say in order:
            await say(agent, lease)
        outcomes = [say for say in order if say in (_result, fail)]
        again = None
        answers = []
        while len(answers) < len(outcomes):
            command = await agent.next()
            if command.HasField("finished_ack"):
                answers.append(command.finished_ack.disposition)
            elif command.HasField("lease"):
                again = command.lease
        assert answers[0] == agent_pb2.DISPOSITION_COMMITTED
        if outcomes[0] is fail:
            assert SUPERSEDED in answers[1:]
            if failure is INTERNAL:  # one more attempt: it came with a lease of its own
                again = again or await agent.hear("lease")
                assert (await agent.finish(again)).disposition == agent_pb2.DISPOSITION_COMMITTED
        job = await course.end_of(job_id)
        failed = outcomes[0] is fail and failure is INVALID
        assert job.state == (job_pb2.JOB_STATE_FAILED if failed else job_pb2.JOB_STATE_SUCCEEDED), order
        assert len(job.attempts) == (2 if again else 1)
    await agent.hang_up()


# ---------------------------------------------------------------------------------------------------- a phone


@pytest.mark.parametrize("returns", ["before its lease is over", "after"])
async def test_a_device_that_detaches_in_mid_job_and_comes_back(tmp_path: Path, returns: str) -> None:
    lease_s = 10.0 if returns == "before its lease is over" else 0.5
    async with (
        running(tmp_path, heartbeat_interval_s=0.2, lease_duration_s=lease_s) as address,
        Client(address) as client,
    ):
        course = Course(address, client)
        bridge = ScriptedAgent(address, "bridge")
        await bridge.hello(device("phone"), device("other", device_class="board"))
        job_id = await course.submit(device_id="phone")
        lease = await bridge.hear("lease")
        await bridge.say(**changed_to(device("other", device_class="board")))
        if returns == "after":
            while (await client.job(job_id)).state != job_pb2.JOB_STATE_QUEUED:
                await bridge.say(heartbeat=agent_pb2.Heartbeat())
                await asyncio.sleep(0.1)
        await bridge.say(**changed_to(device("phone"), device("other", device_class="board")))
        if returns == "after":
            again = await bridge.hear("lease")
            assert again.job_id == job_id
            assert (await bridge.finish(lease)).disposition == SUPERSEDED
            lease = again
        assert (await bridge.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
        job = await course.end_of(job_id)
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert len(job.attempts) == (1 if returns == "before its lease is over" else 2)
        assert [d.description.device_id for d in await client.devices()] == ["other", "phone"]
        assert {d.state for d in await client.devices()} == {device_pb2.DEVICE_STATE_ONLINE}
        await bridge.hang_up()
    course.ledger.check(tmp_path / "lab")
