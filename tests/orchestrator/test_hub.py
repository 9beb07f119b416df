"""The hub by itself: what no message order through gRPC brings about reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from orchestrator.artifacts import ArtifactStore
from orchestrator.config import Config
from orchestrator.demands import Demand
from orchestrator.hub import Hub
from orchestrator.registry import Session
from orchestrator.store.base import NewJob
from orchestrator.store.sql import SqlStore
from orchestrator.watchers import Watchers
from protos import contract
from protos.gauntlet.v1 import agent_pb2, device_pb2, job_pb2
from tests.orchestrator.lab import device

ANY = Demand.of(job_pb2.JobSpec(measurement={"model": {"media_type": "model/tflite"}})).signature


async def test_submissions_at_one_moment_never_share_a_device(tmp_path: Path, new_job: Callable[..., NewJob]) -> None:
    store = await SqlStore.open(tmp_path / "lab.sqlite")
    artifacts = ArtifactStore(tmp_path / "artifacts", 1000, 1000)
    hub = Hub(Config(address=f"unix:{tmp_path}/s", folder=tmp_path), store, artifacts, Watchers())
    session = Session(device_pb2.AgentDescription(agent_id="a1"), "1-x", 0.0)
    hub.registry.attach(session, [device("d1")])
    await asyncio.gather(*(hub.submit([new_job(signature=ANY)]) for _ in range(3)))
    assert (await session.next_command()).HasField("lease")
    held = await store.held()
    assert [lease.device_id for lease in held] == ["d1"]
    assert hub.registry.lease_of("d1") == held[0].lease_id
    assert hub.kick.is_set()  # the others wait for their turn
    await store.close()


async def test_a_result_that_the_store_takes_frees_its_device_though_its_connection_breaks(
    tmp_path: Path, new_job: Callable[..., NewJob]
) -> None:
    store = await SqlStore.open(tmp_path / "lab.sqlite")
    artifacts = ArtifactStore(tmp_path / "artifacts", 1000, 1000)
    hub = Hub(Config(address=f"unix:{tmp_path}/s", folder=tmp_path), store, artifacts, Watchers())
    session = Session(device_pb2.AgentDescription(agent_id="a1"), "1-x", 0.0)
    hub.registry.attach(session, [device("d1")])
    await hub.submit([new_job(signature=ANY)])
    lease = (await session.next_command()).lease
    finished = agent_pb2.JobFinished(lease_id=lease.lease_id, job_id=lease.job_id, device_id="d1", result={})
    reader = asyncio.create_task(hub.handle(session, agent_pb2.SessionRequest(job_finished=finished)))
    await asyncio.sleep(0)  # it is with the store now
    reader.cancel()
    assert (await session.next_command()).finished_ack.lease_id == lease.lease_id
    assert hub.registry.lease_of("d1") is None
    await store.close()


async def test_what_a_session_that_was_replaced_still_says_takes_no_device_from_the_one_after_it(
    tmp_path: Path,
) -> None:
    store = await SqlStore.open(tmp_path / "lab.sqlite")
    artifacts = ArtifactStore(tmp_path / "artifacts", 1000, 1000)
    hub = Hub(Config(address=f"unix:{tmp_path}/s", folder=tmp_path), store, artifacts, Watchers())
    hello = agent_pb2.Hello(
        protocol_version=contract.PROTOCOL_VERSION,
        agent=device_pb2.AgentDescription(agent_id="a1"),
        devices=[device("d1")],
        session_epoch="1-x",
    )
    before = await hub.open_session(hello)
    after = await hub.open_session(hello)
    changed = agent_pb2.DevicesChanged(devices=[device("d1"), device("d2")])
    await hub.handle(before, agent_pb2.SessionRequest(devices_changed=changed))
    await hub.close_session(before, "the connection ended")
    assert hub.registry.sessions() == [after]
    assert hub.registry.session_for("d1") is after
    assert hub.registry.idle() == ["d1"]
    await store.close()
