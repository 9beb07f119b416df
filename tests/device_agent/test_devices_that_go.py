"""An agent whose devices come and go while it is connected: what it says, and what becomes of their jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, AsyncIterator, List, Mapping

import pytest

from device_agent.cache import ArtifactCache
from device_agent.fitness.care import Care
from device_agent.runner import DeviceRunner
from device_agent.session import Agent
from device_agent.spool import Spool
from device_agent.workers import Outcome
from protos import contract
from protos.gauntlet.v1 import agent_pb2, artifact_pb2, device_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.fitness.fakes import FakePool

_MODEL = b"a model"
LOST = failure_pb2.FAILURE_KIND_DEVICE_LOST


class FakeStream:
    """A session: commands are put in, what the agent says is listed."""

    def __init__(self) -> None:
        self.said: List[Any] = []
        self.heard: asyncio.Queue[agent_pb2.SessionResponse] = asyncio.Queue()

    def send(self, **event: Any) -> None:
        self.said.append(agent_pb2.SessionRequest(**event))

    async def receive(self) -> agent_pb2.SessionResponse:
        return await self.heard.get()

    def close(self) -> None:
        pass

    def of(self, kind: str) -> List[Any]:
        return [getattr(event, kind) for event in self.said if event.WhichOneof("event") == kind]

    async def next(self, kind: str, count: int = 1) -> Any:
        """The count-th event of a kind."""
        while len(self.of(kind)) < count:  # noqa: ASYNC110  # what is said is not waited for anywhere else
            await asyncio.sleep(0.005)
        return self.of(kind)[count - 1]


class FakeUplink:
    """One session that does not end."""

    def __init__(self) -> None:
        self.stream = FakeStream()

    def session(self) -> FakeStream:
        return self.stream


class LosingPool:
    """Finds out in a measurement that its device is gone."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def measure(self, spec: pb.MeasurementSpec, paths: Mapping[str, Path], on_step: Any = None) -> Outcome:
        await self._agent.remove_device("phone", "the cable is out")
        return Outcome(failure=failure_pb2.Failure(kind=LOST, message="gone while timing"))


class Bench:
    """An agent in a session, and what it needs for devices."""

    def __init__(self, folder: Path) -> None:
        self.uplink = FakeUplink()
        spool = Spool(folder / "spool")
        described = device_pb2.AgentDescription(agent_id="bridge")
        self.agent = Agent(described, "1-x", self.uplink, spool, list)  # type: ignore[arg-type]
        self._cache = ArtifactCache(folder / "cache", 10**6)
        self._running = asyncio.ensure_future(self.agent.run())
        self.uplink.stream.heard.put_nowait(
            agent_pb2.SessionResponse(welcome=agent_pb2.Welcome(heartbeat_interval_s=60, lease_duration_s=60))
        )

    def runner(self, device_id: str, pool: Any) -> DeviceRunner:
        async def download(digest: str) -> AsyncIterator[bytes]:
            yield _MODEL

        description = device_pb2.DeviceDescription(device_id=device_id, device_class="pixel8")
        return DeviceRunner("bridge", description, pool, self._cache, download, self.agent, Care())

    def lease(self, number: int, device_id: str = "phone") -> None:
        model = artifact_pb2.ArtifactRef(digest=contract.digest_of_bytes(_MODEL), size_bytes=len(_MODEL))
        spec = pb.MeasurementSpec(model=model)
        lease = agent_pb2.Lease(
            lease_id=f"lease-{number}", job_id=f"job-{number}", device_id=device_id, measurement=spec
        )
        self.uplink.stream.heard.put_nowait(agent_pb2.SessionResponse(lease=lease))

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.close()


async def test_an_agent_without_devices_says_so_and_then_what_comes_and_goes(bench: Bench) -> None:
    stream = bench.uplink.stream
    hello = await stream.next("hello")
    assert not hello.devices
    bench.agent.add_device(bench.runner("phone", FakePool(1e-3)))
    bench.agent.add_device(bench.runner("other", FakePool(1e-3)))
    await bench.agent.remove_device("phone", "the cable is out")
    changes = stream.of("devices_changed")
    assert [[device.device_id for device in change.devices] for change in changes] == [
        ["phone"],
        ["phone", "other"],
        ["other"],
    ]
    assert dict(changes[2].lost) == {"phone": "the cable is out"}
    await bench.agent.remove_device("phone", "again")
    assert len(stream.of("devices_changed")) == 3


async def test_what_a_device_worked_on_fails_as_lost_and_what_it_had_not_begun_is_dropped(bench: Bench) -> None:
    stream, pool = bench.uplink.stream, FakePool(1e-3)
    pool.gate.clear()
    bench.agent.add_device(bench.runner("phone", pool))
    bench.lease(1)
    bench.lease(2)
    await stream.next("job_started")
    await bench.agent.remove_device("phone", "the cable is out")
    finished = await stream.next("job_finished")
    assert (finished.lease_id, finished.failure.kind) == ("lease-1", LOST)
    assert finished.failure.message == "device phone is gone: the cable is out"
    assert pool.cancelled == 1
    kinds = [event.WhichOneof("event") for event in stream.said]
    assert kinds.index("job_finished") > max(i for i, kind in enumerate(kinds) if kind == "devices_changed")
    assert len(stream.of("job_finished")) == 1


async def test_a_pool_that_finds_its_device_gone_has_the_last_word_on_its_job(bench: Bench) -> None:
    bench.agent.add_device(bench.runner("phone", LosingPool(bench.agent)))
    bench.lease(1)
    finished = await bench.uplink.stream.next("job_finished")
    assert (finished.failure.kind, finished.failure.message) == (LOST, "gone while timing")
    assert not bench.uplink.stream.of("devices_changed")[-1].devices


async def test_a_lease_that_was_on_its_way_comes_back_at_once(bench: Bench) -> None:
    bench.lease(7, "phone")
    finished = await bench.uplink.stream.next("job_finished")
    assert (finished.lease_id, finished.device_id, finished.failure.kind) == ("lease-7", "phone", LOST)


async def test_a_device_that_comes_back_measures_again(bench: Bench) -> None:
    bench.agent.add_device(bench.runner("phone", FakePool(1e-3)))
    await bench.agent.remove_device("phone", "the cable is out")
    bench.agent.add_device(bench.runner("phone", FakePool(2e-3)))
    bench.lease(1)
    finished = await bench.uplink.stream.next("job_finished")
    assert finished.result.latency.median_s.estimate.value == 2e-3


async def test_others_are_not_disturbed(bench: Bench) -> None:
    slow = FakePool(1e-3)
    slow.gate.clear()
    bench.agent.add_device(bench.runner("other", slow))
    bench.agent.add_device(bench.runner("phone", FakePool(1e-3)))
    bench.lease(1, "other")
    await bench.uplink.stream.next("job_started")
    await bench.agent.remove_device("phone", "the cable is out")
    slow.gate.set()
    finished = await bench.uplink.stream.next("job_finished")
    assert finished.HasField("result")
