"""Too much, too large, too fast, without end: refused or slowed down, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from orchestrator.client import Client, ClientError, Refused
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.hub import Hub
from orchestrator.registry import Session
from orchestrator.services import agents
from orchestrator.store import catalogue, paging
from protos import contract
from protos.gauntlet.v1 import (
    agent_pb2,
    artifact_pb2,
    campaign_pb2,
    device_pb2,
    failure_pb2,
    fleet_pb2,
    fleet_pb2_grpc,
    job_pb2,
    measurement_pb2,
)
from tests.orchestrator.lab import ScriptedAgent, a_job, device, running


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, patience_s=5.0) as client:
        yield client


async def a_job_is_done(client: Client, address: str) -> None:
    agent = ScriptedAgent(address, "honest")
    await agent.hello(device("d-honest", "honest"))
    [submitted] = await client.submit([await a_job(client, device_class="honest")])
    await agent.finish(await agent.hear("lease"))
    assert (await client.job(submitted.job_id)).state == job_pb2.JOB_STATE_SUCCEEDED


# ---------------------------------------------------------------------------------------------------- sessions


async def test_a_flood_is_read_at_a_bounded_rate_and_others_are_served(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = 0
    handle = Hub.handle

    async def counting(self: Hub, session: Session, request: agent_pb2.SessionRequest) -> None:
        nonlocal handled
        handled += session.agent_id == "flooder"
        await handle(self, session, request)

    monkeypatch.setattr(Hub, "handle", counting)
    monkeypatch.setattr(agents, "_MESSAGES_PER_S", 50.0)
    monkeypatch.setattr(agents, "_MESSAGES_AT_ONCE", 100.0)
    flooder = ScriptedAgent(address, "flooder")
    await flooder.hello(device("d-flooder"))
    now = asyncio.get_running_loop().time
    began = now()

    async def flood() -> None:
        while True:
            await flooder.say(job_progress=agent_pb2.JobProgress(lease_id="x", step="y" * 100))

    flooding = asyncio.create_task(flood())
    await a_job_is_done(client, address)
    await asyncio.sleep(max(0.0, began + 1.0 - now()))
    passed, elapsed = handled, now() - began
    flooding.cancel()
    assert 100 <= passed <= 100 + 50 * elapsed + 2


async def test_a_message_over_the_limit_ends_its_session_alone(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    await agent.say(heartbeat=agent_pb2.Heartbeat(held_lease_ids=["x" * 1000] * 5000))
    assert (await agent.refusal())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(ClientError):
        await client.submit([job_spec(measurement_spec(artifact_pb2.ArtifactRef(name="x" * 5_000_000)))])
    await a_job_is_done(client, address)


async def test_sessions_that_end_while_they_are_written_to_learn_that_they_ended(address: str) -> None:
    """Found by fuzzing: a write that was cancelled half-way kept gRPC from telling the agent that all was over."""
    async with grpc.aio.insecure_channel(address) as channel:

        async def come_and_go(number: int) -> grpc.StatusCode:
            session = channel.stream_stream(
                "/gauntlet.v1.AgentService/Session",
                request_serializer=agent_pb2.SessionRequest.SerializeToString,
                response_deserializer=agent_pb2.SessionResponse.FromString,
            )()
            hello = agent_pb2.Hello(
                protocol_version=contract.PROTOCOL_VERSION,
                agent=device_pb2.AgentDescription(agent_id=f"a{number}"),
                session_epoch="1",
            )
            await session.write(agent_pb2.SessionRequest(hello=hello))
            await session.done_writing()
            async with asyncio.timeout(10):
                while await session.read() is not grpc.aio.EOF:
                    pass
                return await session.code()

        codes = await asyncio.gather(*map(come_and_go, range(60)))
    assert set(codes) == {grpc.StatusCode.OK}


async def test_an_agent_cannot_enrol_devices_without_end(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello(*[device(f"d{n}") for n in range(600)])
    await agent.say(devices_changed=agent_pb2.DevicesChanged(devices=[device(f"e{n}") for n in range(600)]))
    code, details = await agent.refusal()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details.splitlines() == ["agent a1 has enrolled 1000 devices", "use the ids again that it gave before"]
    assert len(await client.devices()) == 600


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"labels": {"x": "y" * 20_000}}, "at most 16384 bytes"),
        ({"device_id": "../../etc/passwd"}, "malformed"),
        ({"device_id": "a\x1b[2J"}, "malformed"),
        ({"device_class": "c/../d"}, "malformed"),
    ],
)
async def test_a_device_that_says_too_much_or_has_a_path_for_a_name_is_refused(
    address: str, changed: dict[str, object], why: str
) -> None:
    agent = ScriptedAgent(address)
    described = device("d1")
    described.MergeFrom(device_pb2.DeviceDescription(**changed))  # type: ignore[arg-type]
    with pytest.raises((AssertionError, grpc.aio.AioRpcError)):
        await agent.hello(described)
    code, details = await agent.refusal()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why in details


async def test_a_huge_result_fails_its_job_and_a_huge_failure_is_cut(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    huge = measurement_pb2.MeasurementResult()
    huge.provenance.remarks.append("x" * 3_600_000)
    ids = []
    for outcome in (
        {"result": huge},
        {
            "failure": failure_pb2.Failure(
                kind=1, message="m" * 50_000, remedy="r" * 50_000, stderr_tail="s" * 3_000_000
            )
        },
    ):
        [submitted] = await client.submit([await a_job(client, max_attempts=1)])
        await agent.finish(await agent.hear("lease"), **outcome)
        ids.append(submitted.job_id)
    too_large, cut = [await client.job(job_id) for job_id in ids]
    assert too_large.failure.message.startswith("the result has 36000")
    assert (len(cut.failure.message), len(cut.failure.remedy), len(cut.failure.stderr_tail)) == (1000, 1000, 8192)
    assert len(await client.jobs()) == 2


async def test_nobody_speaks_for_the_lease_of_another_agents_device(address: str, client: Client) -> None:
    honest, liar = ScriptedAgent(address, "honest"), ScriptedAgent(address, "liar")
    await honest.hello(device("d1"))
    await liar.hello(device("d2", "other"))
    [submitted] = await client.submit([await a_job(client, device_class="test")])
    lease = await honest.hear("lease")
    await liar.say(job_started=agent_pb2.JobStarted(lease_id=lease.lease_id))
    await liar.say(job_progress=agent_pb2.JobProgress(lease_id=lease.lease_id, step="lies"))
    await liar.say(heartbeat=agent_pb2.Heartbeat(held_lease_ids=[lease.lease_id, "unknown"]))
    assert (await liar.hear("cancel_lease")).lease_id == "unknown"
    job = await client.job(submitted.job_id)
    assert (job.state, job.step) == (job_pb2.JOB_STATE_LEASED, "")
    stolen = agent_pb2.Lease(lease_id=lease.lease_id, job_id=lease.job_id, device_id="d2")
    with pytest.raises((AssertionError, grpc.aio.AioRpcError), match=r"not yours|ended the session"):
        await liar.finish(stolen)
    assert (await honest.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED


# ---------------------------------------------------------------------------------------------------- users


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("SubmitJobs", fleet_pb2.SubmitJobsRequest(jobs=[job_pb2.JobSpec(idempotency_key="k")] * 10_001)),
        ("CancelJobs", fleet_pb2.CancelJobsRequest(job_ids=["x"] * 10_001)),
        ("WatchJobs", fleet_pb2.WatchJobsRequest(job_ids=[str(n) for n in range(10_001)])),
        ("ListJobs", fleet_pb2.ListJobsRequest(page_token="'; DROP TABLE jobs; --")),
        ("ListJobs", fleet_pb2.ListJobsRequest(page_token="9" * 30)),
        ("ListJobs", fleet_pb2.ListJobsRequest(states=[99])),  # type: ignore[list-item]
    ],
    ids=["submit", "cancel", "watch", "token", "number", "state"],
)
async def test_a_call_over_its_limits_is_refused_in_one_line(address: str, method: str, request_: object) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = getattr(fleet_pb2_grpc.FleetServiceStub(channel), method)(request_, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if method == "WatchJobs" else call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(caught.value.details().splitlines()) == 1


async def test_a_specification_that_is_too_large_is_refused(address: str, client: Client) -> None:
    await ScriptedAgent(address).hello()
    model = await client.put_bytes(b"a model", "model/tflite", "m" * 256)
    with pytest.raises(Refused, match="a name has at most 255"):
        await client.submit([job_spec(measurement_spec(model, latency=latency_spec()))])
    model.name = "m"
    large = job_spec(measurement_spec(model, latency=latency_spec()))
    large.device.labels["x"] = "y" * 200_000
    with pytest.raises(Refused, match="in 131072 bytes"):
        await client.submit([large])


def record(key: str, points: int) -> campaign_pb2.CampaignRecord:
    series = campaign_pb2.SeriesRecord(x=range(points), y=range(points))
    return campaign_pb2.CampaignRecord(key=key, series=series)


async def test_campaigns_are_bounded_and_large_records_are_listed_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MAX_RECORDS", 10)
    monkeypatch.setattr(catalogue, "MAX_CAMPAIGNS", 2)
    await client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1"))
    for n in range(10):  # 9 MB together: more than a message, in one page of rows
        await client.publish_records("c1", [record(str(n), 60_000)])
    assert [r.key for r in await client.records("c1")] == [str(n) for n in range(10)]
    await client.publish_records("c1", [record("9", 3)])  # replaces
    with pytest.raises(ClientError, match="campaign c1 has 10 records"):
        await client.publish_records("c1", [record("10", 1)])
    with pytest.raises(Refused, match="more than 1048576"):
        await client.publish_records("c1", [record("0", 70_000)])
    with pytest.raises(Refused, match="at most 1000 records"):
        await client.publish_records("c1", [record(str(n), 1) for n in range(1001)])
    with pytest.raises(Refused, match="title of at most"):
        await client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1", title="x" * 1001))
    await client.publish_campaign(campaign_pb2.Campaign(campaign_id="c2"))
    with pytest.raises(ClientError, match="keeps 2 campaigns"):
        await client.publish_campaign(campaign_pb2.Campaign(campaign_id="c3"))
    await client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1", title="still"))
    assert [c.title for c in await client.campaigns()] == ["", "still"]


async def test_a_page_of_long_failures_fits_into_a_message(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    model = await client.put_bytes(b"a model", "model/tflite", "\N{GRINNING FACE}" * 255)
    failure = failure_pb2.Failure(kind=1, message="\N{GRINNING FACE}" * 1000)
    for _ in range(3):
        await client.submit([job_spec(measurement_spec(model, latency=latency_spec()), max_attempts=1)])
        await agent.finish(await agent.hear("lease"), failure=failure)
    monkeypatch.setattr(paging, "_ROOM_BYTES", 8_000)  # of which a row takes more than 5,000
    assert len(await client.jobs(limit=3)) == 3
    async with grpc.aio.insecure_channel(address) as channel:
        page = await fleet_pb2_grpc.FleetServiceStub(channel).ListJobs(fleet_pb2.ListJobsRequest(), timeout=5)
    assert len(page.jobs) == 1
    assert page.next_page_token


async def test_a_large_fleet_is_listed_page_by_page(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few thousand honest descriptions are more than a message, and so are a few hundred boastful ones."""
    boastful = [device(f"d{n}", labels={"x": "y" * 15_000}) for n in range(200)]
    for part in (boastful[:100], boastful[100:]):  # each within the limit of a message
        agent = ScriptedAgent(address, f"agent-of-{part[0].device_id}")
        await agent.hello(*part)
    monkeypatch.setattr(paging, "_ROOM_BYTES", 1_000_000)
    await client.wait_ready(5.0, devices=200)
    listed = [found.description.device_id for found in await client.devices()]
    assert listed == sorted(f"d{n}" for n in range(200))
