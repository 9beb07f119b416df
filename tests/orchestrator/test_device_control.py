"""What people do to devices, through gRPC, with a scripted agent on the other side."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client, NotFound, Refused, Unreachable
from orchestrator.services import Caller
from orchestrator.services.control import control
from protos.gauntlet.v1 import admin_pb2, agent_pb2, device_pb2, failure_pb2, fitness_pb2, fleet_pb2, job_pb2
from tests.orchestrator.lab import PATIENCE_S, ScriptedAgent, a_job, device, running

SETTINGS = {"first_probe_s": 0.1, "incumbent_answer_s": 0.5}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path, **SETTINGS) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, patience_s=5.0) as client:
        yield client


async def do(client: Client, device_id: str = "d1", **action: Any) -> fleet_pb2.Device:
    return await client.control_device(fleet_pb2.ControlDeviceRequest(device_id=device_id, **action))


async def until(client: Client, state: int) -> fleet_pb2.Device:
    async with asyncio.timeout(PATIENCE_S):
        while (found := (await client.devices())[0]).state != state:  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.02)
    return found


async def test_a_drained_device_finishes_its_job_and_the_next_one_says_what_it_waits_for(
    address: str, client: Client
) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    first = (await client.submit([await a_job(client, idempotency_key="1")]))[0].job_id
    lease = await agent.hear("lease")
    drained = await do(client, drain={"reason": "new SD card"})
    assert drained.state == device_pb2.DEVICE_STATE_DRAINING
    assert drained.job_id == first
    second = (await client.submit([await a_job(client, idempotency_key="2")]))[0].job_id
    await agent.finish(lease)
    job = await client.job(second)
    assert job.state == job_pb2.JOB_STATE_QUEUED
    assert job.waits_for.startswith("waits for d1: draining since ")
    assert job.waits_for.endswith("by local: new SD card")
    summaries = {summary.job_id: summary.waits_for for summary in await client.jobs()}
    assert summaries == {first: "", second: job.waits_for}
    resumed = await do(client, resume={})
    assert not resumed.holds
    assert (await agent.hear("lease")).job_id == second
    assert (await client.job(second)).waits_for == ""
    await agent.hang_up()


async def test_a_job_does_not_wait_for_a_held_device_while_another_one_fits(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello(device("d1"), device("d2"))
    await do(client, "d1", reserve={"duration_s": 3600.0})
    job_id = (await client.submit([await a_job(client)]))[0].job_id
    lease = await agent.hear("lease")
    assert lease.device_id == "d2"
    # Failed by its own fault, it is tried elsewhere; but nobody waits for a device that is reserved.
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DISK_FULL, message="full")
    await agent.finish(lease, failure=failure)
    again = await agent.hear("lease")
    assert (again.job_id, again.device_id) == (job_id, "d2")
    await agent.hang_up()


async def test_holds_outlast_the_orchestrator(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address, patience_s=5.0) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        await do(client, quarantine={"reason": "smells burnt"})
        await agent.hang_up()
    async with running(tmp_path) as address, Client(address, patience_s=5.0) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        found = await until(client, device_pb2.DEVICE_STATE_QUARANTINED)
        assert found.state_reason.endswith("by local: smells burnt")
        assert [event.kind for event in found.events][-2:] == ["quarantined", "attached"]
        await agent.hang_up()


async def test_a_device_that_keeps_failing_is_probed_and_comes_back(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DISK_FULL, message="no space left")
    for number in range(3):
        await client.submit([await a_job(client, idempotency_key=str(number), max_attempts=1)])
        await agent.finish(await agent.hear("lease"), failure=failure)
    request = await agent.hear("request_check")
    assert request.device_id == "d1"
    assert (await until(client, device_pb2.DEVICE_STATE_QUARANTINED)).holds[0].by == ""
    check = fitness_pb2.FitnessCheck(
        check_id="c1",
        device_id="d1",
        checked_at="2026-11-21T12:00:00+00:00",
        occasion="asked for",
        verdict=fitness_pb2.FITNESS_VERDICT_GOOD,
        reason="as fast as ever",
    )
    await agent.say(fitness_report=agent_pb2.FitnessReport(check=check))
    back = await until(client, device_pb2.DEVICE_STATE_ONLINE)
    assert [event.kind for event in back.events] == [
        "released",
        "quarantined",
        "failure",
        "failure",
        "failure",
        "attached",
    ]
    assert back.events[0].detail == "a probe found it well: as fast as ever"
    await agent.hang_up()


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"reserve": {"duration_s": math.nan}}, "a reservation for nan h"),
        ({"reserve": {"duration_s": 1e9}}, "a reservation for"),
        ({"release": {}}, "d1 is not reserved"),
        ({"set_maintenance": {"windows": [{"weekdays": [9], "duration_s": 60}]}}, "weekdays"),
        ({}, "nothing is to be done"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_remedy(
    address: str, client: Client, action: dict[str, Any], says: str
) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    with pytest.raises(Refused, match=says) as refused:
        await do(client, **action)
    assert refused.value.remedy
    await agent.hang_up()


async def test_who_waits_for_a_device_that_is_held_learns_why(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    await do(client, drain={"reason": "new card"})
    with pytest.raises(Unreachable, match=r"0 of 1 devices .* \(d1 is draining: since .*: new card\)") as refused:
        await client.wait_ready(0.1, devices=1)
    assert "gauntlet devices resume" in refused.value.remedy
    await agent.hang_up()


async def test_a_device_that_nobody_knows_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no device is called 'nobody'"):
        await do(client, "nobody", drain={})


class AbortedError(Exception):
    """What a call ended with."""


class FakeContext:
    async def abort(self, code: Any, message: str) -> None:
        raise AbortedError(code.name, message)


@pytest.mark.parametrize("action", [{"drain": {}}, {"resume": {}}, {"quarantine": {}}, {"set_maintenance": {}}])
async def test_what_concerns_everybody_is_for_admins(action: dict[str, Any]) -> None:
    request = fleet_pb2.ControlDeviceRequest(device_id="d1", **action)
    ann = Caller("ann", admin_pb2.ROLE_USER)
    with pytest.raises(AbortedError, match="PERMISSION_DENIED") as refused:
        await control(None, request, ann, FakeContext())  # type: ignore[arg-type]
    assert "only an admin" in refused.value.args[1]
