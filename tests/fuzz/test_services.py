"""Whatever comes over the wire: a typed answer, no unhandled error, no stuck call, and a lab that works on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.client import Client
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from protos import contract
from protos.gauntlet.v1 import (
    admin_pb2,
    agent_pb2,
    artifact_pb2,
    campaign_pb2,
    device_pb2,
    failure_pb2,
    fitness_pb2,
    fleet_pb2,
    job_pb2,
    measurement_pb2,
)
from tests.fuzz.effort import effort
from tests.fuzz.messages import messages, near
from tests.orchestrator.lab import ScriptedAgent, device, running

MODEL = b"a model"
DIGEST = contract.digest_of_bytes(MODEL)
KNOWN = ["a1", "d1", "honest", "d-honest", "test", "digits", DIGEST, "litert", "xnnpack", "model/tflite"]
SERVICES = [
    module.DESCRIPTOR.services_by_name[name]
    for module, names in (
        (fleet_pb2, ["FleetService"]),
        (artifact_pb2, ["ArtifactService"]),
        (campaign_pb2, ["CampaignService"]),
        (admin_pb2, ["AdminService", "EnrolmentService"]),
    )
    for name in names
]
METHODS = {f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods}
#: An exception that nobody caught is UNKNOWN to the caller; a message that nobody can send INTERNAL.
UNHANDLED = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE)
ANSWER_S = 20.0
WATCH_S = 0.3


class Lab:
    """An orchestrator in a thread of its own, and a channel to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(ready),), daemon=True)
        self._thread.start()
        assert ready.wait(30)

    async def _serve(self, ready: threading.Event) -> None:
        async with running(self.folder, heartbeat_interval_s=0.5, lease_duration_s=30.0, incumbent_answer_s=0.1) as at:
            self.address = at
            async with (
                grpc.aio.insecure_channel(at, options=contract.CLIENT_OPTIONS) as self.channel,
                Client(at) as self.client,
            ):
                await self.client.put_bytes(MODEL, "model/tflite", "model.tflite")
                ready.set()
                await self._stop.wait()

    def do(self, work: Coroutine[Any, Any, Any], within_s: float = ANSWER_S) -> Any:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, within_s), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    logging.disable(logging.CRITICAL)  # thousands of refusals
    lab = Lab(tmp_path_factory.mktemp("fuzz"))
    try:
        yield lab
    finally:
        lab.close()
        logging.disable(logging.NOTSET)
    _check_ledger(lab.folder / "lab" / "lab.sqlite")


_NUMBERS = itertools.count()


def spec(device_class: str = "test") -> job_pb2.JobSpec:
    model = artifact_pb2.ArtifactRef(
        digest=DIGEST, size_bytes=len(MODEL), media_type="model/tflite", name="model.tflite"
    )
    return job_spec(measurement_spec(model, latency=latency_spec()), device_class=device_class)


#: What makes sense to a method: from there one or two steps lead astray.
SENSIBLE: dict[str, Message] = {
    "SubmitJobs": fleet_pb2.SubmitJobsRequest(jobs=[spec()]),
    "CancelJobs": fleet_pb2.CancelJobsRequest(campaign_id="digits"),
    "ListJobs": fleet_pb2.ListJobsRequest(states=[1], page_size=3, page_token="5"),
    "PublishCampaign": campaign_pb2.PublishCampaignRequest(campaign=campaign_pb2.Campaign(campaign_id="digits")),
    "PublishRecords": campaign_pb2.PublishRecordsRequest(
        campaign_id="digits",
        records=[campaign_pb2.CampaignRecord(key="hv", series=campaign_pb2.SeriesRecord(x=[1], y=[0.5]))],
    ),
    "ListRecords": campaign_pb2.ListRecordsRequest(campaign_id="digits", page_size=2),
    "StatArtifacts": artifact_pb2.StatArtifactsRequest(digests=[DIGEST]),
    "DownloadArtifact": artifact_pb2.DownloadArtifactRequest(digest=DIGEST),
    "ControlDevice": fleet_pb2.ControlDeviceRequest(device_id="d-honest", resume=fleet_pb2.Resume()),
}


