"""A real server, real gRPC, a scripted agent: what the orchestrator does with what peers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from orchestrator.client import Client, ClientError, NotFound, Refused, SyncClient, Unreachable
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.config import Config, ConfigError
from protos import contract
from protos.gauntlet.v1 import (
    agent_pb2,
    artifact_pb2,
    campaign_pb2,
    device_pb2,
    failure_pb2,
    job_pb2,
    measurement_pb2,
)
from tests.orchestrator.lab import ScriptedAgent, a_job, a_ref, device, running

#: Short enough for tests, long enough for a busy machine.
HEARTBEAT = {"heartbeat_interval_s": 0.2, "lease_duration_s": 1.5, "incumbent_answer_s": 0.5}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path, **HEARTBEAT) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, patience_s=5.0) as client:
        yield client


async def ended(client: Client, job_id: str) -> job_pb2.Job:
    async with asyncio.timeout(20):
        return [job async for job in client.watch([job_id])][-1]


async def state_of(client: Client, device_id: str = "d1") -> int:
    return next(d.state for d in await client.devices() if d.description.device_id == device_id)


async def until_state(client: Client, state: int, device_id: str = "d1") -> None:
    async with asyncio.timeout(10):
        while await state_of(client, device_id) != state:  # noqa: ASYNC110  # what another process sees
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------------------------------------------- the way of a job


async def test_a_job_goes_to_a_device_and_comes_back_with_its_result(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    welcome = await agent.hello()
    assert welcome.lease_duration_s == 1.5
    [submitted] = await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    assert lease.job_id == submitted.job_id
    assert lease.measurement.runtime.delegate == "xnnpack"
    assert await state_of(client) == device_pb2.DEVICE_STATE_BUSY
    await agent.say(job_started=agent_pb2.JobStarted(lease_id=lease.lease_id))
    await agent.say(job_progress=agent_pb2.JobProgress(lease_id=lease.lease_id, step="timing"))
    async for job in client.watch([submitted.job_id]):
        if job.step == "timing":
            assert job.state == job_pb2.JOB_STATE_RUNNING
            break
    ack = await agent.finish(lease)
    assert ack.disposition == agent_pb2.DISPOSITION_COMMITTED
    job = await ended(client, submitted.job_id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert [a.device_id for a in job.attempts] == ["d1"]
    assert await state_of(client) == device_pb2.DEVICE_STATE_ONLINE


async def test_a_result_that_comes_twice_counts_once(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
    assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED  # the first one, that is
    job = await client.job(submitted.job_id)
    assert (job.state, job.superseded_results) == (job_pb2.JOB_STATE_SUCCEEDED, 0)


async def test_a_small_model_travels_with_its_first_lease_only(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    travelled = []
    for _ in range(2):
        await client.submit([await a_job(client)])
        lease = await agent.hear("lease")
        travelled.append([file.content for file in lease.files])
        await agent.finish(lease)
    assert travelled == [[b"a model"], []]


async def test_files_that_an_end_of_the_orchestrator_took_come_with_the_result_offered_again(
    address: str, client: Client
) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    ref = artifact_pb2.ArtifactRef(digest=contract.digest_of_bytes(b"raw"), size_bytes=3)
    result = measurement_pb2.MeasurementResult(latency=measurement_pb2.LatencyResult(raw_samples=ref))
    # As if it had died between the commit and the files: it has the result, and not what came with it.
    await agent.finish(lease, result=result)
    with pytest.raises(NotFound):
        await client.get_artifact(ref.digest)
    again = await agent.finish(lease, result=result, files=[agent_pb2.AttachedFile(ref=ref, content=b"raw")])
    assert again.disposition == agent_pb2.DISPOSITION_COMMITTED
    assert await client.get_artifact(ref.digest) == b"raw"


async def test_one_key_is_one_job(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    spec = await a_job(client, idempotency_key="k")
    [first] = await client.submit([spec])
    [second] = await client.submit([spec])
    assert (first.job_id, first.created) == (second.job_id, True)
    assert not second.created
    spec.priority = 7
    with pytest.raises(Refused, match="another specification"):
        await client.submit([spec])


async def test_the_models_fault_is_final_the_devices_is_tried_elsewhere(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello(device("d1"), device("d2"))
    [submitted] = await client.submit([await a_job(client)])
    first = await agent.hear("lease")
    unfit = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_UNFIT, message="hot")
    await agent.finish(first, failure=unfit)
    second = await agent.hear("lease")
    assert second.device_id != first.device_id
    invalid = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message="no such operator")
    await agent.finish(second, failure=invalid)
    job = await ended(client, submitted.job_id)
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert job.failure.message == "no such operator"
    assert len(job.attempts) == 2


async def test_a_synchronous_watch_may_be_left_at_any_moment(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])

    def look_once() -> int:
        with SyncClient(address) as beside:
            for job in beside.watch([submitted.job_id]):
                return job.state
        raise AssertionError("a watch begins with the job as it stands")

    assert await asyncio.to_thread(look_once) == job_pb2.JOB_STATE_LEASED


# ---------------------------------------------------------------------------------------------------- leases


async def test_a_silent_device_is_lost_and_its_job_goes_elsewhere(address: str, client: Client) -> None:
    silent, sound = ScriptedAgent(address, "silent"), ScriptedAgent(address, "sound")
    await silent.hello(device("d1"))
    [submitted] = await client.submit([await a_job(client)])
    lost = await silent.hear("lease")
    await sound.hello(device("d2"))
    held: list[str] = []

    async def beat() -> None:
        while True:
            await sound.say(heartbeat=agent_pb2.Heartbeat(held_lease_ids=held))
            await asyncio.sleep(0.2)

    beating = asyncio.ensure_future(beat())
    lease = await sound.hear("lease")
    held.append(lease.lease_id)
    assert lease.job_id == submitted.job_id
    assert await state_of(client, "d1") == device_pb2.DEVICE_STATE_LOST
    await silent.refusal()
    # It comes back, told that the lease is gone; its late result is kept, not counted.
    back = ScriptedAgent(address, "silent")
    welcome = await back.hello(device("d1"), held=(lost.lease_id,))
    assert list(welcome.abandoned_lease_ids) == [lost.lease_id]
    assert (await back.finish(lost)).disposition == agent_pb2.DISPOSITION_SUPERSEDED
    assert (await sound.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
    beating.cancel()
    job = await ended(client, submitted.job_id)
    assert job.superseded_results == 1
    assert job.attempts[0].failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST


async def test_heartbeats_keep_a_lease(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    for sequence in range(12):  # 2.4 s, longer than a lease lasts
        await agent.say(heartbeat=agent_pb2.Heartbeat(sequence=sequence, held_lease_ids=[lease.lease_id]))
        await asyncio.sleep(0.2)
    assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED


async def test_a_lease_outlives_a_broken_connection(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    await agent.hang_up()
    await until_state(client, device_pb2.DEVICE_STATE_LOST)
    again = ScriptedAgent(address)
    welcome = await again.hello(held=(lease.lease_id,))
    assert not welcome.abandoned_lease_ids
    assert await state_of(client) == device_pb2.DEVICE_STATE_BUSY
    assert (await again.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
    assert len((await ended(client, submitted.job_id)).attempts) == 1


async def test_a_restarted_agent_gets_its_job_again_at_once(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])
    first = await agent.hear("lease")
    await agent.hang_up()
    await until_state(client, device_pb2.DEVICE_STATE_LOST)
    restarted = ScriptedAgent(address, epoch="2-y")
    await restarted.hello()
    second = await restarted.hear("lease")
    assert (second.job_id, second.lease_id != first.lease_id) == (submitted.job_id, True)
    await restarted.finish(second)
    assert len((await ended(client, submitted.job_id)).attempts) == 2


async def test_a_goodbye_returns_the_job_and_counts_no_attempt(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])
    await agent.hear("lease")
    await agent.say(goodbye=agent_pb2.Goodbye(reason="reboot"))
    async for job in client.watch([submitted.job_id]):
        if job.state == job_pb2.JOB_STATE_QUEUED:
            break
    assert not job.attempts
    assert await state_of(client) == device_pb2.DEVICE_STATE_ENROLLED


async def test_a_cancelled_job_is_stopped_on_the_device(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    [submitted] = await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    assert await client.cancel([submitted.job_id]) == [submitted.job_id]
    assert (await agent.hear("cancel_lease")).lease_id == lease.lease_id
    assert (await ended(client, submitted.job_id)).state == job_pb2.JOB_STATE_CANCELLED
    assert await client.cancel([submitted.job_id]) == []
    assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_SUPERSEDED


async def test_a_restarted_orchestrator_lets_leases_run_on(tmp_path: Path) -> None:
    async with running(tmp_path, **HEARTBEAT) as address, Client(address) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        [submitted] = await client.submit([await a_job(client)])
        lease = await agent.hear("lease")
    async with running(tmp_path, **HEARTBEAT) as address, Client(address) as client:
        assert await state_of(client) in (device_pb2.DEVICE_STATE_ENROLLED, device_pb2.DEVICE_STATE_LOST)
        agent = ScriptedAgent(address)
        welcome = await agent.hello(held=(lease.lease_id,))
        assert not welcome.abandoned_lease_ids
        assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
        assert (await ended(client, submitted.job_id)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_a_job_that_waits_too_long_fails_with_the_reason(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    await agent.say(goodbye=agent_pb2.Goodbye())
    [submitted] = await client.submit([await a_job(client, queue_timeout_s=0.2)])
    job = await ended(client, submitted.job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_QUEUE_DEADLINE


# ---------------------------------------------------------------------------------------------------- who may come in


async def test_a_second_live_agent_with_the_same_id_is_refused(address: str, client: Client) -> None:
    first = ScriptedAgent(address)
    await first.hello()

    async def answer() -> None:
        ping = await first.hear("ping")
        await first.say(pong=agent_pb2.Pong(nonce=ping.nonce))

    answering = asyncio.ensure_future(answer())
    clone = ScriptedAgent(address, epoch="1-clone")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await clone.hello()
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "--agent-id" in str(caught.value.details())
    await answering
    await client.submit([await a_job(client)])
    assert await first.hear("lease")  # the first one works on


async def test_an_agent_behind_a_dead_link_may_come_back(address: str) -> None:
    dead = ScriptedAgent(address)  # half-open: the server still holds its stream, nobody answers there
    await dead.hello()
    again = ScriptedAgent(address, epoch="2-y")
    assert await again.hello()


async def test_the_same_process_may_connect_anew_at_once(address: str) -> None:
    first = ScriptedAgent(address)
    await first.hello()
    again = ScriptedAgent(address)
    assert await again.hello()


async def test_a_device_of_a_live_agent_cannot_be_claimed_by_another(address: str) -> None:
    owner = ScriptedAgent(address, "owner")
    await owner.hello(device("d1"))
    thief = ScriptedAgent(address, "thief")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await thief.hello(device("d1"))
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("version", "remedy"), [(99, "upgrade the orchestrator, or install gauntlet"), (0, "\ninstall gauntlet")]
)
async def test_another_protocol_version_is_refused_with_the_remedy(address: str, version: int, remedy: str) -> None:
    agent = ScriptedAgent(address)
    hello = agent_pb2.Hello(protocol_version=version, agent={"agent_id": "a"}, session_epoch="1")  # type: ignore[arg-type]
    await agent.say(hello=hello)
    code, details = await agent.refusal()
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert remedy in details


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"heartbeat": agent_pb2.Heartbeat()},
        {"hello": agent_pb2.Hello(protocol_version=1)},
        {"hello": agent_pb2.Hello(protocol_version=1, session_epoch="1", agent={"agent_id": "../x"})},
        {
            "hello": agent_pb2.Hello(
                protocol_version=1, session_epoch="1", agent={"agent_id": "a"}, devices=[device("x/y")]
            )
        },
        {
            "hello": agent_pb2.Hello(
                protocol_version=1, session_epoch="1", agent={"agent_id": "a"}, devices=[device("x"), device("x")]
            )
        },
    ],
)
async def test_nonsense_for_a_hello_ends_the_session(address: str, event: dict) -> None:  # type: ignore[type-arg]
    agent = ScriptedAgent(address)
    await agent.say(**event)
    code, _ = await agent.refusal()
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_result_for_a_device_or_job_that_is_not_its_own_is_not_taken(address: str, client: Client) -> None:
    honest, liar = ScriptedAgent(address, "honest"), ScriptedAgent(address, "liar")
    await honest.hello(device("d1"))
    await liar.hello(device("d2", "other"))
    [submitted] = await client.submit([await a_job(client, device_class="test")])
    lease = await honest.hear("lease")
    forged = agent_pb2.Lease(lease_id="guess", job_id=lease.job_id, device_id="d2")
    assert (await liar.finish(forged)).disposition == agent_pb2.DISPOSITION_REFUSED
    unknown = agent_pb2.Lease(lease_id="guess", job_id="no-such-job", device_id="d2")
    assert (await liar.finish(unknown)).disposition == agent_pb2.DISPOSITION_REFUSED
    with pytest.raises(grpc.aio.AioRpcError, match="not yours"):
        await liar.finish(lease)  # names a device that is not the liar's
    assert (await client.job(submitted.job_id)).state == job_pb2.JOB_STATE_LEASED


async def test_devices_come_and_go_within_a_session(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello(device("phone-1"))
    await agent.say(devices_changed=agent_pb2.DevicesChanged(devices=[device("phone-2")]))
    await until_state(client, device_pb2.DEVICE_STATE_ENROLLED, "phone-1")
    assert await state_of(client, "phone-2") == device_pb2.DEVICE_STATE_ONLINE


async def test_an_agent_may_begin_without_a_device_and_a_device_that_is_lost_says_why(
    address: str, client: Client
) -> None:
    agent = ScriptedAgent(address)
    await agent.say(
        hello=agent_pb2.Hello(
            protocol_version=contract.PROTOCOL_VERSION, agent={"agent_id": agent.agent_id}, session_epoch="1-x"
        )
    )
    await agent.hear("welcome")
    await agent.say(devices_changed=agent_pb2.DevicesChanged(devices=[device("phone-1"), device("phone-2")]))
    await agent.say(devices_changed=agent_pb2.DevicesChanged(devices=[device("phone-1")]))
    states = [device_pb2.DEVICE_STATE_ONLINE, device_pb2.DEVICE_STATE_ENROLLED]
    async with asyncio.timeout(10):
        while [phone.state for phone in await client.devices()] != states:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.02)
    # What an agent says of others' devices, or at length, does no harm.
    lost = {"phone-1": "the cable\nis out " + "x" * 10_000, "other": "mine"}
    await agent.say(devices_changed=agent_pb2.DevicesChanged(lost=lost))
    await until_state(client, device_pb2.DEVICE_STATE_LOST, "phone-1")
    phone, _ = await client.devices()
    assert phone.state_reason.startswith("the cable is out x")
    assert len(phone.state_reason) < 1000
    assert [event.kind for event in phone.events] == ["lost", "attached"]


# ---------------------------------------------------------------------------------------------------- bad submissions


async def test_a_class_that_nobody_has_is_refused_at_once_with_what_exists(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    with pytest.raises(Refused, match=r"d1 \(class test\)") as caught:
        await client.submit([await a_job(client, device_class="pixel6")])
    assert caught.value.remedy
    assert await client.jobs() == []


@pytest.mark.parametrize(
    ("asked", "media", "why"),
    [
        ({"runtime": "onnxruntime"}, "model/tflite", r"has no runtime onnxruntime \(it has litert\)"),
        ({"delegate": "cuda"}, "model/tflite", "offers no delegate cuda"),
        ({"delegate": ""}, "model/onnx", r"has no runtime for onnx models \(they need gauntlet\[onnx\]"),
    ],
    ids=["runtime", "delegate", "format"],
)
async def test_a_runtime_that_no_device_has_is_refused_at_once(
    address: str, client: Client, asked: dict[str, str], media: str, why: str
) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    model = await client.put_bytes(b"a model", media, "model")
    with pytest.raises(Refused, match=why) as caught:
        await client.submit([job_spec(measurement_spec(model, latency=latency_spec(), **asked))])
    assert caught.value.remedy
    assert await client.jobs() == []


async def test_an_empty_lab_says_how_to_get_a_device(client: Client) -> None:
    with pytest.raises(Refused, match="no device has joined") as caught:
        await client.submit([await a_job(client)])
    assert "gauntlet-agent run" in caught.value.remedy


async def test_a_model_that_was_not_uploaded_is_refused(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    with pytest.raises(NotFound, match=r"gone\.tflite"):
        await client.submit([job_spec(measurement_spec(a_ref(), latency=latency_spec()))])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threads", 0),
        ("threads", 1000),
        ("timeout_s", 0.0),
        ("timeout_s", float("nan")),
        ("timeout_s", 1e9),
        ("latency", latency_spec(half_width=0.0)),
        ("latency", latency_spec(half_width=float("nan"))),
        ("latency", latency_spec(max_samples=10**8)),
        ("latency", latency_spec(max_s=-1.0)),
        ("latency", latency_spec(warmup_max_s=0.0)),
    ],
)
async def test_a_malformed_specification_names_the_field(client: Client, field: str, value: object) -> None:
    arguments = {"latency": latency_spec(), field: value}
    with pytest.raises(Refused, match=field if field != "latency" else r"latency\."):
        await client.submit([job_spec(measurement_spec(a_ref(), **arguments))])  # type: ignore[arg-type]


async def test_one_bad_job_keeps_all_of_a_submission_out(address: str, client: Client) -> None:
    agent = ScriptedAgent(address)
    await agent.hello()
    with pytest.raises(Refused):
        await client.submit([await a_job(client), await a_job(client, device_class="nobody")])
    assert await client.jobs() == []


async def test_nothing_to_measure_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="nothing to measure"):
        await client.submit([job_spec(measurement_spec(a_ref(), memory=False, energy=False))])


async def test_unknown_jobs_are_not_found(client: Client) -> None:
    for call in (client.job("nope"), client.cancel(["nope"])):
        with pytest.raises(NotFound, match="nope"):
            await call
    with pytest.raises(NotFound):
        async for _ in client.watch(["nope"]):
            pass


# ---------------------------------------------------------------------------------------------------- artifacts


async def test_artifacts_come_back_as_they_went(client: Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "x.bin").write_bytes(content)
    ref = await client.put_file(tmp_path / "x.bin", "model/tflite")
    assert await client.get_artifact(ref.digest) == content
    with pytest.raises(NotFound):
        await client.get_artifact("0" * 64)


async def test_an_artifact_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, max_artifact_bytes=1000) as address, Client(address) as client:
        with pytest.raises(Refused, match="takes 1000"):
            await client.put_bytes(b"x" * 1001, "model/tflite", "big.tflite")


# ---------------------------------------------------------------------------------------------------- campaigns


async def test_campaign_records_are_kept_uninterpreted(client: Client) -> None:
    await client.publish_campaign(campaign_pb2.Campaign(campaign_id="digits", title="Digits"))
    record = campaign_pb2.CampaignRecord(key="hv", series=campaign_pb2.SeriesRecord(x=[1], y=[0.5]))
    await client.publish_records("digits", [record])
    record.series.y[0] = 0.6
    await client.publish_records("digits", [record])
    assert [c.title for c in await client.campaigns()] == ["Digits"]
    assert await client.records("digits") == [record]
    with pytest.raises(NotFound):
        await client.publish_records("nobody", [record])
    with pytest.raises(Refused):
        await client.publish_campaign(campaign_pb2.Campaign(campaign_id="../x"))


# ---------------------------------------------------------------------------------------------------- the process


async def test_two_orchestrators_cannot_share_a_folder(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(ConfigError, match="belongs to a running orchestrator"):
            async with running(tmp_path):
                pass


def test_listening_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ssh -R"):
        Config(address="0.0.0.0:50151", folder=tmp_path)


async def test_an_absent_orchestrator_is_reported_in_one_line() -> None:
    async with Client("127.0.0.1:9", patience_s=0.1) as client:
        with pytest.raises(Unreachable) as caught:
            await client.status()
        assert "\n" not in caught.value.message
        assert "gauntlet lab up" in caught.value.remedy
        with pytest.raises(ClientError):
            await client.wait_ready(0.2)