async def call(lab: Lab, path: str, method: MethodDescriptor, requests: list[Any]) -> grpc.StatusCode:
    """The code that ends a call; a watch is left after a moment. Raises TimeoutError when nothing comes."""
    answer = message_factory.GetMessageClass(method.output_type)
    serializers = {"response_deserializer": answer.FromString}
    try:
        if method.client_streaming:
            await lab.channel.stream_unary(path, **serializers)(iter(requests), timeout=ANSWER_S / 2)
        elif method.server_streaming:
            async for _ in lab.channel.unary_stream(path, **serializers)(requests[0], timeout=WATCH_S):
                pass
        else:
            await lab.channel.unary_unary(path, **serializers)(requests[0], timeout=ANSWER_S / 2)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and method.server_streaming:
            return grpc.StatusCode.OK
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.rpartition("/")[2])
def test_a_method_answers_whatever_it_is_asked(lab: Lab, path: str) -> None:
    method = METHODS[path]
    kind = message_factory.GetMessageClass(method.input_type)
    sensible = SENSIBLE.get(method.name)
    one: st.SearchStrategy[Any] = messages(kind, KNOWN)
    if sensible is not None:
        one = st.one_of(one, near(sensible, KNOWN))
    count = 4 if method.client_streaming else 1

    @effort(25)
    @given(st.lists(one.map(lambda m: m.SerializeToString()), min_size=1, max_size=count))
    def answers(requests: list[bytes]) -> None:
        code = lab.do(call(lab, path, method, requests))
        assert code not in UNHANDLED, code
        assert code is not grpc.StatusCode.DEADLINE_EXCEEDED

    answers()


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.rpartition("/")[2])
def test_bytes_that_are_no_message_are_refused(lab: Lab, path: str) -> None:
    method = METHODS[path]

    @effort(8)
    @given(st.binary(max_size=60))
    @example(b"\xff" * 20)
    def answers(noise: bytes) -> None:
        code = lab.do(call(lab, path, method, [noise]))
        # gRPC itself says INTERNAL for what it cannot parse.
        assert code is not grpc.StatusCode.DEADLINE_EXCEEDED

    answers()


# ---------------------------------------------------------------------------------------------------- sessions


def hello(agent_id: str = "a1") -> agent_pb2.Hello:
    return agent_pb2.Hello(
        protocol_version=contract.PROTOCOL_VERSION,
        agent=device_pb2.AgentDescription(agent_id=agent_id),
        devices=[device("d1")],
        session_epoch="1",
    )


def said(lease: agent_pb2.Lease | None) -> list[agent_pb2.SessionRequest]:
    """What an agent that holds this lease may say."""
    ids = {} if lease is None else {"lease_id": lease.lease_id}
    more = {} if lease is None else {"job_id": lease.job_id, "device_id": lease.device_id}
    result = measurement_pb2.MeasurementResult()
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_UNFIT, message="hot")
    check = fitness_pb2.FitnessCheck(
        check_id="c1", device_id="d1", checked_at="2026-01-01T00:00:00Z", verdict=fitness_pb2.FITNESS_VERDICT_GOOD
    )
    request = agent_pb2.SessionRequest
    return [
        request(heartbeat=agent_pb2.Heartbeat(sequence=1, held_lease_ids=ids.values())),
        request(job_started=agent_pb2.JobStarted(**ids)),
        request(job_progress=agent_pb2.JobProgress(**ids, step="timing")),
        request(job_finished=agent_pb2.JobFinished(**ids, **more, result=result)),
        request(job_finished=agent_pb2.JobFinished(**ids, **more, failure=failure)),
        request(fitness_report=agent_pb2.FitnessReport(check=check)),
        request(devices_changed=agent_pb2.DevicesChanged(devices=[device("d1")])),
        request(pong=agent_pb2.Pong()),
        request(hello=hello()),
    ]


def utterances(lease: agent_pb2.Lease | None, known: list[str]) -> st.SearchStrategy[agent_pb2.SessionRequest]:
    likely = st.sampled_from(said(lease))
    return st.one_of(likely, likely.flatmap(lambda m: near(m, known)), messages(agent_pb2.SessionRequest, known))


async def talk(
    lab: Lab, first: agent_pb2.SessionRequest, more: list[agent_pb2.SessionRequest]
) -> tuple[grpc.StatusCode, str]:
    """Say all that, then hang up; the code that ended the session."""
    stub = lab.channel.stream_stream(
        "/gauntlet.v1.AgentService/Session",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=agent_pb2.SessionResponse.FromString,
    )
    session = stub()

    async def hear() -> None:
        while await session.read() is not grpc.aio.EOF:
            pass

    listening = asyncio.ensure_future(hear())
    try:
        for message in [first, *more]:
            await session.write(message)
        await session.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # refused before all was said
    with contextlib.suppress(grpc.aio.AioRpcError):
        await listening
    return await session.code(), await session.details()


@effort(60)
@given(data=st.data())
def test_a_session_takes_anything_and_ends_with_a_reason(lab: Lab, data: st.DataObject) -> None:
    request = agent_pb2.SessionRequest
    opening = st.one_of(
        st.just(request(hello=hello())),
        near(hello(), KNOWN).map(lambda h: request(hello=h)),
        messages(request, KNOWN),
    )
    first = data.draw(opening)
    more = data.draw(st.lists(utterances(None, KNOWN), max_size=6))
    code, details = lab.do(talk(lab, first, more))
    # So grpc's client says that the other end hung up while it wrote; the reason is lost then.
    assert code not in UNHANDLED or details == "Internal error from Core", details


@effort(40)
@given(data=st.data())
def test_who_holds_a_lease_may_say_anything_and_the_job_ends_once(lab: Lab, data: st.DataObject) -> None:
    async def leased() -> tuple[ScriptedAgent, agent_pb2.Lease]:
        # Each time another device: one that came back so often would be quarantined.
        name = f"n{next(_NUMBERS)}"
        agent = ScriptedAgent(lab.address, name)
        await agent.hello(device("d1-" + name, name))
        await lab.client.submit([spec(name)])
        return agent, await agent.hear("lease")

    async def finish(agent: ScriptedAgent, job_id: str) -> job_pb2.Job:
        await agent.hang_up()
        await lab.client.cancel([job_id])
        return await lab.client.job(job_id)

    agent, lease = lab.do(leased())
    for message in data.draw(st.lists(utterances(lease, [*KNOWN, lease.lease_id, lease.job_id]), max_size=5)):
        try:
            lab.do(agent._call.write(message))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            break
    job = lab.do(finish(agent, lease.job_id))
    assert job.state in (4, 5, 6), job.state
    assert job.HasField("result") + job.HasField("failure") == 1


def test_afterwards_an_honest_agent_and_its_user_are_served(lab: Lab) -> None:
    async def serve() -> job_pb2.Job:
        agent = ScriptedAgent(lab.address, "honest")
        await agent.hello(device("d-honest", "honest-class"))
        wanted = spec("honest-class")
        wanted.idempotency_key = "honest"
        [submitted] = await lab.client.submit([wanted])
        await agent.finish(await agent.hear("lease"))
        assert await lab.client.jobs(limit=2000)
        assert await lab.client.devices()
        await lab.client.campaigns()
        await lab.client.records("digits")
        return await lab.client.job(submitted.job_id)

    assert lab.do(serve()).state == job_pb2.JOB_STATE_SUCCEEDED


def _check_ledger(path: Path) -> None:
    """Each job that ended did so once, and none that did not has an outcome."""
    with sqlite3.connect(path) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        odd = store.execute(
            "SELECT id, state FROM jobs LEFT JOIN outcomes ON job_id = id WHERE "
            "(state IN ('succeeded', 'failed', 'cancelled')) != (job_id IS NOT NULL) "
            "OR (state = 'succeeded') != (result IS NOT NULL)"
        ).fetchall()
        assert not odd
